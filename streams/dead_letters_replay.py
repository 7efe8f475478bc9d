"""Publish dead letters again after a fix, each once; what comes of it counts in the window of its
replay, as any event does.

The original bytes go to their topic with their key, in one transaction with a record in the
dead-letter topic that tells of it: both are there or neither, whatever fails. Who replays has a
fixed transactional id, so that a second run ends the first, and reads only then what that has
replayed. (KIP-98)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, Protocol

import structlog
from kafka import KafkaProducer
from kafka.errors import KafkaError, ProducerFencedError

from schemas.errors import PartitionError
from schemas.kafka_access import client_options
from schemas.kafka_settings import KafkaSettings
from schemas.reach import KAFKA_HINT
from streams.dead_letters import Poison, headers_of
from streams.dead_letters_read import REPLAYED, Identity, Letter, LetterReader

__all__ = ["Refuser", "Replayed", "Replayer"]

log = structlog.get_logger(__name__)

_TOGETHER: Final = 200
"""Events of one transaction."""

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


class Replayer:
    """Replays dead letters of one installation."""

    def __init__(self, topic: str, kafka: KafkaSettings, refuser: Refuser) -> None:
        """topic: that of the dead letters."""
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
            for events in self._together(left):
                refused = self._refuser.refused(events)
                done.refused.update({events[n].origin: why for n, why in refused.items()})
                usable = [event for n, event in enumerate(events) if n not in refused]
                done.replayed.update(self._publish(producer, usable))
        return done

    def _together(self, wanted: set[Identity]) -> Iterator[list[Poison]]:
        events = self._reader.whole(wanted)
        while together := list(islice(events, _TOGETHER)):
            yield together

    def _publish(self, producer: KafkaProducer, events: Sequence[Poison]) -> dict[str, str]:
        if not events:
            return {}
        producer.begin_transaction()
        try:
            sent = [producer.send(event.topic, event.value, event.key) for event in events]
            places = [future.get(timeout=_SEND_SECONDS) for future in sent]
            told = [
                producer.send(
                    self._topic,
                    key=event.origin.encode(),
                    value=b"",
                    headers=[
                        *headers_of(event),
                        (REPLAYED, f"{place.partition}/{place.offset}".encode()),
                    ],
                )
                for event, place in zip(events, places, strict=True)
            ]
            for future in told:
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
