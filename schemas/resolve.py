"""Puts together what reads a writer's schema as a reader's (Avro specification, "Schema
Resolution").

Reordered, removed and added fields, defaults, and int where a long is read. A writer's type that
the columns can't hold raises UnreadableError; one that is readable, but not for all datums at once
(maps, wider unions, recursive types), raises BeyondColumnsError: `schemas/datums.py` takes those.
"""

from __future__ import annotations

from typing import cast

import fastavro
import fastavro.schema
import numpy as np
import pyarrow as pa

from schemas.columnar import PADDING
from schemas.derive import AvroSchema, arrow_type
from schemas.lists import Lists
from schemas.nodes import (
    Booleans,
    Constant,
    Decimals,
    Enums,
    Fixeds,
    Floats,
    Longs,
    Node,
    Nullable,
    Nulls,
    Record,
    Texts,
    Uuids,
)

__all__ = [
    "BeyondColumnsError",
    "UnreadableError",
    "compile_record",
    "default_array",
    "expanded",
    "fewest_bytes",
    "split_nullable",
]


class UnreadableError(Exception):
    """A writer's schema that doesn't resolve to the reader's; the message is the reason."""


class BeyondColumnsError(Exception):
    """A schema with a type that can't be read for all datums at once."""


def expanded(schema: AvroSchema) -> AvroSchema:
    """The schema with every named type written out where it is used; UnreadableError if it isn't
    valid Avro.
    """
    try:
        return cast(AvroSchema, fastavro.schema.expand_schema(schema))
    except Exception as error:  # fastavro raises whatever it stumbles on
        raise UnreadableError(f"the schema isn't valid Avro ({error})") from error


def compile_record(writer: AvroSchema, reader: AvroSchema) -> Record:
    """The node of a whole datum; both schemas are expanded records."""
    return _record(writer, reader, "")


def _compile(writer: object, reader: object, what: str) -> Node:
    """reader: None where the value is only read past."""
    nullable = split_nullable(writer)
    if nullable is not None:
        inner, null_branch = nullable
        taken, required = _non_null(reader)
        target = arrow_type(taken) if taken is not None else None
        return Nullable(_compile(inner, taken, what), null_branch, target, what, required)
    if isinstance(writer, list):
        raise BeyondColumnsError(f"a union of {len(writer)} types in {what}")
    if isinstance(writer, str):
        return _primitive(writer, {}, reader, what)
    if not isinstance(writer, dict):
        raise UnreadableError(f"no type that Avro has in {what}")
    return _complex(writer, reader, what)


def _complex(writer: AvroSchema, reader: object, what: str) -> Node:
    taken, _ = _non_null(reader)
    kind = writer["type"]
    match kind:
        case "record" | "error":
            return _record(writer, _expected(taken, "record", what), what)
        case "array":
            return _array(writer["items"], _expected(taken, "array", what), what)
        case "enum":
            return _enum(writer, _expected(taken, "enum", what), what)
        case "fixed":
            return _fixed(writer, taken, what)
        case "map":
            raise BeyondColumnsError(f"a map in {what}")
        case str():
            return _primitive(kind, writer, reader, what)
    return _compile(kind, reader, what)


def split_nullable(schema: object) -> tuple[object, int] | None:
    """(other type, index of null) of a union of null and one other type."""
    if isinstance(schema, list) and len(schema) == 2 and _null_index(schema) is not None:
        index = cast(int, _null_index(schema))
        other = schema[1 - index]
        return None if other in ("null", {"type": "null"}) else (other, index)
    return None


def _null_index(union: list[object]) -> int | None:
    return next(
        (index for index, one in enumerate(union) if one in ("null", {"type": "null"})),
        None,
    )


def _non_null(reader: object) -> tuple[object, bool]:
    """What the reader takes beside null, and whether null is wrong for it."""
    if reader is None:
        return None, False
    nullable = split_nullable(reader)
    return (reader, True) if nullable is None else (nullable[0], False)


def _expected(reader: object, kind: str, what: str) -> AvroSchema | None:
    if reader is None or (isinstance(reader, dict) and reader.get("type") == kind):
        return reader
    raise UnreadableError(f"{what} is written as {kind}, which isn't what is read")


def _record(writer: AvroSchema, reader: AvroSchema | None, within: str) -> Record:
    wanted = {} if reader is None else {field["name"]: field["type"] for field in reader["fields"]}
    nodes: list[Node] = []
    place: dict[str, int] = {}
    for field in writer["fields"]:
        name = f"{within}.{field['name']}" if within else str(field["name"])
        place[field["name"]] = len(nodes)
        nodes.append(_compile(field["type"], wanted.get(field["name"]), name))
    if reader is None:
        return Record(nodes, (), None)
    for field in reader["fields"]:
        if field["name"] not in place:
            place[field["name"]] = len(nodes)
            nodes.append(Constant(default_array(field, within)))
    order = [place[field["name"]] for field in reader["fields"]]
    return Record(nodes, order, arrow_type(reader))


def default_array(field: AvroSchema, within: str = "") -> pa.Array:
    """The default of a field that the writer lacks, as an array of one; UnreadableError if it has
    none.
    """
    if "default" not in field:
        name = f"{within}.{field['name']}" if within else field["name"]
        raise UnreadableError(f"{name} is missing, and required")
    target = arrow_type(field["type"])
    if field["default"] is None:
        return pa.nulls(1, target)
    try:
        return pa.array([field["default"]], target)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise UnreadableError(
            f"{field['name']} has a default that can't be used ({error})"
        ) from error


def _array(items: object, reader: AvroSchema | None, what: str) -> Node:
    if fewest_bytes(items) == 0:
        raise BeyondColumnsError(f"an array of nothing in {what}")
    item = _compile(items, reader["items"] if reader else None, what)
    return Lists(item, arrow_type(reader) if reader else None, what)


def fewest_bytes(schema: object) -> int:
    """0 for a type whose values may take no bytes at all, else 1 (a bound, for arrays)."""
    match schema:
        case "null" | {"type": "null"} | {"type": "fixed", "size": 0}:
            return 0
        case {"type": "record", "fields": fields}:
            return max((fewest_bytes(field["type"]) for field in fields), default=0)
        case {"type": dict() | list() as inner}:
            return fewest_bytes(inner)
    return 1


def _enum(writer: AvroSchema, reader: AvroSchema | None, what: str) -> Node:
    symbols = list(reader["symbols"]) if reader else []
    codes = [symbols.index(symbol) if symbol in symbols else -1 for symbol in writer["symbols"]]
    target = arrow_type(reader) if reader else None
    return Enums(target, what, np.array(codes, np.int64), pa.array(symbols, pa.string()))


def _fixed(writer: AvroSchema, reader: object, what: str) -> Node:
    size = int(writer["size"])
    if not 0 < size <= PADDING // 2:
        raise BeyondColumnsError(f"fixed bytes of more than {PADDING // 2} in {what}")
    target = _target(reader)
    if target is None:
        return Fixeds(None, what, size)
    if pa.types.is_decimal128(target):
        _check_decimal(writer, target, what)
        return Decimals(target, what, size)
    if target == pa.binary(size) and writer.get("logicalType") != "decimal":
        return Fixeds(target, what, size)
    raise UnreadableError(f"{what} is written as fixed bytes, which isn't what is read")


def _check_decimal(writer: AvroSchema, target: pa.Decimal128Type, what: str) -> None:
    if writer.get("logicalType") != "decimal" or writer.get("scale", 0) != target.scale:
        raise UnreadableError(f"{what} isn't written as a decimal of scale {target.scale}")


def _target(reader: object) -> pa.DataType | None:
    return None if reader is None else arrow_type(reader)


_DIVISORS = {
    ("timestamp-millis", "ms"): 1,
    ("timestamp-micros", "us"): 1,
    ("timestamp-micros", "ms"): 1000,
}


def _primitive(kind: str, writer: AvroSchema, reader: object, what: str) -> Node:
    taken, not_null = _non_null(reader)
    if kind == "null":
        if not_null and taken != "null":
            raise UnreadableError(f"{what} is written as null, which isn't what is read")
        return Nulls(_target(taken))
    target = _target(taken)
    logical = writer.get("logicalType")
    match kind:
        case "boolean" if target in (None, pa.bool_()):
            return Booleans(target, what)
        case "int" | "long" if target is None:
            return Longs(None, what, kind == "int")
        case "int" | "long":
            return _integer(kind, logical, cast(pa.DataType, target), what)
        case "float" if target in (None, pa.float32(), pa.float64()):
            return Floats(target, what, "<f4")
        case "double" if target in (None, pa.float64()):
            return Floats(target, what, "<f8")
        case "string" | "bytes" if target is None:
            return Texts(None, what)
        case "string" | "bytes":
            return _text(kind, writer, cast(pa.DataType, target), what)
        case "boolean" | "float" | "double":
            raise UnreadableError(f"{what} is written as {kind}, which isn't what is read")
    raise BeyondColumnsError(f"a recursive type in {what}")


def _integer(kind: str, logical: object, target: pa.DataType, what: str) -> Node:
    is_int = kind == "int"
    if pa.types.is_date32(target) and is_int and logical == "date":
        return Longs(target, what, is_int)
    if pa.types.is_timestamp(target) and (logical, target.unit) in _DIVISORS:
        return Longs(target, what, is_int, _DIVISORS[cast(str, logical), target.unit])
    if logical is None and (target == pa.int64() or (is_int and target == pa.int32())):
        return Longs(target, what, is_int)
    raise UnreadableError(f"{what} is written as {logical or kind}, which isn't what is read")


def _text(kind: str, writer: AvroSchema, target: pa.DataType, what: str) -> Node:
    if pa.types.is_decimal128(target) and kind == "bytes":
        _check_decimal(writer, target, what)
        return Decimals(target, what, None)
    if target == pa.uuid() and kind == "string":
        return Uuids(what)
    if writer.get("logicalType") in (None, "uuid") and target in (
        pa.string(),
        pa.binary(),
    ):
        return Texts(target, what)
    raise UnreadableError(
        f"{what} is written as {writer.get('logicalType') or kind}, which isn't what is read"
    )
