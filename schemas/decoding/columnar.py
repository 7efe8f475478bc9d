"""Reader of many Avro datums at once: one field after the other, each for all datums, with numpy.

A datum has no index of its fields: where a field begins depends on the fields before it. But all
datums of a schema have the same *sequence* of fields. So a vector with one position for each datum
moves over all of them together (Avro 1.11 specification, "Binary encoding"). Damage is isolated: a
datum that is cut short, or has an index out of range, is flagged and its position moved to its end.
The others aren't affected.

Invariant of every read: no position passes the end of its datum. The buffer has `PADDING` bytes on
both sides, so a window around a position never leaves the buffer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.reasons import reason_text

__all__ = [
    "PADDING",
    "BoolArray",
    "Cursor",
    "Flags",
    "IntArray",
    "Windows",
    "read_length",
    "read_long",
    "spread",
    "text_array",
]

IntArray: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]

PADDING = 32
"""Bytes before the first and after the last datum: more than the largest window that is read."""


class Flags:
    """Refused rows: for each row, the first reason why it is refused, if any."""

    def __init__(self, size: int) -> None:
        self._codes = np.zeros(size, np.int32)
        self._reasons: dict[str, int] = {"": 0}

    def refuse(self, rows: IntArray, reason: str) -> None:
        """Refuse `rows`; a row that is refused already keeps its first reason."""
        if rows.size:
            code = self._reasons.setdefault(reason, len(self._reasons))
            self._codes[rows[self._codes[rows] == 0]] = code

    @property
    def good(self) -> BoolArray:
        """A mask of the rows that aren't refused."""
        good: BoolArray = self._codes == 0
        return good

    def refused(self) -> Sequence[tuple[int, str]]:
        """(row, reason) of every refused row, in order; a reason is one line of bounded length."""
        rows = np.flatnonzero(self._codes)
        reasons = [reason_text(reason) for reason in self._reasons]
        return [
            (int(row), reasons[code]) for row, code in zip(rows, self._codes[rows], strict=True)
        ]


@dataclass(frozen=True, slots=True)
class Windows:
    """Overlapping views of one buffer: index p of a view has the 1, 8 or 12 bytes from p on."""

    data: bytes
    byte: npt.NDArray[np.uint8]
    eight: npt.NDArray[np.uint64]
    twelve: npt.NDArray[np.void]

    @classmethod
    def over(cls, data: bytes) -> Windows:
        """Make the views of `data`: datums with PADDING bytes before and after them."""
        size = len(data)
        return cls(
            data,
            np.frombuffer(data, np.uint8),
            np.ndarray((size - 7,), "<u8", data, strides=(1,)),
            np.ndarray((size - 11,), "V12", data, strides=(1,)),
        )

    def of(self, dtype: str) -> npt.NDArray[np.generic]:
        """A view with the bytes from each index as a value of another numpy type."""
        size = np.dtype(dtype).itemsize
        return np.ndarray((len(self.data) - size + 1,), dtype, self.data, strides=(1,))


@dataclass(slots=True)
class Cursor:
    """The reading position of each datum.

    position, end: indexes into the buffer. rows: the index of each datum in `flags`.
    """

    windows: Windows
    rows: IntArray
    position: IntArray
    end: IntArray
    flags: Flags
    size: int = field(init=False)

    def __post_init__(self) -> None:
        self.size = len(self.position)

    def at(self, index: IntArray) -> Cursor:
        """A cursor for some of the rows; after reading with it, pass it to `resume`."""
        return Cursor(
            self.windows,
            self.rows[index],
            self.position[index],
            self.end[index],
            self.flags,
        )

    def resume(self, index: IntArray, other: Cursor) -> None:
        """Take over the positions of `other`, a cursor from `at(index)`."""
        self.position[index] = other.position

    def move(self, position: IntArray, what: str) -> None:
        """Move to `position`; refuse rows that would pass their end."""
        self.position = position
        over = position > self.end
        if over.any():
            self.refuse(over, f"cut short in {what}")

    def refuse(self, which: BoolArray, reason: str) -> None:
        """Refuse some rows and move them to the end of their datum."""
        index = np.flatnonzero(which)
        self.flags.refuse(self.rows[index], reason)
        self.position[index] = self.end[index]


_CONTINUES = np.uint64(0x8080808080808080)
_LOW_BITS = np.uint64(0x7F7F7F7F7F7F7F7F)
_ONE = np.uint64(1)
_EIGHT_BYTES_CARRY = 56
_MAX_VARINT = 10
"""Bytes of the longest varint (64 bits in groups of 7)."""

_FEW = 8
"""Longer varints are read apart from the short ones if fewer than one row in this many has one."""


def read_long(cursor: Cursor, what: str) -> IntArray:
    """Read a zigzag varint of each row (Avro int, long, and every length, count and index)."""
    position = cursor.position
    first = cursor.windows.byte[position]
    more = np.flatnonzero(first & 0x80)
    if not more.size:
        value = first.astype(np.uint64)
        length: IntArray | int = 1
    elif more.size * _FEW < cursor.size:
        value = first.astype(np.uint64)
        length = np.ones(cursor.size, np.int64)
        value[more], length[more] = _long_varints(cursor, position[more], more, what)
    else:
        value, length = _long_varints(cursor, position, None, what)
    cursor.move(position + length, what)
    return (value >> _ONE).view(np.int64) ^ -(value & _ONE).view(np.int64)


def _long_varints(
    cursor: Cursor, position: IntArray, index: IntArray | None, what: str
) -> tuple[npt.NDArray[np.uint64], IntArray]:
    """(raw values, lengths in bytes) of varints of any length.

    Eight bytes are read at once; the lowest clear top bit marks the varint's last byte. Then three
    steps join the groups of 7 bits (7 to 14, to 28, to 56 bits). Varints of more than eight bytes
    are few, and finished apart.
    """
    word = cursor.windows.eight[position]
    stop = ~word & _CONTINUES
    lowest = stop & (~stop + _ONE)
    mask = (lowest << _ONE) - _ONE
    length = (np.bitwise_count(mask) >> 3).astype(np.int64)
    x = word & mask & _LOW_BITS
    x = (x & np.uint64(0x007F007F007F007F)) | ((x & np.uint64(0x7F007F007F007F00)) >> _ONE)
    x = (x & np.uint64(0x00003FFF00003FFF)) | ((x & np.uint64(0x3FFF00003FFF0000)) >> np.uint64(2))
    x = (x & np.uint64(0x000000000FFFFFFF)) | ((x & np.uint64(0x0FFFFFFF00000000)) >> np.uint64(4))
    longer = np.flatnonzero(stop == 0)
    if longer.size:
        _finish_longest(cursor, position, longer, x, length)
        too_long = length > _MAX_VARINT
        if too_long.any():
            which = np.flatnonzero(too_long) if index is None else index[too_long]
            # A datum that ends within these bytes is cut short: the bytes behind it aren't its own.
            whole = which[cursor.end[which] - cursor.position[which] >= _MAX_VARINT]
            cursor.flags.refuse(cursor.rows[whole], f"a number of more than 64 bits in {what}")
    return x, length


def _finish_longest(
    cursor: Cursor,
    position: IntArray,
    rows: IntArray,
    value: npt.NDArray[np.uint64],
    length: IntArray,
) -> None:
    """Add the ninth and tenth byte of the longest varints to `value`, and set their `length`.

    A length of 11 means that the varint doesn't end there.
    """
    length[rows] = _MAX_VARINT + 1
    open_rows = rows
    for extra in (8, 9):
        byte = cursor.windows.byte[position[open_rows] + extra]
        shift = np.uint64(_EIGHT_BYTES_CARRY + 7 * (extra - 8))
        value[open_rows] |= (byte & np.uint8(0x7F)).astype(np.uint64) << shift
        ended = byte < 0x80
        length[open_rows[ended]] = extra + 1
        open_rows = open_rows[~ended]


def read_length(cursor: Cursor, what: str) -> IntArray:
    """Read the length of a string or bytes value.

    Rows whose value would pass the end of the datum are refused, and get a length of 0.
    """
    length = read_long(cursor, what)
    wrong = (length < 0) | (length > cursor.end - cursor.position)
    if wrong.any():
        cursor.refuse(wrong, f"cut short in {what}")
        length[wrong] = 0
    return length


def text_array(cursor: Cursor, length: IntArray, kind: pa.DataType, what: str) -> pa.Array:
    """Read `length` bytes of each row as an Arrow string or binary array, and move past them.

    The function builds views (Arrow columnar format, "Variable-size Binary View Layout"). The cast
    copies the values, in C++, and checks that strings are UTF-8. Bytes behind an inlined value are
    not cleared, as only the cast sees them.
    """
    position = cursor.position
    views = np.empty((cursor.size, 4), np.int32)
    views[:, 0] = length
    views[:, 1:] = cursor.windows.twelve[position].view(np.int32).reshape(cursor.size, 3)
    outside = np.flatnonzero(length > 12)
    views[outside, 2] = 0
    views[outside, 3] = position[outside]
    cursor.position = position + length
    buffers = [None, pa.py_buffer(views), pa.py_buffer(cursor.windows.data)]
    binary = pa.Array.from_buffers(pa.binary_view(), cursor.size, buffers)
    if kind == pa.binary():
        return binary.cast(kind)
    try:
        return binary.cast(kind)
    except pa.ArrowInvalid:
        return _only_utf8(cursor, binary.cast(pa.binary()), what)


def _only_utf8(cursor: Cursor, binary: pa.Array, what: str) -> pa.Array:
    texts: list[str] = []
    wrong = np.zeros(cursor.size, np.bool_)
    for index, value in enumerate(binary.to_pylist()):
        try:
            texts.append(value.decode())
        except UnicodeDecodeError:
            wrong[index] = True
            texts.append("")
    cursor.refuse(wrong, f"text that isn't UTF-8 in {what}")
    return pa.array(texts, pa.string())


def spread(values: pa.Array, index: IntArray, size: int) -> pa.Array:
    """An array of `size` with `values` at the ascending `index`, and null elsewhere."""
    source = np.zeros(size, np.int32)
    source[index] = np.arange(len(index), dtype=np.int32)
    empty = np.ones(size, np.bool_)
    empty[index] = False
    return values.take(pa.array(source, mask=empty))
