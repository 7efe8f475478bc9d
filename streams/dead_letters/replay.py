"""Publish dead letters again after a fix, each once; what comes of it counts in the window of its
replay, as any event does.

The original bytes go to their topic with their key, in one transaction with a record in the
dead-letter topic that tells of it: both are there or neither, whatever fails. Who replays has a
fixed transactional id, so that a second run ends the first, and reads only then what that has
replayed. (KIP-98)

Of a large event the letter has a part: the event itself is read where it stood, and is replayed
only if its size and SHA-256 are those that the letter tells.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

import pyarrow as pa
import structlog
from kafka import KafkaProducer
from kafka.errors import (
    KafkaError,
    MessageSizeTooLargeError,
    ProducerFencedError,
    RecordListTooLargeError,
)

from schemas.errors import PartitionError
from schemas.settings.kafka import KafkaSettings
from schemas.settings.kafka_access import client_options
from schemas.settings.reachable import KAFKA_HINT
from streams.dead_letters.read import REPLAYED, Identity, Letter, LetterReader
from streams.reading.kafka import OffsetsGoneError, TopicMissingError, Topics
from streams.reading.record_stream import MOST_RECORD_BYTES
from streams.reading.records import Part
from streams.recovery.range_reader import RangeReader
from streams.writing.dead_letter_topic import Poison, origin_of

__all__ = ["LetterOrigin", "OwnTopic", "Refuser", "Replayed", "Replayer"]

log = structlog.get_logger(__name__)

_TOGETHER: Final = 200
_TOGETHER_BYTES: Final = 1 << 20
"""Events of one transaction, and their bytes: a larger one has its own."""

_SEND_SECONDS: Final = 30


class Refuser(Protocol):
    """Says which events would be refused again."""

    def refused(self, events: Sequence[Poison]) -> Mapping[int, str]:
        """Return the index of each event that can't be used now either, and why."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a run has done: where the events stand now, by origin, and why others stay."""

    replayed: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


class LetterOrigin(Protocol):
    """Reads an event where it stands in its own topic."""

    def whole(self, letter: Poison) -> Poison | str:
        """The event that a letter has a part of, or why it can't be had; raises PartitionError."""


@dataclass(frozen=True, slots=True)
class OwnTopic:
    """The topic that a letter names as its origin."""

    kafka: KafkaSettings

    def whole(self, letter: Poison) -> Poison | str:
        """See LetterOrigin.whole."""
        record = self._record(letter) if self._has_partition(letter) else None
        if record is None:
            return "the letter has only a part of it, and its topic no longer has the event"
        if Part.of(record) is not None:
            return f"it has more than {MOST_RECORD_BYTES:,} bytes, and would be refused again"
        at = {name: record.column(name)[0].as_py() for name in record.schema.names}
        event = replace(letter, key=at["key"], value=at["value"], part=None)
        if at["appended_at"] != letter.appended_at or event.whole != letter.whole:
            return "what stands there now isn't the event that the letter has a part of"
        return event

    def _has_partition(self, letter: Poison) -> bool:
        with closing(Topics(self.kafka)) as topics:
            try:
                identity = topics.identities([letter.topic])[letter.topic]
            except TopicMissingError:
                return False
        return letter.partition < identity.partitions

    def _record(self, letter: Poison) -> pa.RecordBatch | None:
        try:
            return RangeReader(self.kafka).record(letter.topic, letter.partition, letter.offset)
        except OffsetsGoneError:
            return None


class Replayer:
    """Replays dead letters of one installation."""

    def __init__(
        self, topic: str, kafka: KafkaSettings, refuser: Refuser, origin: LetterOrigin | None = None
    ) -> None:
        """topic: that of the dead letters. origin: where large events are read."""
        self._origin = origin or OwnTopic(kafka)
        self._topic = topic
        self._kafka = kafka
        self._reader = LetterReader(topic, kafka)
        self._refuser = refuser

    def replay(self, wanted: Iterable[Letter]) -> Replayed:
        """Replay those of some letters that weren't; raises PartitionError where Kafka fails, and
        what was replayed by then is told by the next run.
        """
        done = Replayed()
        with self._producing() as producer:
            # Read again: no other run is under way any more, and what it did is committed.
            identities = {letter.identity for letter in wanted}
            left = {
                letter.identity
                for letter in self._reader.letters()
                if letter.identity in identities and letter.replay is None
            }
            for events in self._together(left, done.refused):
                refused = self._refuser.refused(events)
                done.refused.update({events[n].origin: why for n, why in refused.items()})
                usable = [event for n, event in enumerate(events) if n not in refused]
                self._publish_what_fits(producer, usable, done)
        return done

    def _together(self, wanted: set[Identity], refused: dict[str, str]) -> Iterator[list[Poison]]:
        """Yield the whole events in groups; those that can't be had whole are told in `refused`."""
        together: list[Poison] = []
        size = 0
        for letter in self._reader.whole(wanted):
            event = letter if letter.part is None else self._origin.whole(letter)
            if isinstance(event, str):
                refused[letter.origin] = event
                continue
            nbytes = len(event.value or b"") + len(event.key or b"")
            if together and (len(together) >= _TOGETHER or size + nbytes > _TOGETHER_BYTES):
                yield together
                together, size = [], 0
            together.append(event)
            size += nbytes
        if together:
            yield together

    def _publish_what_fits(
        self, producer: KafkaProducer, events: Sequence[Poison], done: Replayed
    ) -> None:
        try:
            done.replayed.update(self._publish(producer, events))
        except (MessageSizeTooLargeError, RecordListTooLargeError):
            if len(events) == 1:
                done.refused[events[0].origin] = "its topic takes no event as large as this one"
            else:
                for event in events:
                    self._publish_what_fits(producer, [event], done)

    def _publish(self, producer: KafkaProducer, events: Sequence[Poison]) -> dict[str, str]:
        if not events:
            return {}
        producer.begin_transaction()
        try:
            sent = [producer.send(event.topic, event.value, event.key) for event in events]
            places = [future.get(timeout=_SEND_SECONDS) for future in sent]
            acknowledgements = [
                producer.send(
                    self._topic,
                    key=event.origin.encode(),
                    value=b"",
                    headers=[
                        *origin_of(event),
                        (REPLAYED, f"{place.partition}/{place.offset}".encode()),
                    ],
                )
                for event, place in zip(events, places, strict=True)
            ]
            for future in acknowledgements:
                future.get(timeout=_SEND_SECONDS)
        except BaseException:
            producer.abort_transaction()
            raise
        producer.commit_transaction()
        log.info("dead letters replayed", events=len(events))
        return {
            event.origin: f"{event.topic}/{place.partition}/{place.offset}"
            for event, place in zip(events, places, strict=True)
        }

    @contextmanager
    def _producing(self) -> Iterator[KafkaProducer]:
        try:
            producer = KafkaProducer(
                **client_options(self._kafka),
                acks="all",
                enable_idempotence=True,
                transactional_id=f"{self._topic}.replay",
                allow_auto_create_topics=False,
                # An event that was sent compressed may fit its topic in no other way.
                compression_type="gzip",
                max_request_size=2 * MOST_RECORD_BYTES,
            )
            try:
                producer.init_transactions()
                yield producer
            finally:
                producer.close(timeout=_SEND_SECONDS)
        except ProducerFencedError as error:
            raise PartitionError(
                what="another replay was started meanwhile",
                where=f"topic {self._topic}",
                hint="run it again when that one has ended: nothing is replayed twice",
            ) from error
        except KafkaError as error:
            raise PartitionError(
                what=f"not all was replayed: {error!r}",
                where=f"topic {self._topic}",
                hint=f"run it again, nothing is replayed twice; {KAFKA_HINT}",
            ) from error
