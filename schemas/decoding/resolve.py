"""Composition of the nodes that read a writer's type as the reader's (Avro specification, "Schema
Resolution").

Only this module decides how a value may be written, and what it then means (SPEC §6). Fields may be
in another order, removed, added with defaults, or renamed by aliases. Numbers, texts and bytes are
promoted. Enums may have a default. Unions are resolved branch by branch. A unit or meaning is never
guessed: a moment must be timestamp-millis or -micros, a decimal must have the reader's scale. Each
field of the writer has nodes of its own, so the writer's other fields don't change how it is read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import numpy as np
import pyarrow as pa

from schemas.avro_types import (
    NULL,
    ArrayType,
    AvroType,
    EnumType,
    FieldType,
    FixedType,
    Primitive,
    RecordType,
    UnionType,
    arrow_of,
    split_nullable,
)
from schemas.decoding.branches import Skipped, SkippedField, Union
from schemas.decoding.lists import Lists
from schemas.decoding.nodes import (
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
    Refuses,
    Texts,
    Uuids,
)
from schemas.decoding.skipping import Skipping
from schemas.decoding.walk import Emptiness, Walks

__all__ = ["Defaults", "UnresolvableError", "compile_record", "compile_value"]

_N = TypeVar("_N", FixedType, EnumType, RecordType)

_MOST_STEPS: Final = 100_000
"""Maximum number of types visited for one schema. A branch of a union counts again for each type
that it is resolved against.
"""


class UnresolvableError(Exception):
    """A writer's type doesn't resolve to the reader's; the message is the reason."""


Defaults = Callable[[FieldType], pa.Array]
"""Returns the default of a reader's field, as an array of one value."""


def compile_record(writer: RecordType, reader: RecordType, defaults: Defaults) -> Record:
    """The node for a whole datum. Raises UnresolvableError if no datum could be read."""
    return _Compiler(defaults).record(writer, reader, "")


def compile_value(avro_type: AvroType, what: str, defaults: Defaults) -> Node:
    """The node for a value whose writer's and reader's type are the same."""
    return _Compiler(defaults).value(avro_type, avro_type, what)


class _Compiler:
    """Compiles the schema of one writer to nodes."""

    def __init__(self, defaults: Defaults) -> None:
        self._defaults = defaults
        self._is_empty = Emptiness()
        self._walks = Walks(self._is_empty)
        self._skipping = Skipping(self._is_empty, self._walks)
        self._steps = 0

    def record(self, writer: RecordType, reader: RecordType, within: str) -> Record:
        """The node for a record: fields in the writer's order, and the places of the reader's."""
        _same_name(writer, reader, within)
        wanted = _wanted(writer, reader)
        nodes: list[Node] = []
        place: dict[str, int] = {}
        skipped: list[SkippedField] = []
        for field in writer.fields:
            what = _named(within, field.name)
            taken = wanted.get(field.name)
            if taken is None:
                if not self._is_empty(field.type):
                    skipped.append(self._skipping.field(field.type, what))
                continue
            if skipped:
                nodes.append(Skipped(tuple(skipped)))
                skipped = []
            place[taken.name] = len(nodes)
            nodes.append(self.value(field.type, taken.type, what))
        if skipped:
            nodes.append(Skipped(tuple(skipped)))
        for field in reader.fields:
            if field.name not in place:
                place[field.name] = len(nodes)
                nodes.append(Constant(self._default(field, within)))
        order = [place[field.name] for field in reader.fields]
        return Record(nodes, order, arrow_of(reader))

    def value(self, writer: AvroType, reader: AvroType, what: str) -> Node:
        """The node for a value; UnresolvableError if no value could be read."""
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise UnresolvableError(f"it takes more than {_MOST_STEPS} steps to plan")
        if isinstance(writer, UnionType):
            return self._union(writer, reader, what)
        nullable = split_nullable(reader)
        taken = reader if nullable is None else nullable[0]
        if writer == NULL:
            if nullable is None and reader != NULL:
                raise _other(what, "null")
            return Nulls(arrow_of(taken))
        return self._present(writer, taken, what)

    def _union(self, writer: UnionType, reader: AvroType, what: str) -> Node:
        """The node for a union. A branch that can't be read refuses only the datums that have it,
        as a datum has one branch.
        """
        nullable = split_nullable(reader)
        takes_null = nullable is not None or reader == NULL
        taken = reader if nullable is None else nullable[0]
        target = arrow_of(taken)
        pair = split_nullable(writer)
        if pair is not None:
            inner, null = pair
            required = not takes_null
            return Nullable(self._branch(inner, taken, what), null, target, what, required)
        branches: list[Node | None] = []
        for branch in writer.branches:
            if branch != NULL:
                branches.append(self._branch(branch, taken, what))
            elif takes_null:
                branches.append(None)
            else:
                branches.append(Refuses(target, f"null in {what}, which is required"))
        return Union(tuple(branches), target, what)

    def _branch(self, writer: AvroType, reader: AvroType, what: str) -> Node:
        try:
            return self.value(writer, reader, what)
        except UnresolvableError as error:
            return Refuses(arrow_of(reader), str(error))

    def _present(self, writer: AvroType, reader: AvroType, what: str) -> Node:
        match writer, reader:
            case RecordType(), RecordType():
                return self.record(writer, reader, what)
            case ArrayType(items), ArrayType(read_items):
                least = 0 if self._is_empty(items) else 1
                item = self.value(items, read_items, what)
                return Lists(item, self._walks.of(items), least, arrow_of(reader), what)
            case EnumType(), EnumType():
                return _enum(writer, reader, what)
            case FixedType(), Primitive() | FixedType():
                return _fixed(writer, reader, what)
            case Primitive(), Primitive() | FixedType():
                return _primitive(writer, reader, what)
        raise _other(what, _kind(writer))

    def _default(self, field: FieldType, within: str) -> pa.Array:
        if not field.has_default:
            raise UnresolvableError(f"{_named(within, field.name)} is missing, and required")
        return self._defaults(field)


def _wanted(writer: RecordType, reader: RecordType) -> dict[str, FieldType]:
    """The reader's fields by the names that the writer has for them: the field's, else an alias."""
    written = {field.name for field in writer.fields}
    wanted: dict[str, FieldType] = {}
    for field in reader.fields:
        known = next((name for name in (field.name, *field.aliases) if name in written), None)
        if known is not None:
            wanted.setdefault(known, field)
    return wanted


def _same_name(writer: _N, reader: _N, what: str) -> None:
    """Raise UnresolvableError unless two named types match: their names without the namespace are
    equal, or the writer's name is an alias of the reader's.
    """
    names = {
        reader.name.rpartition(".")[2],
        *(alias.rpartition(".")[2] for alias in reader.aliases),
    }
    own = writer.name.rpartition(".")[2]
    if own not in names:
        raise _other(what or "it", f"'{own}'")


def _named(within: str, name: str) -> str:
    return f"{within}.{name}" if within else name


def _other(what: str, kind: str) -> UnresolvableError:
    return UnresolvableError(f"{what} is written as {kind}, which isn't what is read")


def _kind(writer: AvroType) -> str:
    match writer:
        case Primitive(kind, logical):
            return logical or kind
        case FixedType(_, _, logical):
            return logical or "fixed bytes"
        case _:
            return type(writer).__name__.removesuffix("Type").lower()


def _enum(writer: EnumType, reader: EnumType, what: str) -> Node:
    _same_name(writer, reader, what)
    place = {symbol: index for index, symbol in enumerate(reader.symbols)}
    unknown = -1 if reader.default is None else place[reader.default]
    codes = np.array([place.get(symbol, unknown) for symbol in writer.symbols], np.int64)
    return Enums(arrow_of(reader), what, codes, pa.array(reader.symbols, pa.string()))


def _is_decimal_of(target: pa.DataType, writer: Primitive | FixedType) -> bool:
    """Whether both are decimals of the same scale. The precision may differ: a value with too many
    digits is refused when it is read.
    """
    return (
        pa.types.is_decimal128(target)
        and writer.logical == "decimal"
        and writer.scale == target.scale
    )


def _fixed(writer: FixedType, reader: Primitive | FixedType, what: str) -> Node:
    target = arrow_of(reader)
    if _is_decimal_of(target, writer):
        return Decimals(target, what, writer.size)
    if isinstance(reader, FixedType) and not pa.types.is_decimal128(target):
        _same_name(writer, reader, what)
        if writer.logical == reader.logical and writer.size == reader.size:
            return Fixeds(target, what, writer.size)
    raise _other(what, _kind(writer))


def _primitive(writer: Primitive, reader: Primitive | FixedType, what: str) -> Node:
    target = arrow_of(reader)
    node: Node | None = None
    match writer.kind:
        case "boolean" if target == pa.bool_():
            node = Booleans(target, what)
        case "int" | "long":
            node = _integer(writer, target, what)
        case "float" if pa.types.is_floating(target):
            node = Floats(target, what, "<f4")
        case "double" if target == pa.float64():
            node = Floats(target, what, "<f8")
        case "string" | "bytes":
            node = _text(writer, target, what)
    if node is None:
        raise _other(what, _kind(writer))
    return node


_DIVISORS: Final = {
    ("timestamp-millis", "ms"): 1,
    ("timestamp-micros", "us"): 1,
    ("timestamp-micros", "ms"): 1000,
}


def _integer(writer: Primitive, target: pa.DataType, what: str) -> Node | None:
    is_int, logical = writer.kind == "int", writer.logical
    if pa.types.is_date32(target):
        return Longs(target, what, is_int) if logical == "date" else None
    if pa.types.is_timestamp(target):
        divisor = _DIVISORS.get((str(logical), target.unit))
        return None if divisor is None else Longs(target, what, is_int, divisor)
    if logical is None and (
        target == pa.int64() or (is_int and target == pa.int32()) or pa.types.is_floating(target)
    ):
        return Longs(target, what, is_int)
    return None


def _text(writer: Primitive, target: pa.DataType, what: str) -> Node | None:
    if _is_decimal_of(target, writer):
        return Decimals(target, what, None)
    if writer.logical not in (None, "uuid"):
        return None
    if target == pa.uuid():
        return Uuids(what)
    return Texts(target, what) if target in (pa.string(), pa.binary()) else None
