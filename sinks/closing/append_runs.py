"""Append times, as they are in the headers of record batches (Kafka's record batch, version 2).

Nothing is decompressed, so the size of a batch and errors within it don't matter.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from kafka import KafkaConsumer
from kafka import TopicPartition as KafkaPartition
from kafka.consumer.fetcher import Fetcher

from schemas.errors import CloseError
from schemas.settings.reachable import KAFKA_HINT

__all__ = ["IntArray", "Runs", "read_runs"]

IntArray: TypeAlias = npt.NDArray[np.int64]

_MAGIC: Final = 2
_READ_OFFSETS: Final = 500_000
"""The most offsets whose append times one call reads."""
_IDLE_SECONDS: Final = 30.0
"""How long a broker may send nothing of a range that it says it has."""


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


def read_runs(consumer: KafkaConsumer, wanted: KafkaPartition, first: int, end: int) -> Runs:
    """Read append times of `[first, end)` or a first part of it.

    consumer: without partitions; it can't read records any more. Raises CloseError if the broker
    sends nothing.
    """
    end = min(end, first + _READ_OFFSETS)
    consumer._fetcher.PartitionRecords = _BatchHeaders  # no public seam
    consumer.assign([wanted])
    consumer.seek(wanted, first)
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
