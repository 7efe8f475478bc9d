"""Defaults of a reader's fields: encoded as Avro, then decoded like any other value."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pyarrow as pa

from schemas.avro_types import (
    ArrayType,
    AvroType,
    EnumType,
    FieldType,
    FixedType,
    Primitive,
    RecordType,
    UnionType,
)
from schemas.decoding.columnar import PADDING, Cursor, Flags, Windows
from schemas.decoding.resolve import UnresolvableError, compile_value

__all__ = ["default_array"]


def default_array(field: FieldType) -> pa.Array:
    """The default of a field as an array of one value.

    Raises UnresolvableError if the default doesn't fit the field's type.
    """
    try:
        datum = _encoded(field.default, field.type)
    except (ValueError, TypeError, KeyError, OverflowError, struct.error) as error:
        raise UnresolvableError(f"{field.name} has a default that can't be used") from error
    flags = Flags(1)
    start, data = np.array([PADDING]), bytes(PADDING) + datum + bytes(PADDING)
    cursor = Cursor(Windows.over(data), np.zeros(1, np.int64), start, start + len(datum), flags)
    values = compile_value(field.type, field.name, default_array).read(cursor)
    for _, reason in flags.refused():
        raise UnresolvableError(f"{field.name} has a default that can't be used: {reason}")
    return values


def _encoded(value: Any, avro_type: AvroType) -> bytes:
    """A default as a datum, from its JSON form (specification, "Complex Types", table "field
    default values").

    Raises Python's own errors (ValueError, TypeError, KeyError, OverflowError, struct.error) for a
    value of another type.
    """
    match avro_type:
        case Primitive(kind):
            return _primitive(value, kind)
        case FixedType(_, size):
            fixed = str(value).encode("latin-1")
            if len(fixed) != size:
                raise ValueError(value)
            return fixed
        case EnumType(_, symbols):
            return _varint(symbols.index(value))
        case ArrayType(items):
            if not isinstance(value, list):
                raise TypeError(value)
            block = b"".join(_encoded(item, items) for item in value)
            return (_varint(len(value)) + block if value else b"") + _varint(0)
        case RecordType(_, fields):
            given = {field.name: field.default for field in fields if field.has_default} | value
            return b"".join(_encoded(given[field.name], field.type) for field in fields)
        case UnionType(branches):
            return _branch(value, branches)
    raise TypeError(avro_type)


def _branch(value: Any, branches: tuple[AvroType, ...]) -> bytes:
    for index, branch in enumerate(branches):
        try:
            return _varint(index) + _encoded(value, branch)
        except (ValueError, TypeError, KeyError, OverflowError, struct.error):
            continue
    raise ValueError(value)


def _primitive(value: Any, kind: str) -> bytes:
    if kind == "null" and value is None:
        return b""
    if kind == "boolean" and isinstance(value, bool):
        return bytes([value])
    if kind in ("int", "long") and type(value) is int:
        return _varint(value)
    if kind in ("float", "double") and type(value) in (int, float):
        return struct.pack("<f" if kind == "float" else "<d", value)
    if kind in ("string", "bytes") and isinstance(value, str):
        content = value.encode("utf-8" if kind == "string" else "latin-1")
        return _varint(len(content)) + content
    raise TypeError(value)


def _varint(number: int) -> bytes:
    if not -(1 << 63) <= number < 1 << 63:
        raise OverflowError(number)
    left, found = (number << 1) ^ (number >> 63), bytearray()
    while left > 0x7F:
        found.append(left & 0x7F | 0x80)
        left >>= 7
    found.append(left)
    return bytes(found)
