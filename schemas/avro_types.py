"""Avro schemas as types with resolved names, read from parsed JSON (Avro 1.12 specification,
"Schema Declaration").

A named type is one object, however often it is used, and a recursive type contains itself. Types
are never copied, so the cost of reading a schema grows only with the length of its text. One schema
has bounds (SPEC §6): the number of its JSON values, and the levels of nesting. Defaults of fields
aren't checked. Logical types that are unknown or don't fit their type are ignored, as the
specification requires. Neither makes a schema unreadable.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import pyarrow as pa

__all__ = [
    "ArrayType",
    "AvroType",
    "EnumType",
    "FieldType",
    "FixedType",
    "InvalidSchemaError",
    "MapType",
    "Primitive",
    "RecordType",
    "UnionType",
    "arrow_of",
    "full_name",
    "json_values",
    "parse_type",
    "split_nullable",
]

MOST_LEVELS: Final = 100
"""Maximum depth of JSON in one schema: enough for about 30 nested records, or 100 arrays."""

MOST_VALUES: Final = 20_000
"""Maximum number of JSON values in one schema: enough for a table of about 2,000 attributes."""

_SHOWN: Final = 60
_MOST_PRECISION: Final = 38


class InvalidSchemaError(Exception):
    """A schema isn't valid Avro, or exceeds the bounds; the message is the reason."""


@dataclass(frozen=True, slots=True)
class Primitive:
    """A type without a name: null, boolean, int, long, float, double, bytes or string.

    logical: the logical type; None if there is none, or if it is unknown or doesn't fit the type.
    precision, scale: set for decimals only.
    """

    kind: str
    logical: str | None = None
    precision: int = 0
    scale: int = 0


@dataclass(frozen=True, slots=True)
class FixedType:
    """A fixed number of bytes."""

    name: str
    size: int
    logical: str | None = None
    precision: int = 0
    scale: int = 0
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EnumType:
    """A closed list of symbols; a reader uses `default` for a symbol that it doesn't know."""

    name: str
    symbols: tuple[str, ...]
    default: str | None = None
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ArrayType:
    """Any number of items of one type."""

    items: AvroType


@dataclass(frozen=True, slots=True)
class MapType:
    """Any number of values of one type, with strings as keys."""

    values: AvroType


@dataclass(frozen=True, slots=True)
class UnionType:
    """One of several types."""

    branches: tuple[AvroType, ...]


@dataclass(frozen=True, slots=True)
class FieldType:
    """A record's field; `default` is as in JSON, and valid only if `has_default`."""

    name: str
    type: AvroType
    has_default: bool = False
    default: Any = None
    aliases: tuple[str, ...] = ()


@dataclass(slots=True, eq=False)
class RecordType:
    """A record. It may contain itself, so `fields` is set after the whole record has been read."""

    name: str
    fields: tuple[FieldType, ...] = field(default=(), repr=False)
    aliases: tuple[str, ...] = ()


AvroType: TypeAlias = (
    Primitive | FixedType | EnumType | ArrayType | MapType | UnionType | RecordType
)

NULL: Final = Primitive("null")


def parse_type(schema: object, most_values: int | None = MOST_VALUES) -> AvroType:
    """Read a schema from parsed JSON.

    Raises InvalidSchemaError if it isn't valid Avro, has more than `most_values` JSON values
    (None: no limit), or has more than MOST_LEVELS levels.
    """
    _check_bounds(schema, most_values)
    return _Parser().type_of(schema, "")


def full_name(schema: Mapping[str, Any], namespace: str = "") -> str:
    """The full name of a named type; `namespace` is the namespace around its schema."""
    name = str(schema.get("name", ""))
    own = schema.get("namespace", namespace)
    return name if "." in name or not own else f"{own}.{name}"


def split_nullable(avro_type: AvroType) -> tuple[AvroType, int] | None:
    """(other type, index of null) of a union of null and one other type; None for other types."""
    if isinstance(avro_type, UnionType) and len(avro_type.branches) == 2:
        for index, branch in enumerate(avro_type.branches):
            other = avro_type.branches[1 - index]
            if branch == NULL and other != NULL:
                return other, index
    return None


def _check_bounds(schema: object, most_values: int | None) -> None:
    for found, (depth, _) in enumerate(json_values(schema), 1):
        if most_values is not None and found > most_values:
            raise InvalidSchemaError(f"has more than {most_values} values")
        if depth > MOST_LEVELS:
            raise InvalidSchemaError(f"is nested deeper than {MOST_LEVELS} levels")


def json_values(value: object) -> Iterator[tuple[int, object]]:
    """(depth, value) of every value in parsed JSON; not recursive, so the depth has no limit."""
    waiting: list[tuple[int, object]] = [(0, value)]
    while waiting:
        depth, item = waiting.pop()
        yield depth, item
        if isinstance(item, dict):
            waiting.extend((depth + 1, inner) for inner in item.values())
        elif isinstance(item, list):
            waiting.extend((depth + 1, inner) for inner in item)


_PRIMITIVES: Final = frozenset(
    ("null", "boolean", "int", "long", "float", "double", "bytes", "string")
)
_LOGICAL: Final = {
    "int": frozenset(("date", "time-millis")),
    "long": frozenset(
        f"{moment}-{unit}"
        for moment in ("time", "timestamp", "local-timestamp")
        for unit in ("millis", "micros", "nanos")
    )
    - {"time-millis", "time-nanos"},
    "string": frozenset(("uuid",)),
    "bytes": frozenset(("decimal", "big-decimal")),
    "fixed": frozenset(("decimal", "uuid", "duration")),
}
"""The specification's logical types, by the type that each annotates."""


class _Parser:
    def __init__(self) -> None:
        self._named: dict[str, AvroType] = {}

    def type_of(self, schema: object, namespace: str) -> AvroType:
        match schema:
            case str():
                return self._by_name(schema, namespace)
            case list():
                return UnionType(tuple(self.type_of(branch, namespace) for branch in schema))
            case dict():
                return self._of_object(schema, namespace)
        raise InvalidSchemaError(f"{_shown(schema)} isn't a type")

    def _by_name(self, name: str, namespace: str) -> AvroType:
        if name in _PRIMITIVES:
            return Primitive(name)
        candidates = (name,) if "." in name else (f"{namespace}.{name}", name)
        for candidate in candidates:
            if candidate in self._named:
                return self._named[candidate]
        raise InvalidSchemaError(f"{_shown(name)} isn't a type, nor the name of one")

    def _of_object(self, schema: dict[str, Any], namespace: str) -> AvroType:
        kind = schema.get("type")
        match kind:
            case "record" | "error":
                return self._record(schema, namespace)
            case "enum":
                return self._enum(schema, namespace)
            case "fixed":
                return self._fixed(schema, namespace)
            case "array" | "map":
                inside = "items" if kind == "array" else "values"
                if inside not in schema:
                    raise InvalidSchemaError(f"{kind} without its {inside}")
                inner = self.type_of(schema[inside], namespace)
                return ArrayType(inner) if kind == "array" else MapType(inner)
            case str() if kind in _PRIMITIVES:
                return Primitive(kind, *_logical(schema, kind))
        return self.type_of(kind, namespace)

    def _record(self, schema: dict[str, Any], namespace: str) -> RecordType:
        record = RecordType(self._named_once(schema, namespace), aliases=_aliases(schema))
        self._named[record.name] = record
        within = record.name.rpartition(".")[0]
        fields = schema.get("fields")
        if not isinstance(fields, list):
            raise InvalidSchemaError(f"record {_shown(record.name)} has no list of fields")
        record.fields = tuple(self._field(field, within) for field in fields)
        if len({field.name for field in record.fields}) < len(record.fields):
            raise InvalidSchemaError(f"record {_shown(record.name)} has a field twice")
        return record

    def _field(self, schema: object, namespace: str) -> FieldType:
        if not isinstance(schema, dict) or not isinstance(schema.get("name"), str):
            raise InvalidSchemaError(f"{_shown(schema)} isn't a field")
        return FieldType(
            schema["name"],
            self.type_of(schema.get("type"), namespace),
            "default" in schema,
            schema.get("default"),
            _aliases(schema),
        )

    def _enum(self, schema: dict[str, Any], namespace: str) -> EnumType:
        name, symbols = self._named_once(schema, namespace), schema.get("symbols")
        if not isinstance(symbols, list) or not all(isinstance(symbol, str) for symbol in symbols):
            raise InvalidSchemaError(f"enum {_shown(name)} has no list of symbols")
        default = schema.get("default")
        enum = EnumType(
            name, tuple(symbols), default if default in symbols else None, _aliases(schema)
        )
        self._named[name] = enum
        return enum

    def _fixed(self, schema: dict[str, Any], namespace: str) -> FixedType:
        name, size = self._named_once(schema, namespace), schema.get("size")
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise InvalidSchemaError(f"fixed {_shown(name)} has no size")
        fixed = FixedType(name, size, *_logical(schema, "fixed"), _aliases(schema))
        self._named[name] = fixed
        return fixed

    def _named_once(self, schema: dict[str, Any], namespace: str) -> str:
        if not isinstance(schema.get("name"), str):
            raise InvalidSchemaError(f"{schema['type']} without a name")
        name = full_name(schema, namespace)
        if name in self._named:
            raise InvalidSchemaError(f"{_shown(name)} is defined twice")
        return name


def _logical(schema: Mapping[str, Any], kind: str) -> tuple[str | None, int, int]:
    """Logical type, precision and scale; (None, 0, 0) if they don't fit the type."""
    logical = schema.get("logicalType")
    if not isinstance(logical, str) or logical not in _LOGICAL.get(kind, ()):
        return None, 0, 0
    if logical != "decimal":
        return logical, 0, 0
    precision, scale = schema.get("precision"), schema.get("scale", 0)
    if type(precision) is not int or type(scale) is not int or not 0 <= scale <= precision > 0:
        return None, 0, 0
    if kind == "fixed" and not _holds(schema["size"], precision):
        return None, 0, 0
    return logical, precision, scale


def _holds(size: int, precision: int) -> bool:
    """Whether `size` bytes can hold a decimal of `precision` digits (specification, "Decimal")."""
    if size > _MOST_PRECISION:
        return True  # more than enough for the precision that can be read here
    return size > 0 and precision <= 2 * size + size // 2 and 10**precision <= 1 << (8 * size - 1)


def _aliases(schema: Mapping[str, Any]) -> tuple[str, ...]:
    aliases = schema.get("aliases")
    return tuple(map(str, aliases)) if isinstance(aliases, list) else ()


def _shown(value: object) -> str:
    text = repr(value) if isinstance(value, str) else type(value).__name__
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


_ARROW: Final[dict[str, pa.DataType]] = {
    "null": pa.null(),
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "bytes": pa.binary(),
    "string": pa.string(),
}
_ARROW_LOGICAL: Final[dict[tuple[str, str | None], pa.DataType]] = {
    ("string", "uuid"): pa.uuid(),
    ("int", "date"): pa.date32(),
    ("long", "timestamp-millis"): pa.timestamp("ms", tz="UTC"),
    ("long", "timestamp-micros"): pa.timestamp("us", tz="UTC"),
}
_SMALL_ENUM: Final = 127
"""The most symbols of an enum whose index takes one byte in Arrow."""


def arrow_of(avro_type: AvroType) -> pa.DataType:
    """The Arrow type of decoded values.

    Raises ValueError where there is none: for a map, a union other than null and one type, or a
    type that contains one of these.
    """
    match avro_type:
        case Primitive(_, "decimal", precision, scale) if precision <= _MOST_PRECISION:
            return pa.decimal128(precision, scale)
        case Primitive(kind, logical):
            return _ARROW_LOGICAL.get((kind, logical)) or _ARROW[kind]
        case FixedType(_, _, "decimal", precision, scale) if precision <= _MOST_PRECISION:
            return pa.decimal128(precision, scale)
        case FixedType(_, size):
            return pa.binary(size)
        case EnumType(_, symbols):
            index = pa.int8() if len(symbols) <= _SMALL_ENUM else pa.int32()
            return pa.dictionary(index, pa.string())
        case ArrayType(items):
            return pa.list_(arrow_of(items))
        case RecordType():
            return pa.struct(
                [pa.field(field.name, arrow_of(field.type)) for field in avro_type.fields]
            )
        case UnionType() if (nullable := split_nullable(avro_type)) is not None:
            return arrow_of(nullable[0])
    raise ValueError(f"no Arrow type for Avro {avro_type!r}")
