"""Nodes: each reads the values of one Avro type, for all datums at once, into an Arrow array.

A node reads the writer's type. With a `target` it also makes the reader's Arrow array. Without one
it skips the value, with the same checks. `resolve.py` composes nodes for a writer's and a reader's
schema.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa

from schemas.bounds import FIRST_DAY, FIRST_MOMENT_MS, LAST_DAY, LAST_MOMENT_MS
from schemas.decoding.columnar import (
    PADDING,
    Cursor,
    IntArray,
    read_length,
    read_long,
    spread,
    text_array,
)
from schemas.decoding.values import decimals_from_bytes, uuids_from_text

__all__ = [
    "Booleans",
    "Constant",
    "Decimals",
    "Enums",
    "Fixeds",
    "Floats",
    "Longs",
    "Node",
    "Nullable",
    "Nulls",
    "Record",
    "Refuses",
    "Texts",
    "Uuids",
]


class Node(Protocol):
    """A reader of one value of each row."""

    def read(self, cursor: Cursor) -> pa.Array | None:
        """Read a value of each row and move the cursor past it.

        Returns the values as an Arrow array; None from a node that only skips. A refused row has an
        arbitrary value in it, which is valid for the type.
        """


@dataclass(frozen=True, slots=True)
class Nulls:
    """null, which takes no bytes in Avro."""

    target: pa.DataType | None

    def read(self, cursor: Cursor) -> pa.Array | None:
        """See `Node.read`."""
        return pa.nulls(cursor.size, self.target) if self.target is not None else None


@dataclass(frozen=True, slots=True)
class Constant:
    """A field that the writer doesn't have: every row gets the reader's default.

    value: the default, as an array of one value.
    """

    value: pa.Array

    def read(self, cursor: Cursor) -> pa.Array:
        """See `Node.read`."""
        if self.value.null_count:
            return pa.nulls(cursor.size, self.value.type)
        return self.value.take(pa.array(np.zeros(cursor.size, np.int8)))


@dataclass(frozen=True, slots=True)
class Booleans:
    """boolean, one byte; every byte but 0 is true, as in other readers."""

    target: pa.DataType | None
    what: str

    def read(self, cursor: Cursor) -> pa.Array | None:
        """See `Node.read`."""
        value = cursor.windows.byte[cursor.position]
        cursor.move(cursor.position + 1, self.what)
        return pa.array(value != 0) if self.target is not None else None


_INT_LIMIT = 1 << 31
_MILLISECONDS = {"ms": 1, "us": 1000}


def _bounds(target: pa.DataType) -> tuple[int, int] | None:
    """First and last value of a date or moment that may be stored (SPEC §6); None for others."""
    if pa.types.is_timestamp(target):
        unit = _MILLISECONDS[target.unit]
        return FIRST_MOMENT_MS * unit, (LAST_MOMENT_MS + 1) * unit - 1
    return (FIRST_DAY, LAST_DAY) if pa.types.is_date32(target) else None


@dataclass(frozen=True, slots=True)
class Longs:
    """int and long with their logical types; `divisor` converts microseconds to milliseconds."""

    target: pa.DataType | None
    what: str
    is_int: bool = False
    divisor: int = 1

    def read(self, cursor: Cursor) -> pa.Array | None:
        """See `Node.read`."""
        value = read_long(cursor, self.what)
        if self.is_int:
            wrong = (value < -_INT_LIMIT) | (value >= _INT_LIMIT)
            if wrong.any():
                cursor.refuse(wrong, f"a number of more than 32 bits in {self.what}")
        if self.target is None:
            return None
        if pa.types.is_floating(self.target):  # the promotions of int and long
            return pa.array(value).cast(self.target, safe=False)
        if self.divisor != 1:
            value = np.floor_divide(value, self.divisor)
        if (bounds := _bounds(self.target)) is not None:
            wrong = (value < bounds[0]) | (value > bounds[1])
            if wrong.any():
                cursor.flags.refuse(cursor.rows[wrong], f"{_outside(self.target)} in {self.what}")
                value[wrong] = 0
        if self.target.bit_width == 32:
            value = value.astype(np.int32)
        return pa.Array.from_buffers(
            self.target, cursor.size, [None, pa.py_buffer(np.ascontiguousarray(value))]
        )


def _outside(target: pa.DataType) -> str:
    if pa.types.is_date32(target):
        return "a date outside 0001-01-01 to 9999-12-31"
    return "a moment outside 0001-01-02 to 9999-12-30"


@dataclass(frozen=True, slots=True)
class Floats:
    """float (4 bytes) and double (8)."""

    target: pa.DataType | None
    what: str
    dtype: str

    def read(self, cursor: Cursor) -> pa.Array | None:
        """See `Node.read`."""
        value = cursor.windows.of(self.dtype)[cursor.position]
        cursor.move(cursor.position + value.itemsize, self.what)
        return pa.array(value).cast(self.target) if self.target is not None else None


@dataclass(frozen=True, slots=True)
class Texts:
    """string and bytes; a value that is read as a string must be UTF-8."""

    target: pa.DataType | None
    what: str

    def read(self, cursor: Cursor) -> pa.Array | None:
        """See `Node.read`."""
        length = read_length(cursor, self.what)
        if self.target is None:
            cursor.position = cursor.position + length
            return None
        return text_array(cursor, length, self.target, self.what)


@dataclass(frozen=True, slots=True)
class Uuids:
    """A string that must be a UUID in its usual form, as 16 bytes."""

    what: str

    def read(self, cursor: Cursor) -> pa.Array:
        """See `Node.read`."""
        length = read_length(cursor, self.what)
        text = text_array(cursor, length, pa.binary(), self.what)
        values, wrong = uuids_from_text(text)
        if wrong is not None:
            cursor.refuse(wrong, f"not a UUID in {self.what}")
        return values


_MOST_FIXED = 1 << 40
"""Bytes: more than any datum has, and small enough that positions don't overflow."""


@dataclass(frozen=True, slots=True)
class Fixeds:
    """A fixed number of bytes."""

    target: pa.DataType | None
    what: str
    size: int

    def read(self, cursor: Cursor) -> pa.Array | None:
        """See `Node.read`."""
        start, size = cursor.position, min(self.size, _MOST_FIXED)
        cursor.move(start + size, self.what)
        if self.target is None:
            return None
        whole = start + size == cursor.position
        if size <= PADDING // 2:
            value = cursor.windows.of(f"V{size}")[start].tobytes()
        else:
            data, nothing = cursor.windows.data, bytes(size)
            value = b"".join(
                data[at : at + size] if there else nothing
                for at, there in zip(start.tolist(), whole.tolist(), strict=True)
            )
        fixed = pa.Array.from_buffers(pa.binary(size), cursor.size, [None, pa.py_buffer(value)])
        return fixed.cast(self.target)


@dataclass(frozen=True, slots=True)
class Decimals:
    """A two's complement number in bytes (`fixed` None) or in fixed bytes."""

    target: pa.Decimal128Type
    what: str
    fixed: int | None

    def read(self, cursor: Cursor) -> pa.Array:
        """See `Node.read`."""
        if self.fixed is None:
            length = read_length(cursor, self.what)
        else:
            length = np.full(cursor.size, min(self.fixed, _MOST_FIXED), np.int64)
        start = cursor.position
        cursor.move(start + length, self.what)
        end = cursor.position
        length = np.where(start + length == end, length, 0)
        values, wrong = decimals_from_bytes(cursor.windows, end, length, self.target)
        if wrong.any():
            cursor.refuse(wrong, f"more than {self.target.precision} digits in {self.what}")
        return values


@dataclass(frozen=True, slots=True)
class Enums:
    """An enum, written as an index into the writer's symbols.

    codes: for each symbol of the writer, the reader's index, or -1 if the reader doesn't have it.
    symbols: the reader's.
    """

    target: pa.DictionaryType | None
    what: str
    codes: IntArray
    symbols: pa.Array

    def read(self, cursor: Cursor) -> pa.Array | None:
        """See `Node.read`."""
        index = read_long(cursor, self.what)
        wrong = (index < 0) | (index >= len(self.codes))
        if wrong.any():
            cursor.refuse(wrong, f"an index outside the enum in {self.what}")
            index[wrong] = 0
        if self.target is None:
            return None
        code = self.codes[index]
        missing = code < 0
        if missing.any():
            cursor.flags.refuse(
                cursor.rows[missing], f"a symbol that isn't known here in {self.what}"
            )
            code[missing] = 0
        width = np.int8 if self.target.index_type.bit_width == 8 else np.int32
        return pa.DictionaryArray.from_arrays(pa.array(code.astype(width)), self.symbols)


@dataclass(frozen=True, slots=True)
class Refuses:
    """A type that doesn't resolve to the reader's: every row that has such a value is refused."""

    target: pa.DataType
    reason: str

    def read(self, cursor: Cursor) -> pa.Array:
        """See `Node.read`."""
        cursor.refuse(np.ones(cursor.size, np.bool_), self.reason)
        return pa.nulls(cursor.size, self.target)


@dataclass(frozen=True, slots=True)
class Nullable:
    """A union of null and one other type; `required` if the reader's type doesn't accept null."""

    inner: Node
    null_branch: int
    target: pa.DataType | None
    what: str
    required: bool = False

    def read(self, cursor: Cursor) -> pa.Array | None:
        """See `Node.read`."""
        branch = read_long(cursor, self.what)
        wrong = (branch < 0) | (branch > 1)
        if wrong.any():
            cursor.refuse(wrong, f"an index outside the union in {self.what}")
            branch[wrong] = self.null_branch
        index = np.flatnonzero(branch != self.null_branch)
        if self.required and index.size < cursor.size:
            null = branch == self.null_branch
            cursor.flags.refuse(cursor.rows[null], f"null in {self.what}, which is required")
        if index.size == cursor.size:
            return self.inner.read(cursor)
        some = cursor.at(index)
        values = (
            self.inner.read(some) if index.size or self.target is None else pa.nulls(0, self.target)
        )
        cursor.resume(index, some)
        if self.target is None:
            return None
        return (
            spread(values, index, cursor.size) if index.size else pa.nulls(cursor.size, self.target)
        )


@dataclass(frozen=True, slots=True)
class Record:
    """A record: `fields` in the writer's order; `order` has the indexes of the reader's fields."""

    fields: Sequence[Node]
    order: Sequence[int]
    target: pa.StructType | None

    def read(self, cursor: Cursor) -> pa.Array | None:
        """See `Node.read`."""
        columns = self.columns(cursor)
        if self.target is None:
            return None
        return pa.StructArray.from_arrays(columns, fields=list(self.target))

    def columns(self, cursor: Cursor) -> list[pa.Array]:
        """Read all fields; return those of the reader as arrays, in the reader's order."""
        read = [node.read(cursor) for node in self.fields]
        return [read[index] for index in self.order]
