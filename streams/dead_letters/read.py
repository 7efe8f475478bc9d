"""Reader of the dead letter topic: refused events, their reasons, and their replays.

A dead letter's identity is its origin and the event's append time there. A letter that was sent
again after a crash has the same identity. Values can be large and many, so they stay in memory only
if a caller needs them.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from kafka import KafkaConsumer
from kafka import TopicPartition as KafkaPartition

from schemas.errors import PartitionError
from schemas.settings.kafka import KafkaSettings
from schemas.settings.reachable import errors_as, wait_until_reachable
from streams.reading.kafka import plain_consumer
from streams.writing.dead_letter_topic import Poison, part_in

__all__ = ["REPLAYED", "Identity", "Letter", "LetterReader", "Replay", "identity_of"]

REPLAYED: Final = "replayed-to"
"""The header of a record of a replay; its value is `partition/offset` of the new event."""

_POLL_MS: Final = 500
_IDLE_POLLS: Final = 60  # half a minute without records that the broker says it has

Identity: TypeAlias = tuple[str, int, int, int]
"""Topic, partition and offset of an event, and its append time there (UTC milliseconds)."""


@dataclass(frozen=True, slots=True)
class Replay:
    """When an event was published again (UTC milliseconds), and its new place in its topic."""

    at: int
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter without its value: its origin, the reason, and the value's size in bytes.

    is_part: the letter has only the first part of the value; `size` is that of the whole.
    """

    topic: str
    partition: int
    offset: int
    appended_at: int  # UTC milliseconds
    reason: str
    size: int
    replay: Replay | None = None
    is_part: bool = False

    @property
    def identity(self) -> Identity:
        """The letter's identity."""
        return self.topic, self.partition, self.offset, self.appended_at

    @property
    def origin(self) -> str:
        """The event's place in Kafka as text: topic/partition/offset."""
        return f"{self.topic}/{self.partition}/{self.offset}"


def identity_of(event: Poison) -> Identity:
    """The identity of a dead letter, from its event."""
    return event.topic, event.partition, event.offset, event.appended_at


class LetterReader:
    """Reader of the dead letter topic, from its start to its end, with a consumer without a group.

    Its methods raise PartitionError if Kafka doesn't answer or the topic doesn't exist.
    """

    def __init__(self, topic: str, kafka: KafkaSettings) -> None:
        self._topic = topic
        self._kafka = kafka

    def letters(self) -> list[Letter]:
        """All dead letters that the topic still has, each once, by the event's append time."""
        found: dict[Identity, Letter] = {}
        replays: dict[Identity, Replay] = {}
        for event, replay in self._records():
            identity = identity_of(event)
            if replay is not None:
                replays.setdefault(identity, replay)
            elif identity not in found:
                size = event.part.size if event.part else len(event.value or b"")
                is_part = event.part is not None
                found[identity] = Letter(*identity, event.reason, size, is_part=is_part)
        letters = [
            replace(letter, replay=replays.get(letter.identity)) for letter in found.values()
        ]
        return sorted(letters, key=lambda letter: (letter.appended_at, letter.origin))

    def whole(self, wanted: Container[Identity] | None = None) -> Iterator[Poison]:
        """Yield the `wanted` dead letters with key and value, each once; None: all of them."""
        seen: set[Identity] = set()
        for event, replay in self._records():
            identity = identity_of(event)
            if replay is None and identity not in seen and (wanted is None or identity in wanted):
                seen.add(identity)
                yield event

    def _records(self) -> Iterator[tuple[Poison, Replay | None]]:
        with self._reading() as consumer:
            numbers = sorted(consumer.partitions_for_topic(self._topic) or ())
            if not numbers:
                raise PartitionError(
                    what="doesn't exist",
                    where=f"topic {self._topic}",
                    hint="create it with `deltadrop topics create`",
                )
            for number in numbers:
                partition = KafkaPartition(self._topic, number)
                for record in _until_its_end(consumer, partition):
                    if (letter := _read(record)) is not None:
                        yield letter

    @contextmanager
    def _reading(self) -> Iterator[KafkaConsumer]:
        wait_until_reachable(self._kafka, PartitionError)
        with (
            errors_as(PartitionError, "can't be read", where=f"topic {self._topic}"),
            plain_consumer(self._kafka) as consumer,
        ):
            yield consumer


def _until_its_end(consumer: KafkaConsumer, partition: KafkaPartition) -> Iterator[Any]:
    """Yield the records of a partition up to its current end.

    Raises PartitionError if none comes for half a minute.
    """
    consumer.assign([partition])
    consumer.seek_to_beginning(partition)
    end = consumer.end_offsets([partition])[partition]
    idle = 0
    while consumer.position(partition) < end:
        records = consumer.poll(timeout_ms=_POLL_MS).get(partition, ())
        idle = 0 if records else idle + 1
        if idle > _IDLE_POLLS:
            raise PartitionError(
                what=f"nothing came from offset {consumer.position(partition)} on",
                where=f"{partition.topic}/{partition.partition}",
                hint="is a transaction still open there? run again when it has ended",
            )
        yield from records


def _read(record: Any) -> tuple[Poison, Replay | None] | None:
    """The event and the replay, if it is one, in a record of the topic; None for other records."""
    headers = dict(record.headers)
    try:
        event = Poison(
            headers["origin-topic"].decode(),
            int(headers["origin-partition"]),
            int(headers["origin-offset"]),
            int(headers["origin-appended-at"]),
            headers.get("origin-key"),
            record.value,
            headers.get("reason", b"").decode(),
            part_in(headers),
        )
        if REPLAYED not in headers:
            return event, None
        partition, offset = headers[REPLAYED].decode().split("/")
        return event, Replay(record.timestamp, int(partition), int(offset))
    except (KeyError, ValueError):
        return None
