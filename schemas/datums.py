"""Reads one Avro datum after the other, with fastavro: for types that can't be read as columns.

Slower by two orders of magnitude than `schemas/nodes.py`, with the same results:
tests/properties/test_decode.py compares them. fastavro resolves the schemas; logical types are
settled here, so that nothing is rounded in silence.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Context, Decimal
from typing import TypeVar, cast

import fastavro
import numpy as np
import pyarrow as pa

from schemas.columnar import IntArray
from schemas.derive import AvroSchema, arrow_type
from schemas.resolve import default_array, split_nullable
from schemas.wellformed import MalformedError, check_datum

__all__ = ["DatumReader"]

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_EXACT = Context(prec=80)


V = TypeVar("V")

_Converter = Callable[[object], object]


class _RefusedError(Exception):
    """A value that the reader can't take; the message is the reason."""


class DatumReader:
    """Reads datums of one writer's schema as the reader's columns.

    Raises UnreadableError if a field that is required is missing in the writer's schema.
    """

    def __init__(self, writer: AvroSchema, reader: AvroSchema) -> None:
        """Both schemas with their names written out."""
        self._writer = writer
        self._fields = reader["fields"]
        written = {field["name"] for field in writer["fields"]}
        for field in self._fields:
            if field["name"] not in written:
                default_array(field)
        self._converters = {f["name"]: _converter(f["type"], f["name"]) for f in self._fields}
        self._plain_writer = fastavro.parse_schema(cast(AvroSchema, _plain(writer, reader)))
        self._plain_reader = fastavro.parse_schema(cast(AvroSchema, _plain(reader, reader)))

    def read(
        self, datums: Sequence[bytes]
    ) -> tuple[list[pa.Array], IntArray, list[tuple[int, str]]]:
        """Columns of the readable datums, their indexes, and (index, reason) of the others."""
        records: list[list[object]] = []
        indexes: list[int] = []
        refused: list[tuple[int, str]] = []
        for index, datum in enumerate(datums):
            try:
                records.append(self._record(datum))
                indexes.append(index)
            except (MalformedError, _RefusedError) as error:
                refused.append((index, str(error)))
        columns = [
            _build([record[place] for record in records], field["type"])
            for place, field in enumerate(self._fields)
        ]
        return columns, np.array(indexes, np.int64), refused

    def _record(self, datum: bytes) -> list[object]:
        check_datum(self._writer, datum)
        try:
            value = fastavro.schemaless_reader(
                io.BytesIO(datum), self._plain_writer, self._plain_reader
            )
        except Exception as error:  # fastavro raises whatever it stumbles on
            raise _RefusedError(f"can't be read ({type(error).__name__})") from error
        assert isinstance(value, dict)
        return [convert(value[name]) for name, convert in self._converters.items()]


def _plain(schema: object, reader: object) -> object:
    """The schema as fastavro gets it: decimals as bytes and UUIDs as text, to be converted here.

    A decimal of another scale than the reader's stays one, and is refused as such.
    """
    if isinstance(schema, list):
        return [_plain(branch, reader) for branch in schema]
    if not isinstance(schema, dict):
        return schema
    taken = (split_nullable(reader) or (reader, 0))[0]
    inside = taken if isinstance(taken, dict) else {}
    match schema.get("type"):
        case "record" | "error":
            wanted = {field["name"]: field["type"] for field in inside.get("fields", ())}
            fields = [
                {**f, "type": _plain(f["type"], wanted.get(f["name"]))} for f in schema["fields"]
            ]
            return {**schema, "fields": fields}
        case "array":
            return {**schema, "items": _plain(schema["items"], inside.get("items"))}
        case "map":
            return {**schema, "values": _plain(schema["values"], None)}
        case dict() | list() as inner:
            return _plain(inner, reader)
    dropped = schema.get("logicalType") == "uuid" or (
        schema.get("logicalType") == "decimal" and inside.get("scale", 0) == schema.get("scale", 0)
    )
    return (
        {key: value for key, value in schema.items() if key != "logicalType"} if dropped else schema
    )


def _converter(schema: object, what: str) -> _Converter:
    """What turns fastavro's values into those that `_build` takes."""
    nullable = split_nullable(schema)
    convert = _present(nullable[0] if nullable else schema, what)
    takes_null = nullable is not None or schema in ("null", {"type": "null"})

    def converted(value: object) -> object:
        if value is not None:
            return convert(value)
        if takes_null:
            return None
        raise _RefusedError(f"null in {what}, which is required")

    return converted


def _present(schema: object, what: str) -> _Converter:
    match schema:
        case {"type": "record", "fields": fields}:
            inside = {f["name"]: _converter(f["type"], f"{what}.{f['name']}") for f in fields}
            return lambda value: [
                convert(_a(dict, value, what)[name]) for name, convert in inside.items()
            ]
        case {"type": "array", "items": items}:
            item = _converter(items, what)
            return lambda value: [item(one) for one in _a(list, value, what)]
        case {"type": "enum", "symbols": symbols}:
            index = {symbol: place for place, symbol in enumerate(symbols)}
            return lambda value: index[_a(str, value, what)]
    return _leaf(arrow_type(schema), what)


def _a(kind: type[V], value: object, what: str) -> V:
    if isinstance(value, kind):
        return value
    raise _RefusedError(f"a value of another type in {what}")


def _leaf(target: pa.DataType, what: str) -> _Converter:
    if target == pa.string():
        return lambda value: _a(str, value, what)
    if target == pa.uuid():
        return lambda value: _uuid(_a(str, value, what), what)
    if pa.types.is_decimal128(target):
        return lambda value: _decimal(_a(bytes, value, what), target, what)

    def fitting(value: object) -> object:
        if isinstance(value, datetime) and target == pa.timestamp("ms", "UTC"):
            value = value.replace(microsecond=value.microsecond // 1000 * 1000)
        try:
            pa.scalar(value, target)
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise _RefusedError(f"a value that doesn't fit in {what}") from error
        return value

    return fitting


def _uuid(value: str, what: str) -> bytes:
    if not _UUID.fullmatch(value):
        raise _RefusedError(f"not a UUID in {what}")
    return bytes.fromhex(value.replace("-", ""))


def _decimal(value: bytes, target: pa.Decimal128Type, what: str) -> Decimal:
    number = int.from_bytes(value, "big", signed=True)
    if abs(number) >= 10**target.precision:
        raise _RefusedError(f"more than {target.precision} digits in {what}")
    return Decimal(number).scaleb(-target.scale, _EXACT)


def _build(values: list[object], schema: object) -> pa.Array:
    """The array of converted values."""
    schema = (split_nullable(schema) or (schema, 0))[0]
    target = arrow_type(schema)
    match schema:
        case {"type": "record", "fields": fields}:
            rows = cast(list[list[object] | None], values)
            children = [
                _build([row[place] if row is not None else None for row in rows], field["type"])
                for place, field in enumerate(fields)
            ]
            missing = pa.array([row is None for row in rows], pa.bool_())
            return pa.StructArray.from_arrays(children, fields=list(target), mask=missing)
        case {"type": "array", "items": items}:
            lists = cast(list[list[object] | None], values)
            inner = _build([item for one in lists for item in one or ()], items)
            lengths = np.array([len(one or ()) for one in lists], np.int32)
            offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
            mask = pa.array([one is None for one in lists], pa.bool_())
            return pa.ListArray.from_arrays(offsets, inner, type=target, mask=mask)
        case {"type": "enum", "symbols": symbols}:
            return pa.DictionaryArray.from_arrays(
                pa.array(values, target.index_type), pa.array(symbols, pa.string())
            )
    if target == pa.uuid():
        return pa.ExtensionArray.from_storage(target, pa.array(values, pa.binary(16)))
    return pa.array(values, target)
