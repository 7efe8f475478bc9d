"""What cases write in short: bytes, values and schemas too large to be written out.

Each is JSON with a key that begins with `$`; `README.md` beside this page lists them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any, Final

__all__ = ["CaseError", "bytes_of", "changed", "type_of", "value_of", "varint"]

Json = Any


class CaseError(Exception):
    """A case that isn't written as `README.md` says."""


def varint(number: int) -> bytes:
    """A long as Avro and Kafka write it: zigzag, seven bits a byte."""
    left, found = (number << 1) ^ (number >> 63), bytearray()
    left &= (1 << 64) - 1
    while left > 0x7F:
        found.append(left & 0x7F | 0x80)
        left >>= 7
    found.append(left)
    return bytes(found)


def bytes_of(expression: Json) -> bytes:
    """Bytes: hex, a list of such (one after the other), or what a key with `$` makes."""
    match expression:
        case str():
            return bytes.fromhex(expression)
        case list():
            return b"".join(map(bytes_of, expression))
        case {"$text": text, **none} if not none:
            return text_of(text).encode("utf-8")
        case {"$repeat": [part, int(count)], **none} if not none:
            return bytes_of(part) * count
        case {"$long": int(number), **none} if not none:
            return varint(number)
        case {"$sized": part, **none} if not none:
            content = bytes_of(part)
            return varint(len(content)) + content
    raise CaseError(f"not bytes: {expression!r}")


def text_of(expression: Json) -> str:
    """A text, or `[text, times]`."""
    match expression:
        case str():
            return expression
        case [str(text), int(count)]:
            return text * count
    raise CaseError(f"not a text: {expression!r}")


def value_of(expression: Json) -> Any:
    """A raw value, as fastavro writes one for a schema without logical types."""
    match expression:
        case {"$bytes": part, **none} if not none:
            return bytes_of(part)
        case {"$text": text, **none} if not none:
            return text_of(text)
        case {"$items": [item, int(count)], **none} if not none:
            return [value_of(item)] * count
        case {"$doubled": int(depth), **none} if not none:
            return _doubled(depth)
        case {"$branch": [str(name), value], **none} if not none:
            return name, value_of(value)
        case dict():
            return {name: value_of(inner) for name, inner in expression.items()}
        case list():
            return [value_of(inner) for inner in expression]
    return expression


def _doubled(depth: int) -> Any:
    """The value of a type that `$doubling` makes: zeros."""
    value: Any = 0
    for _ in range(depth):
        value = {"a": value, "b": value}
    return value


def type_of(expression: Json) -> Json:
    """A type of Avro as JSON."""
    match expression:
        case {"$arrays": [int(depth), inner], **none} if not none:
            return _nested(depth, type_of(inner), lambda one: {"type": "array", "items": one})
        case {"$unions": [int(depth), inner], **none} if not none:
            return _nested(depth, type_of(inner), lambda one: {"type": [one]})
        case {"$records": [int(depth), inner], **none} if not none:
            return _records(depth, type_of(inner))
        case {"$doubling": int(depth), **none} if not none:
            return _doubling(depth)
        case {"$fields": [str(name), int(count)], **none} if not none:
            fields = [{"name": f"f{n}", "type": "long", "default": 0} for n in range(count)]
            return {"type": "record", "name": name, "fields": fields}
        case {"$symbols": [str(name), int(count)], **none} if not none:
            return {"type": "enum", "name": name, "symbols": [f"S{n}" for n in range(count)]}
        case dict():
            return {name: type_of(inner) for name, inner in expression.items()}
        case list():
            return [type_of(inner) for inner in expression]
    return expression


def _nested(depth: int, inner: Json, around: Callable[[Json], Json]) -> Json:
    for _ in range(depth):
        inner = around(inner)
    return inner


def _records(depth: int, inner: Json) -> Json:
    for level in range(depth):
        field = {"name": "inner", "type": inner}
        inner = {"type": "record", "name": f"Level{level}", "fields": [field]}
    return inner


def _doubling(depth: int) -> Json:
    """Records that each have the one before twice: 2^depth longs."""
    inner: Json = "long"
    for level in range(depth):
        again = f"Double{level - 1}" if level else inner
        fields = [{"name": "a", "type": inner}, {"name": "b", "type": again}]
        inner = {"type": "record", "name": f"Double{level}", "fields": fields}
    return inner


def changed(schema: Json, changes: list[Json]) -> Json:
    """A record's schema with changes, one after the other."""
    schema = deepcopy(schema)
    for change in changes:
        _change(schema, type_of(change))
    return schema


def _change(schema: Json, change: Mapping[str, Json]) -> None:
    match change:
        case {"record": attributes, **none} if not none:
            schema.update(attributes)
        case {"add": field, **where} if set(where) <= {"before", "in"}:
            fields = _fields(schema, where.get("in", ""))
            place = _place(fields, where["before"]) if "before" in where else len(fields)
            fields.insert(place, field)
        case {"field": str(path), **told}:
            within, _, name = path.rpartition(".")
            fields = _fields(schema, within)
            place = _place(fields, name)
            match told:
                case {"remove": True, **none} if not none:
                    del fields[place]
                case {"name": str(), **none} if not none:
                    fields[place] |= told
                case {"type": _} if set(told) <= {"type", "default"}:
                    fields[place] = {"name": name, **told}
                case {"after": str(other), **none} if not none:
                    field = fields.pop(place)
                    fields.insert(_place(fields, other) + 1, field)
                case _:
                    raise CaseError(f"not a change of a field: {change!r}")
        case _:
            raise CaseError(f"not a change: {change!r}")


def _fields(schema: Json, path: str) -> list[Json]:
    """The fields of the record at a path, through unions with null and arrays."""
    for name in filter(None, path.split(".")):
        schema = schema["fields"][_place(schema["fields"], name)]["type"]
        if isinstance(schema, list):
            schema = next(branch for branch in schema if branch != "null")
        if schema["type"] == "array":
            schema = schema["items"]
    fields: list[Json] = schema["fields"]
    return fields


def _place(fields: list[Json], name: str) -> int:
    for place, field in enumerate(fields):
        if field["name"] == name:
            return place
    raise CaseError(f"no field {name!r}")


KEYS: Final = (
    *("$text", "$repeat", "$long", "$sized"),
    *("$bytes", "$items", "$branch", "$doubled"),
    *("$arrays", "$unions", "$records", "$doubling", "$fields", "$symbols"),
)
"""All that is written in short: of bytes, values and types. README.md has a line on each."""
