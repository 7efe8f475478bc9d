"""Replay of dead letters after a fix: each event is published again, once.

A replayed event counts in the window of its replay, as any event does.

The original bytes and key go to their topic. One transaction also writes a record of the replay to
the dead letter topic, so that either both exist or neither, whatever fails. The transactional id is
fixed: a second run fences the first, and only then reads which events that has replayed (KIP-98).

The letter of a large event has only a part of it. The event itself is then read at its origin, and
replayed only if its size and SHA-256 are those in the letter.
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
    MessageSizeTooLargeError,
    ProducerFencedError,
    RecordListTooLargeError,
)

from schemas.errors import PartitionError
from schemas.settings.kafka import KafkaSettings
from schemas.settings.kafka_access import client_options
from schemas.settings.reachable import KAFKA_HINT, errors_as
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
"""Events of one transaction, and their bytes; a larger event has a transaction of its own."""

_SEND_SECONDS: Final = 30


class Refuser(Protocol):
    """A check that finds the events that would be refused again."""

    def refused(self, events: Sequence[Poison]) -> Mapping[int, str]:
        """The reason for each event that still can't be used, by its index in `events`."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """The result of a run."""

    replayed: dict[str, str] = field(default_factory=dict)
    """Each event's new place, by origin."""
    refused: dict[str, str] = field(default_factory=dict)
    """Why others weren't replayed, by origin."""


class LetterOrigin(Protocol):
    """A reader of whole events at their origin."""

    def whole(self, letter: Poison) -> Poison | str:
        """The whole event of a letter that has a part of it, or the reason why there is none.

        Raises PartitionError if Kafka doesn't answer.
        """


@dataclass(frozen=True, slots=True)
class OwnTopic:
    """A reader of whole events in the topic that a letter names as its origin."""

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
    """Replay of the dead letters of one installation."""

    def __init__(
        self, topic: str, kafka: KafkaSettings, refuser: Refuser, origin: LetterOrigin | None = None
    ) -> None:
        """Make a replayer; topic: the dead letter topic; origin: the reader of large events."""
        self._origin = origin or OwnTopic(kafka)
        self._topic = topic
        self._kafka = kafka
        self._reader = LetterReader(topic, kafka)
        self._refuser = refuser

    def replay(self, wanted: Iterable[Letter]) -> Replayed:
        """Replay the letters that weren't replayed yet.

        Raises PartitionError if Kafka fails, or another run began. The next run doesn't replay
        again what was replayed by then.
        """
        done = Replayed()
        with self._producing() as producer:
            # Read the letters again: now no other run is active, and its replays are committed.
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
        """Yield whole events in groups; `refused` gets the reason for each unavailable event."""
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
        where, again = f"topic {self._topic}", "nothing is replayed twice"
        hint = f"run it again, {again}; {KAFKA_HINT}"
        with errors_as(PartitionError, "not all was replayed", where=where, hint=hint):
            try:
                with self._producer() as producer:
                    producer.init_transactions()
                    yield producer
            except ProducerFencedError as error:
                raise PartitionError(
                    what="another replay was started meanwhile",
                    where=where,
                    hint=f"run it again when that one has ended: {again}",
                ) from error

    @contextmanager
    def _producer(self) -> Iterator[KafkaProducer]:
        producer = KafkaProducer(
            **client_options(self._kafka),
            acks="all",
            enable_idempotence=True,
            transactional_id=f"{self._topic}.replay",
            allow_auto_create_topics=False,
            # An event that was sent compressed may fit its topic only when compressed.
            compression_type="gzip",
            max_request_size=2 * MOST_RECORD_BYTES,
        )
        try:
            yield producer
        finally:
            producer.close(timeout=_SEND_SECONDS)
