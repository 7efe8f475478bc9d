"""Raw records as columns, as the batch transport passes them to the writer.

A chunk has all records that were read of one partition between two flushes. A flush has the chunks
of all partitions of one topic; it becomes one batch of files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa

from streams.moments import nearest_moment
from streams.storage.batch_names import new_batch
from streams.storage.layout import Batch

RECORDS: Final = pa.schema(
    [
        ("offset", pa.int64()),
        ("appended_at", pa.int64()),  # UTC milliseconds, by the broker's clock
        ("key", pa.binary()),
        ("value", pa.binary()),
    ]
)
"""Columns of raw records of one partition."""

PLACED: Final = RECORDS.append(pa.field("partition", pa.int32()))
"""Columns of raw records of several partitions."""


_SIZE: Final = b"value-size"
_SHA256: Final = b"value-sha256"


@dataclass(frozen=True, slots=True)
class Part:
    """Size in bytes and SHA-256 in hex of a whole value, of which only the first part is there."""

    size: int
    sha256: str

    @classmethod
    def of(cls, piece: pa.RecordBatch) -> Part | None:
        """The Part in the metadata of a piece with one record; None if values are whole."""
        metadata = piece.schema.metadata or {}
        return cls(int(metadata[_SIZE]), metadata[_SHA256].decode()) if _SIZE in metadata else None

    def marked(self, piece: pa.RecordBatch) -> pa.RecordBatch:
        """A copy of a piece with one record, marked in its metadata as having a part of a value."""
        metadata = {_SIZE: str(self.size).encode(), _SHA256: self.sha256.encode()}
        return piece.replace_schema_metadata(metadata)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Offsets `[first, next)` of a partition, and all records (schema RECORDS) in that range.

    The records are in pieces, as they were fetched, in order of offsets. An offset without a record
    was removed by compaction, or belongs to a transaction marker or an aborted transaction.
    """

    partition: int
    first: int
    next: int
    records: tuple[pa.RecordBatch, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of the records in memory."""
        return sum(piece.nbytes for piece in self.records)

    @property
    def appended(self) -> tuple[int, int] | None:
        """Earliest and latest append time in UTC milliseconds, limited to the range of moments
        (SPEC §6); None if there is no record.
        """
        times = [piece.column("appended_at").to_numpy() for piece in self.records]
        if not times:
            return None
        least, most = min(t.min() for t in times), max(t.max() for t in times)
        return nearest_moment(int(least)), nearest_moment(int(most))


@dataclass(slots=True, weakref_slot=True, eq=False)
class Flush:
    """The chunks of all partitions of a topic that become one batch.

    nbytes: bytes of the records in memory; 0 after `release`. is_dropped: a rebalance or a seek
    came after the flush was made. Its offsets are read again, so it must not be acknowledged, even
    if it was written.
    """

    topic: str
    chunks: tuple[Chunk, ...]
    batch: Batch = field(default_factory=new_batch)
    nbytes: int = 0
    is_dropped: bool = False
    is_being_written: bool = False

    def __post_init__(self) -> None:
        self.nbytes = sum(chunk.nbytes for chunk in self.chunks)

    @property
    def offsets(self) -> dict[int, tuple[int, int]]:
        """The offsets [first, next) of each partition; empty after `release`."""
        return {chunk.partition: (chunk.first, chunk.next) for chunk in self.chunks}

    def drop(self) -> None:
        """Drop the flush: its offsets will be read again."""
        self.is_dropped = True
        if not self.is_being_written:
            self.release()

    def release(self) -> None:
        """Free the records. Faust holds the last event of a stream for long, and so the flush."""
        self.chunks, self.nbytes = (), 0


@dataclass(frozen=True, slots=True)
class FlushPart:
    """One partition's part of a flush: the value of one Faust message.

    parts: the number of parts of the whole flush.
    """

    flush: Flush
    partition: int
    parts: int


def placed(chunks: Iterable[Chunk], nbytes: int) -> Iterator[pa.RecordBatch]:
    """Yield the records of some chunks (schema PLACED), joined into pieces of about `nbytes`.

    A quiet topic is fetched in pieces of a few records, and each piece costs a call of the decoder.
    A record with only a part of its value stays alone in its piece.
    """
    gathered: list[pa.RecordBatch] = []
    size = 0
    for chunk in chunks:
        for records in chunk.records:
            partition = pa.repeat(pa.scalar(chunk.partition, pa.int32()), len(records))
            here = pa.RecordBatch.from_arrays([*records.columns, partition], schema=PLACED)
            part = Part.of(records)
            if part is not None:
                if gathered:
                    yield _joined(gathered)
                    gathered, size = [], 0
                yield part.marked(here)
                continue
            gathered.append(here)
            size += records.nbytes
            if size >= nbytes:
                yield _joined(gathered)
                gathered, size = [], 0
    if gathered:
        yield _joined(gathered)


def _joined(pieces: list[pa.RecordBatch]) -> pa.RecordBatch:
    return pieces[0] if len(pieces) == 1 else pa.concat_batches(pieces)
