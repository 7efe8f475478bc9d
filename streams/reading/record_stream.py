"""Reader of the records of one batch while it is decompressed, whatever its decompressed size.

A record of up to MOST_RECORD_BYTES is read whole; the size counts before compression. Of a larger
record only the first part of its value stays; all its bytes are counted and hashed, then discarded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterator
from typing import Final

import pyarrow as pa

from streams.reading.inflate import ByteSource
from streams.reading.record_batches import KafkaBatch
from streams.reading.record_columns import (
    CorruptRecordsError,
    columns_at,
    read_varint,
    whole_records,
)
from streams.reading.records import RECORDS, Part

__all__ = [
    "FIRST_BYTES",
    "MOST_RECORD_BYTES",
    "NOTHING",
    "PIECE_BYTES",
    "PIECE_RECORDS",
    "RecordStream",
]

PIECE_BYTES: Final = 8 << 20
"""Bytes of records that are read at once: a piece has hardly more, whatever the batch's size."""

PIECE_RECORDS: Final = 128 << 10
"""Records that are read at once: the smallest has 7 bytes, but takes 100 while it is read."""

MOST_RECORD_BYTES: Final = PIECE_BYTES
"""The largest record that is read: bytes of key, value and headers, before compression (SPEC §6,
*Bounds*).
"""

FIRST_BYTES: Final = 64 << 10
"""Bytes that remain of a larger record's value, and of its key."""

_VARINT_BYTES: Final = 10  # the longest
_LENGTH_BYTES: Final = 4  # of MOST_RECORD_BYTES as a varint
_READ_BYTES: Final = 1 << 20  # at once
_REST_BYTES: Final = 32 << 20  # of a larger record, then other partitions have their turn

NOTHING: Final = pa.RecordBatch.from_arrays([pa.nulls(0, f.type) for f in RECORDS], schema=RECORDS)
"""A piece without rows: it means that reading continues."""


class RecordStream:
    """Reader of the records of a batch, piece by piece.

    `pieces` raises CorruptRecordsError if the records contradict the batch, and InflateError if
    they can't be decompressed.
    """

    def __init__(self, batch: KafkaBatch, source: ByteSource) -> None:
        self._batch = batch
        self._source = source
        self._data = b""
        self._at = 0  # bytes of a large record passed
        self._left = batch.count
        self._behind = batch.base_offset  # the last offset read

    def pieces(self) -> Iterator[pa.RecordBatch]:
        """Yield pieces (schema RECORDS). While a large record is read, pieces without rows come.

        A record that is too large is a piece of its own, with a Part.
        """
        while self._left:
            self._fill(PIECE_BYTES + _LENGTH_BYTES)
            starts, reached = whole_records(self._data, min(self._left, PIECE_RECORDS))
            if not starts:
                yield from self._large()
                continue
            data, self._data = self._data[:reached], self._data[reached:]
            self._left -= len(starts)
            columns = columns_at(data, starts, [self._batch], [len(starts)])
            self._go_on(columns.column("offset")[0].as_py(), columns.column("offset")[-1].as_py())
            yield columns
        self._fill(1)
        if self._data:
            raise CorruptRecordsError(f"its {self._batch.count:,} records don't fill it")

    def _go_on(self, first: int, last: int) -> None:
        if not self._behind <= first <= last < self._batch.next_offset:
            raise CorruptRecordsError("the offsets of its records don't ascend within its own")
        self._behind = last + 1

    def _fill(self, size: int) -> None:
        """Read until `size` bytes are buffered, or until the end."""
        parts, missing = [self._data], size - len(self._data)
        while missing > 0:
            part = self._source.read(min(missing, _READ_BYTES))
            if not part:
                break
            parts.append(part)
            missing -= len(part)
        if len(parts) > 1:
            self._data = b"".join(parts)

    def _large(self) -> Iterator[pa.RecordBatch]:
        """Skip a record that is too large, and yield its key and the first part of its value."""
        is_all = len(self._data) < PIECE_BYTES + _LENGTH_BYTES
        length = self._varint()
        if is_all and length <= MOST_RECORD_BYTES:
            raise CorruptRecordsError("its last record is cut off")
        end = self._at + length
        self._take(1)  # attributes
        self._varint()  # the producer's time
        offset = self._batch.base_offset + self._varint()
        self._go_on(offset, offset)
        key, _ = yield from self._field(end)
        value, part = yield from self._field(end)
        yield from self._passed(end - self._at, 0, None)  # headers
        self._left -= 1
        columns = [[offset], [self._batch.max_timestamp], [key], [value]]
        arrays = [pa.array(c, field.type) for c, field in zip(columns, RECORDS, strict=True)]
        yield part.marked(pa.RecordBatch.from_arrays(arrays, schema=RECORDS))

    def _field(self, end: int) -> Generator[pa.RecordBatch, None, tuple[bytes | None, Part]]:
        """Skip a key or value of a record that ends at `end`.

        Returns its first KEPT_BYTES bytes (None if it is null), and its size and hash.
        """
        self._fill(_VARINT_BYTES)
        size = self._varint()
        if size < -1 or self._at + size > end:
            raise CorruptRecordsError("a record's fields are longer than the record")
        digest = hashlib.sha256()
        start = yield from self._passed(max(size, 0), FIRST_BYTES, digest)
        return None if size < 0 else start, Part(max(size, 0), digest.hexdigest())

    def _passed(
        self, size: int, most: int, digest: hashlib._Hash | None
    ) -> Generator[pa.RecordBatch, None, bytes]:
        """Skip `size` bytes; return the first `most`, and add all of them to the digest."""
        start, since = b"", 0
        while size:
            self._fill(min(size, _READ_BYTES))
            part = self._take(size)
            if not part:
                raise CorruptRecordsError("its last record is cut off")
            start += part[: max(most - len(start), 0)]
            if digest is not None:
                digest.update(part)
            size -= len(part)
            since += len(part)
            if since >= _REST_BYTES:
                since = 0
                yield NOTHING
        return start

    def _varint(self) -> int:
        value, size = read_varint(self._data[:_VARINT_BYTES], 0)
        self._take(size)
        return value

    def _take(self, most: int) -> bytes:
        taken, self._data = self._data[:most], self._data[most:]
        self._at += len(taken)
        return taken
