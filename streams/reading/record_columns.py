"""Reader of the records in Kafka's record batches as columns, without a Python object per record.

A record's fields are variable-length integers and bytes (Kafka's documentation, "Record"). Only the
walk from record to record is a loop. All fields of all records are read as numpy columns, and Arrow
copies keys and values out of the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from streams.reading.record_batches import KafkaBatch, Payload
from streams.reading.records import RECORDS

__all__ = ["CorruptRecordsError", "columns_at", "columns_of", "read_varint", "whole_records"]

_LONGEST_VARINT: Final = 10

_STEPS: Final = tuple(2 + ((first & 0x7F) >> 1) for first in range(256))
"""For the first of a length's two bytes, its share of the step to the next record (zigzag doubles
lengths; the two bytes of the length are included).
"""

IntArray: TypeAlias = npt.NDArray[np.int64]


class CorruptRecordsError(Exception):
    """The lengths, counts, fields or offsets of a batch's records contradict each other."""


def columns_of(batches: Sequence[KafkaBatch], payloads: Sequence[Payload]) -> pa.RecordBatch:
    """Read the records of some batches (schema RECORDS); payloads: the bytes of each's records.

    Raises CorruptRecordsError if a batch's records contradict each other or its header.
    """
    data = b"".join(payloads)
    starts = _walk_all(data, batches, [len(payload) for payload in payloads])
    return columns_at(data, starts, batches, [batch.count for batch in batches])


def columns_at(
    data: bytes, starts: Sequence[int], batches: Sequence[KafkaBatch], counts: Sequence[int]
) -> pa.RecordBatch:
    """Read the records that begin at `starts` and fill `data`; counts: the number of each batch's.

    Raises CorruptRecordsError if the records contradict each other or their batch.
    """
    fields = _Fields(np.frombuffer(data, np.uint8), np.array(starts, np.int64))
    ends = fields.varint()
    ends += fields.at
    fields.at += 1  # a byte of attributes, none of which is in use
    fields.varint()  # the producer's time, replaced by the broker's append time
    offsets = np.repeat([batch.base_offset for batch in batches], counts) + fields.varint()
    _refuse_wrong_offsets(offsets, batches, np.array(counts))
    key_at, key_end, key_null = fields.binary()
    value_at, value_end, value_null = fields.binary()
    if (value_end > ends).any():
        raise CorruptRecordsError("a record's fields are longer than the record")
    edges = np.empty(4 * len(ends) + 1, np.int32)
    edges[0:-1:4], edges[1::4], edges[2::4], edges[3::4] = key_at, key_end, value_at, value_end
    edges[-1] = len(data)
    appended_at = np.repeat([batch.max_timestamp for batch in batches], counts)
    return pa.RecordBatch.from_arrays(
        [
            pa.array(offsets),
            pa.array(appended_at),
            _every_fourth(data, edges, 0, key_null),
            _every_fourth(data, edges, 2, value_null),
        ],
        schema=RECORDS,
    )


def whole_records(data: bytes, most: int) -> tuple[list[int], int]:
    """(where the complete records in `data` begin, where the last one ends).

    most: maximum number of records. Raises CorruptRecordsError if a length isn't a valid number.
    """
    starts: list[int] = []
    try:
        reached = _walk(data, 0, most, starts.append)
    except IndexError:
        reached = starts.pop()  # the length of this record is incomplete
    if reached > len(data):
        reached = starts.pop()
    return starts, reached


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """(a zigzag-encoded integer, where it ends); CorruptRecordsError if it is cut or invalid."""
    try:
        value, size = _long_varint(data, at)
    except IndexError:
        raise CorruptRecordsError("a record is cut off") from None
    return (value >> 1) ^ -(value & 1), at + size


def _refuse_wrong_offsets(
    offsets: IntArray, batches: Sequence[KafkaBatch], counts: IntArray
) -> None:
    """Raise CorruptRecordsError unless offsets ascend, and lie between their batch's bounds."""
    behind = np.cumsum(counts)
    first = np.array([batch.base_offset for batch in batches])
    upto = np.array([batch.next_offset for batch in batches])
    wrong = (offsets[behind - counts] < first) | (offsets[behind - 1] >= upto)
    if wrong.any() or (offsets[1:] <= offsets[:-1]).any():
        raise CorruptRecordsError("the offsets of its records don't ascend within its own")


def _walk_all(data: bytes, batches: Sequence[KafkaBatch], sizes: Sequence[int]) -> list[int]:
    starts: list[int] = []
    at = 0
    for batch, size in zip(batches, sizes, strict=True):
        at += size
        try:
            reached = _walk(data, at - size, batch.count, starts.append)
        except IndexError:
            reached = -1
        if reached != at:
            raise CorruptRecordsError(f"its {batch.count:,} records don't fill it")
    return starts


def _walk(data: bytes, at: int, count: int, found: Callable[[int], None]) -> int:
    """Step from record to record by the length before each; return where the last record ends.

    found: called with the position of each record. This is the only loop over records; lengths of
    one to three bytes, the usual ones, are read without a nested loop.
    """
    steps = _STEPS
    for _ in range(count):
        found(at)
        first = data[at]
        if first < 0x80:
            at += 1 + (first >> 1)  # zigzag; a length is never negative
            continue
        second = data[at + 1]
        if second < 0x80:
            at += steps[first] + (second << 6)
            continue
        third = data[at + 2]
        if third < 0x80:
            at += 3 + ((first & 0x7F | (second & 0x7F) << 7 | third << 14) >> 1)
            continue
        length, size = _long_varint(data, at)
        at += size + (length >> 1)
    return at


def _long_varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for size in range(_LONGEST_VARINT):
        byte = data[at + size]
        value |= (byte & 0x7F) << (7 * size)
        if byte < 0x80:
            return value, size + 1
    raise CorruptRecordsError("a number in a record has more than 64 bits")


class _Fields:
    """Reader of one field of all records at a time; `at`: where each record's next field begins."""

    def __init__(self, data: npt.NDArray[np.uint8], at: IntArray) -> None:
        self._data = data
        self.at = at

    def varint(self) -> IntArray:
        """Read a zigzag-encoded integer of each record."""
        try:
            byte = self._data[self.at]
            value = (byte & 0x7F).astype(np.uint64)
            self.at = self.at + 1
            longer = np.flatnonzero(byte > 0x7F)
            for shift in range(7, 70, 7):
                if not longer.size:
                    break
                byte = self._data[self.at[longer]]
                value[longer] |= (byte & 0x7F).astype(np.uint64) << np.uint64(shift)
                self.at[longer] += 1
                longer = longer[byte > 0x7F]
        except IndexError:
            raise CorruptRecordsError("a record is cut off") from None
        sign = -(value & np.uint64(1)).astype(np.int64)
        return (value >> np.uint64(1)).astype(np.int64) ^ sign

    def binary(self) -> tuple[IntArray, IntArray, npt.NDArray[np.bool_]]:
        """Read a field of bytes of each record: (where it begins, where it ends, whether null)."""
        length = self.varint()
        if (length < -1).any() or (length > len(self._data)).any():
            raise CorruptRecordsError("a record's key or value has an impossible length")
        begin = self.at
        self.at = begin + np.maximum(length, 0)
        return begin, self.at, length < 0


def _every_fourth(
    data: bytes, edges: npt.NDArray[np.int32], first: int, null: npt.NDArray[np.bool_]
) -> pa.BinaryArray:
    """A binary array of every fourth slice of `data` between two edges, from slice `first` on."""
    every = pa.Array.from_buffers(
        pa.binary(), len(edges) - 1, [None, pa.py_buffer(edges), pa.py_buffer(data)]
    )
    cut = every.take(pa.array(np.arange(first, len(edges) - 1, 4)))
    if not null.any():
        return cut
    validity = pa.py_buffer(np.packbits(~null, bitorder="little"))
    return pa.Array.from_buffers(pa.binary(), len(cut), [validity, *cut.buffers()[1:]])
