"""Draws writers' schemas and datums near those of the product, from a seed: right ones, hostile
ones and all between.

A schema begins as the topic's own and is changed a few times anywhere; a datum is then written by
that schema, with values that an event has where the names are an event's, and sometimes damaged.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any
from uuid import UUID

from schemas.avro_types import (
    ArrayType,
    AvroType,
    EnumType,
    FixedType,
    InvalidSchemaError,
    MapType,
    Primitive,
    RecordType,
    UnionType,
    parse_type,
)
from schemas.derive import AvroSchema, avro_schema
from schemas.registry.registry import wire_header
from schemas.topics import Topic
from tests.shop.events import CATALOG

Json = Any

_PRIMITIVES = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"]
_LOGICAL = [
    "date",
    "time-millis",
    "timestamp-millis",
    "timestamp-micros",
    "timestamp-nanos",
    "local-timestamp-millis",
    "uuid",
    "decimal",
    "duration",
    "nonsense",
]
_MOST_BYTES = 20_000
"""A drawn datum's, so that a hostile schema doesn't draw for ever."""


@dataclass(frozen=True)
class Drawn:
    """A message's schema as the registry gives it, and values that name it as number 1."""

    writer: AvroSchema
    values: list[bytes]


def draw(random: Random, topic: Topic) -> Drawn:
    """Draw a schema for a topic, and a few values."""
    writer = json.loads(json.dumps(avro_schema(topic, CATALOG)))
    for _ in range(random.choice([0, 1, 1, 1, 2, 2, 3, 5])):
        writer = _changed(random, writer)
    if not isinstance(writer, dict):
        writer = {"type": writer}
    return Drawn(writer, [_value(random, writer, topic) for _ in range(random.choice([1, 2, 30]))])


def _places(schema: Json, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of every value within parsed JSON."""
    found = [path]
    if isinstance(schema, dict):
        for key, value in schema.items():
            found += _places(value, (*path, key))
    elif isinstance(schema, list):
        for index, value in enumerate(schema):
            found += _places(value, (*path, index))
    return found


def _changed(random: Random, schema: Json) -> Json:
    """The schema with one change."""
    types = [p for p in _places(schema) if p and p[-1] in ("type", "items", "values")]
    change = random.choice(
        [_another_type] * 4 + [_wrapped] * 3 + [_annotated] * 2 + [_any_json, _fields, _fields]
    )
    if change is _fields or not types:
        return _fields(random, schema)
    path = random.choice(types if change is not _any_json else _places(schema)[1:])
    return _with(schema, path, lambda old: change(random, old))


def _with(schema: Json, path: tuple[Any, ...], change: Callable[[Json], Json]) -> Json:
    if not path:
        return change(schema)
    copy = schema.copy()
    copy[path[0]] = _with(schema[path[0]], path[1:], change)
    return copy


def _another_type(random: Random, _: Json, depth: int = 0) -> Json:
    name = f"N{random.randrange(10**9)}"
    shape = random.randrange(9 if depth < 3 else 4)
    match shape:
        case 0 | 1:
            return random.choice(_PRIMITIVES)
        case 2:
            return _annotated(random, random.choice(_PRIMITIVES))
        case 3:
            return random.choice(
                [
                    {"type": "fixed", "name": name, "size": random.choice([0, 1, 5, 16, 20, 300])},
                    {"type": "enum", "name": name, "symbols": ["CREATED", "SENT", "API", "X"]},
                    "deltadrop.Source",
                ]
            )
        case 4:
            return {"type": "array", "items": _another_type(random, _, depth + 1)}
        case 5:
            return {"type": "map", "values": _another_type(random, _, depth + 1)}
        case 6:
            return [_another_type(random, _, 3) for _ in range(random.randrange(5))]
        case 7:
            fields = [
                {"name": f"f{i}", "type": _another_type(random, _, depth + 1)}
                for i in range(random.randrange(4))
            ]
            fields.append({"name": "self", "type": ["null", name]})
            return {"type": "record", "name": name, "fields": fields}
    return _hostile(random, name)


def _hostile(random: Random, name: str) -> Json:
    inner: Json = "long"
    depth = random.choice([3, 20, 95, 300])
    if random.random() < 0.5:
        for _ in range(depth):
            kind, inside = random.choice([("array", "items"), ("map", "values")])
            inner = {"type": kind, inside: inner}
        return inner
    for level in range(min(depth, 60)):
        again = inner if not level else f"{name}_{level - 1}"
        fields = [{"name": "a", "type": inner}, {"name": "b", "type": again}]
        inner = {"type": "record", "name": f"{name}_{level}", "fields": fields}
    return inner


def _wrapped(random: Random, old: Json) -> Json:
    branches = old if isinstance(old, list) else [old]
    match random.randrange(5):
        case 0:
            return random.sample(branches, len(branches))
        case 1:
            return random.sample([*branches, "boolean"], len(branches) + 1)
        case 2:
            more = [*branches, {"type": "map", "values": "string"}, "int"]
            return random.sample(more, len(more))
        case 3:
            return {"type": "array", "items": old}
    return [one for one in branches if one != "null"] or old


def _annotated(random: Random, old: Json) -> Json:
    base = old if isinstance(old, dict) else {"type": old}
    return {
        **base,
        "logicalType": random.choice(_LOGICAL),
        "precision": random.choice([1, 8, 18, 38, 60, 0, -1, "8"]),
        "scale": random.choice([0, 2, 3, 38, -2]),
    }


def _any_json(random: Random, _: Json) -> Json:
    return random.choice([None, 1, -1, 1.5, True, "", "X", "a.b.c", [], {}, [[]], {"type": {}}])


def _fields(random: Random, schema: Json) -> Json:
    """Add, remove, rename or reorder fields of a record."""
    records = [p for p in _places(schema) if p and p[-1] == "fields"]
    if not records:
        return schema

    def changed(fields: Json) -> Json:
        if not isinstance(fields, list) or not fields:
            return fields
        place = random.randrange(len(fields))
        match random.randrange(5):
            case 0:
                return fields[:place] + fields[place + 1 :]
            case 1:
                return random.sample(fields, len(fields))
            case 2 if isinstance(fields[place], dict):
                renamed = {**fields[place], "name": random.choice(["renamed", "eventId", "id"])}
                return [*fields[:place], renamed, *fields[place + 1 :]]
        name = f"new{random.randrange(10**9)}"
        new = {"name": name, "type": _another_type(random, None), "default": None}
        return [*fields[:place], new, *fields[place:]]

    return _with(schema, random.choice(records), changed)


def _value(random: Random, writer: AvroSchema, topic: Topic) -> bytes:
    try:
        parsed = parse_type(writer)
        datum = _Datum(random, topic).of(parsed, "", 0)
    except (InvalidSchemaError, RecursionError):
        datum = random.randbytes(random.randrange(80))
    if random.random() < 0.15:
        datum = _damaged(random, datum)
    return (wire_header(1) if random.random() < 0.97 else b"") + datum


def _damaged(random: Random, datum: bytes) -> bytes:
    place = random.randrange(len(datum) + 1)
    match random.randrange(4):
        case 0:
            return datum[:place]
        case 1:
            return datum[:place] + random.randbytes(random.randrange(1, 12)) + datum[place:]
        case 2:
            return (
                datum[:place]
                + random.choice([b"\xff" * 9 + b"\x01", b"\x80" * 12, b"\xfe\xff"])
                + datum[place:]
            )
    return datum[:place] + random.randbytes(1) + datum[place + 1 :]


class _Datum:
    """Writes a datum of any type, with an event's values where the names are an event's."""

    def __init__(self, random: Random, topic: Topic) -> None:
        self._random = random
        self._topic = topic
        self._left = _MOST_BYTES

    def of(self, avro_type: AvroType, name: str, depth: int) -> bytes:
        random = self._random
        self._left -= 1
        few = 0 if depth > 30 or self._left < 0 else random.choice([0, 0, 1, 2, 3, 70])
        match avro_type:
            case Primitive(kind):
                return self._spent(self._primitive(kind, name))
            case FixedType(_, size):
                return self._spent(random.randbytes(min(size, 1_000)))
            case EnumType(_, symbols):
                return _varint(random.randrange(len(symbols)) if symbols else 0)
            case ArrayType(items):
                block = b"".join(self.of(items, name, depth + 1) for _ in range(few))
                return (_varint(few) + block if few else b"") + b"\0"
            case MapType(values):
                block = b"".join(
                    _text(f"k{index}") + self.of(values, name, depth + 1) for index in range(few)
                )
                return (_varint(few) + block if few else b"") + b"\0"
            case UnionType(branches):
                if not branches:
                    return b"\0"
                place = random.randrange(len(branches))
                if depth > 30:
                    place = min(
                        range(len(branches)), key=lambda i: branches[i] != Primitive("null")
                    )
                return _varint(place) + self.of(branches[place], name, depth + 1)
            case RecordType():
                if depth > 60 or self._left < 0:
                    return b""
                return b"".join(
                    self.of(field.type, field.name, depth + 1) for field in avro_type.fields
                )

    def _spent(self, datum: bytes) -> bytes:
        self._left -= len(datum) + 1
        return datum

    def _primitive(self, kind: str, name: str) -> bytes:
        random = self._random
        match kind:
            case "null":
                return b""
            case "boolean":
                return random.choice([b"\0", b"\1"])
            case "int":
                return _varint(random.choice([0, 1, -1, 20_000, 2**31 - 1, -(2**31), 2**31]))
            case "long":
                return _varint(
                    random.choice([0, 1, 1_700_000_000_000, 253402214400000, 2**63 - 1, -(2**63)])
                )
            case "float" | "double":
                return struct.pack(
                    "<f" if kind == "float" else "<d", random.choice([0.0, 1.5, 1e30])
                )
        return _text(self._word(name))

    def _word(self, name: str) -> str:
        random = self._random
        words = {
            "eventId": str(UUID(int=random.getrandbits(128))),
            "database": str(self._topic.database or "shop"),
            "table": str(self._topic.table),
            "subscription": "offers",
            "segment": "vip",
            "status": "CONTROL_SAMPLE",
            "statusCategory": "FILTERED",
        }
        return words.get(name) or random.choice(["", "a", "é🛒", "\x00", "x" * 300, "1.5"])


def _text(text: str) -> bytes:
    content = text.encode()
    return _varint(len(content)) + content


def _varint(number: int) -> bytes:
    left, found = ((number << 1) ^ (number >> 63)) & ((1 << 64) - 1), bytearray()
    while left > 0x7F:
        found.append(left & 0x7F | 0x80)
        left >>= 7
    found.append(left)
    return bytes(found)
