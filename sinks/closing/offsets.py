"""Look-ups in Kafka for a close: offsets by time, the ends of a log, and append times.

Append times are read from the headers of record batches (Kafka's record batch, version 2). Nothing
is decompressed, so the size of a batch and errors within it don't matter.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
from kafka import KafkaConsumer
from kafka import TopicPartition as KafkaPartition
from kafka.consumer.fetcher import Fetcher

from schemas.errors import CloseError
from schemas.settings.kafka import KafkaSettings
from schemas.settings.reachable import KAFKA_HINT, errors_as, wait_until_reachable
from streams.reading.kafka import plain_consumer

__all__ = ["IntArray", "KafkaOffsets", "OffsetAtTime", "Offsets", "Runs"]

IntArray: TypeAlias = npt.NDArray[np.int64]

_MAGIC: Final = 2
_READ_OFFSETS: Final = 500_000
"""The most offsets whose append times one call reads."""
_IDLE_SECONDS: Final = 30.0
"""How long a broker may send nothing of a range that it says it has."""


@dataclass(frozen=True, slots=True)
class OffsetAtTime:
    """The first offset at or after an instant, in a log of `[start, end)`; `end` if there is none.

    appended_at: its append time in UTC milliseconds; None if there is no such record.
    """

    offset: int
    start: int
    end: int
    appended_at: int | None = None

    @property
    def sure(self) -> bool:
        """Whether no earlier record can have been at or after the instant.

        Kafka may have removed records before the log's start. So it isn't sure if the offset is the
        log's start, as in an empty log, and that isn't 0.
        """
        return self.offset != self.start or self.start == 0


@dataclass(frozen=True, slots=True)
class Runs:
    """Append times within offsets `[first, next)`, as runs of equal times.

    From `offsets[i]` up to the next run the append time is `times[i]` (UTC milliseconds). offsets:
    ascending.
    """

    first: int
    next: int
    offsets: IntArray
    times: IntArray


class Offsets(Protocol):
    """Look-ups of offsets and append times in Kafka."""

    def at(self, topic: str, partitions: int, instant_ms: int) -> Sequence[OffsetAtTime]:
        """Return the first offset at or after an instant (UTC ms) of each partition."""

    def runs(self, topic: str, partition: int, first: int, end: int) -> Runs:
        """Return append times of `[first, next)`: of at least one offset, none from `end` on."""


class KafkaOffsets:
    """Look-ups in Kafka. Only committed records count: the end is the last stable offset."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka

    def at(self, topic: str, partitions: int, instant_ms: int) -> Sequence[OffsetAtTime]:
        """See Offsets.at; raises CloseError if the broker doesn't answer."""
        return self.of_topics({topic: partitions}, instant_ms)[topic]

    def of_topics(
        self, partitions: Mapping[str, int], instant_ms: int
    ) -> dict[str, Sequence[OffsetAtTime]]:
        """Return the result of `at` for several topics, by one connection.

        partitions: how many partitions each topic has. Raises CloseError if the broker doesn't
        answer.
        """
        owners = {
            topic: [KafkaPartition(topic, number) for number in range(count)]
            for topic, count in partitions.items()
        }
        wanted = [owner for own in owners.values() for owner in own]
        with self._asking(*partitions) as consumer:
            # The end first: what arrives between the two answers is then not before the cut.
            ends = consumer.end_offsets(wanted)
            starts = consumer.beginning_offsets(wanted)
            found = consumer.offsets_for_times(dict.fromkeys(wanted, instant_ms))
        return {
            topic: [_found(found[owner], starts[owner], ends[owner]) for owner in own]
            for topic, own in owners.items()
        }

    def runs(self, topic: str, partition: int, first: int, end: int) -> Runs:
        """See Offsets.runs; raises CloseError if the broker doesn't answer."""
        wanted = KafkaPartition(topic, partition)
        with self._asking(topic) as consumer:
            consumer._fetcher.PartitionRecords = _BatchHeaders  # no public seam
            consumer.assign([wanted])
            consumer.seek(wanted, first)
            return _read_runs(consumer, wanted, first, min(end, first + _READ_OFFSETS))

    def start(self, topic: str, partition: int) -> int:
        """Return the first offset of a partition that Kafka still has; raises CloseError as `at`
        does.
        """
        wanted = KafkaPartition(topic, partition)
        with self._asking(topic) as consumer:
            first: int = consumer.beginning_offsets([wanted])[wanted]
        return first

    def ends(self, topic: str, partitions: int) -> list[int]:
        """Return the last stable offset of each partition; raises CloseError as `at` does."""
        wanted = [KafkaPartition(topic, number) for number in range(partitions)]
        with self._asking(topic) as consumer:
            ends = consumer.end_offsets(wanted)
        return [ends[tp] for tp in wanted]

    @contextmanager
    def _asking(self, *topics: str) -> Iterator[KafkaConsumer]:
        wait_until_reachable(self._kafka, CloseError)
        names = f"topic{'s' if len(topics) > 1 else ''} {', '.join(topics)}"
        what = f"offsets of {names} can't be looked up"
        where = f"Kafka {self._kafka.bootstrap_servers}"
        with (
            errors_as(CloseError, what, where=where),
            plain_consumer(self._kafka) as consumer,
        ):
            yield consumer


def _found(found: Any, start: int, end: int) -> OffsetAtTime:
    if found is None:
        return OffsetAtTime(end, start, end)
    return OffsetAtTime(found.offset, start, end, found.timestamp)


def _read_runs(consumer: KafkaConsumer, wanted: KafkaPartition, first: int, end: int) -> Runs:
    batches: list[_Batch] = []
    at, progress = first, time.monotonic()
    while at < end and time.monotonic() - progress < _IDLE_SECONDS:
        batches += consumer.poll(timeout_ms=500, max_records=_READ_OFFSETS).get(wanted, [])
        position: int = consumer.position(wanted)
        if position > at:
            at, progress = position, time.monotonic()
    if at == first:
        raise CloseError(
            what=f"nothing came of {wanted.topic}/{wanted.partition} from offset {first} on for "
            f"{_IDLE_SECONDS:.0f} s",
            where="Kafka",
            hint=KAFKA_HINT,
        )
    inside = [batch for batch in batches if batch.first < end]
    offsets = np.array([max(batch.first, first) for batch in inside], np.int64)
    times = np.array([batch.appended_at for batch in inside], np.int64)
    return Runs(first, min(at, end), offsets, times)


class _Batch(NamedTuple):
    """A record batch: its first offset, its last, and when it was appended (UTC ms)."""

    first: int
    offset: int
    appended_at: int


class _BatchHeaders(Fetcher.PartitionRecords):  # type: ignore[misc]
    """The fetched part of a partition, as a `_Batch` for each record batch instead of records."""

    def _unpack_records(self, tp: Any, records: Any, *_: Any) -> Iterator[_Batch]:
        while (batch := records.next_batch()) is not None:
            if batch.magic == _MAGIC:
                self.next_fetch_offset = batch.next_offset
                if not batch.is_control_batch:
                    yield _Batch(batch.base_offset, batch.last_offset, batch.max_timestamp)
                continue
            for record in batch:  # a format older than Kafka 0.11
                self.next_fetch_offset = record.offset + 1
                yield _Batch(record.offset, record.offset, record.timestamp or -1)
        self.drain()
