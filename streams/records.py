"""What the transport hands over: raw records of a partition as columns, and batches of them.

A chunk is all that was read of one partition between two flushes; a flush is the chunks of all
partitions of one topic, which become one batch of files.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import pyarrow as pa

from schemas.errors import PartitionError
from streams.layout import Batch

RECORDS: Final = pa.schema(
    [
        ("offset", pa.int64()),
        ("appended_at", pa.int64()),  # UTC milliseconds, by the broker's clock
        ("key", pa.binary()),
        ("value", pa.binary()),
    ]
)
LOG_APPEND_TIME: Final = 1  # timestamp type of a record, KIP-32


class KafkaRecord(Protocol):
    """What is used of a record that a Kafka client fetched."""

    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None


def to_columns(topic: str, records: Sequence[KafkaRecord]) -> pa.RecordBatch:
    """Turn fetched records of one partition into columns by RECORDS.

    Raises PartitionError where the broker didn't stamp them with its append time: windows are cut
    by that time, so a topic with any other can't be closed (SPEC §3, DESIGN "Closing a window").
    """
    if any(record.timestamp_type != LOG_APPEND_TIME for record in records):
        raise PartitionError(
            what="its records carry their producer's time, not the broker's append time",
            where=f"topic {topic}",
            hint="set message.timestamp.type=LogAppendTime; `deltadrop topics check` lists such topics",
        )
    return pa.RecordBatch.from_arrays(
        [
            pa.array([record.offset for record in records], pa.int64()),
            pa.array([record.timestamp for record in records], pa.int64()),
            pa.array([record.key for record in records], pa.binary()),
            pa.array([record.value for record in records], pa.binary()),
        ],
        schema=RECORDS,
    )


@dataclass(frozen=True, slots=True)
class Chunk:
    """Offsets `[first, next)` of a partition and the records (by RECORDS) read between them.

    Offsets without a record hold none: compaction or a transaction marker took their place.
    """

    partition: int
    first: int
    next: int
    records: pa.RecordBatch


@dataclass(slots=True, weakref_slot=True, eq=False)
class Flush:
    """The chunks of all partitions of a topic that become one batch; `nbytes` while in memory."""

    topic: str
    chunks: tuple[Chunk, ...]
    batch: Batch = field(default_factory=lambda: new_batch())
    nbytes: int = 0

    def __post_init__(self) -> None:
        self.nbytes = sum(chunk.records.nbytes for chunk in self.chunks)

    def release(self) -> None:
        """Let go of the records: Faust keeps the last event of a stream for long."""
        self.chunks, self.nbytes = (), 0


@dataclass(frozen=True, slots=True)
class FlushPart:
    """One partition's part of a flush: what one Faust message carries as its value."""

    flush: Flush
    partition: int
    parts: int


def new_batch() -> Batch:
    """Make a batch identifier: names sort by the time they were made."""
    return f"{int(time.time() * 1000):012x}{secrets.token_hex(6)}"
