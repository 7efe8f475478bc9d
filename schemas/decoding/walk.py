"""Walks: functions that move past one Avro value with all checks, without decoding it (Avro
specification, "Binary encoding").

Some values can't be read for all datums at once: maps, recursive types, the items of a long array.
Walks find their ends, one after the other. They have the rules and the error texts of the reader
for columns (`columnar.py`, `nodes.py`): both refuse the same values for the same reason. Each step
consumes at least one byte of the datum, or goes one level deeper. The work is therefore bounded by
bytes and levels, for any schema.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from schemas.avro_types import (
    ArrayType,
    AvroType,
    EnumType,
    FixedType,
    MapType,
    Primitive,
    RecordType,
    UnionType,
)

__all__ = ["Emptiness", "MalformedError", "Walk", "Walks", "read_block"]

Walk: TypeAlias = Callable[[bytes, int, int, int], int]
"""Moves past a value: (buffer, position, end of the datum, level) → position behind the value.

Raises MalformedError if the value isn't what its schema says.
"""

_MOST_RECURSIONS: Final = 64
"""Maximum nesting of records of recursive types in a datum."""

_MAX_VARINT: Final = 10
_INT_LIMIT: Final = 1 << 31
_MASK: Final = (1 << 64) - 1
_SIZES: Final = {"boolean": 1, "float": 4, "double": 8}


class MalformedError(Exception):
    """A value isn't what its schema says: `what` is wrong, in the field `within`."""

    def __init__(self, what: str, within: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.within = within

    def below(self, name: str) -> MalformedError:
        """The same error, with its field placed below the field `name`."""
        return MalformedError(self.what, f"{name}.{self.within}" if self.within else name)


class Emptiness:
    """Test whether values of a type take no bytes: null, fixed(0), and records of only such fields.

    Use one instance per schema: it caches the answer for a record by the record's name.
    """

    def __init__(self) -> None:
        self._known: dict[str, bool] = {}

    def __call__(self, avro_type: AvroType) -> bool:
        """Whether values of the type take no bytes."""
        match avro_type:
            case Primitive("null") | FixedType(_, 0):
                return True
            case RecordType(name, fields):
                if name not in self._known:
                    self._known[name] = False  # a record that contains itself isn't empty
                    self._known[name] = all(self(field.type) for field in fields)
                return self._known[name]
        return False


def read_varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    """(a zigzag varint, the position behind it); MalformedError beyond 64 bits or the end."""
    number = 0
    for index in range(_MAX_VARINT):
        if position + index >= end:
            raise MalformedError("cut short")
        byte = data[position + index]
        number |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            number &= _MASK
            return (number >> 1) ^ -(number & 1), position + index + 1
    raise MalformedError("a number of more than 64 bits")


class Walks:
    """Makes the walks for the types of one schema; each record gets one walk, which is reused."""

    def __init__(self, is_empty: Emptiness) -> None:
        self._records: dict[str, Walk] = {}
        self._is_empty = is_empty

    def of(self, avro_type: AvroType) -> Walk:
        """The walk for values of a type."""
        match avro_type:
            case Primitive(kind):
                return _primitive(kind)
            case FixedType(_, size):
                return _fixed(size)
            case EnumType(_, symbols):
                return _index(len(symbols), "an index outside the enum")
            case ArrayType(items):
                least = 0 if self._is_empty(items) else 1
                return _blocks([self.of(items)], least)
            case MapType(values):
                return _blocks([_text, self.of(values)], 1)
            case UnionType(branches):
                return _union([self.of(branch) for branch in branches])
            case RecordType():
                return self._record(avro_type)

    def _record(self, record: RecordType) -> Walk:
        if record.name in self._records:
            return self._records[record.name]

        def recurse(data: bytes, position: int, end: int, level: int) -> int:
            if level >= _MOST_RECURSIONS:
                raise MalformedError(f"nested deeper than {_MOST_RECURSIONS} records")
            return walk(data, position, end, level + 1)

        self._records[record.name] = recurse
        fields = [field for field in record.fields if not self._is_empty(field.type)]
        walk = _fields([(field.name, self.of(field.type)) for field in fields])
        self._records[record.name] = walk
        return walk


def _fields(fields: list[tuple[str, Walk]]) -> Walk:
    def walk(data: bytes, position: int, end: int, level: int) -> int:
        name = ""
        try:
            for name, step in fields:  # noqa: B007 - the name is used where it fails
                position = step(data, position, end, level)
        except MalformedError as error:
            raise error.below(name) from None
        return position

    return walk


def _primitive(kind: str) -> Walk:
    match kind:
        case "null":
            return _nothing
        case "int":
            return _int
        case "long":
            return _long
        case "string" | "bytes":
            return _text
    return _fixed(_SIZES[kind])


def _nothing(_data: bytes, position: int, _end: int, _level: int) -> int:
    return position


def _long(data: bytes, position: int, end: int, _level: int) -> int:
    return read_varint(data, position, end)[1]


def _int(data: bytes, position: int, end: int, _level: int) -> int:
    number, position = read_varint(data, position, end)
    if not -_INT_LIMIT <= number < _INT_LIMIT:
        raise MalformedError("a number of more than 32 bits")
    return position


def _text(data: bytes, position: int, end: int, _level: int) -> int:
    length, position = read_varint(data, position, end)
    if not 0 <= length <= end - position:
        raise MalformedError("cut short")
    return position + length


def _fixed(size: int) -> Walk:
    def walk(_data: bytes, position: int, end: int, _level: int) -> int:
        if size > end - position:
            raise MalformedError("cut short")
        return position + size

    return walk


def _index(choices: int, wrong: str) -> Walk:
    def walk(data: bytes, position: int, end: int, _level: int) -> int:
        index, position = read_varint(data, position, end)
        if not 0 <= index < choices:
            raise MalformedError(wrong)
        return position

    return walk


def _union(branches: list[Walk]) -> Walk:
    def walk(data: bytes, position: int, end: int, level: int) -> int:
        branch, position = read_varint(data, position, end)
        if not 0 <= branch < len(branches):
            raise MalformedError("an index outside the union")
        return branches[branch](data, position, end, level)

    return walk


def _blocks(item: list[Walk], least: int) -> Walk:
    """least: the fewest bytes of an item, 0 or 1; with 0, the items have no bytes to walk."""

    def walk(data: bytes, position: int, end: int, level: int) -> int:
        while True:
            count, position = read_block(data, position, end, least)
            if count == 0:
                return position
            if least:
                for _ in range(count):
                    for step in item:
                        position = step(data, position, end, level)

    return walk


def read_block(data: bytes, position: int, end: int, least: int) -> tuple[int, int]:
    """(number of items in the next block of an array or map, position of the first item).

    The number is 0 at the end of the array or map.

    A block begins with the count of its items; where the count is negative, the block's size in
    bytes follows (specification, "Arrays"). least: the fewest bytes of an item, 0 or 1. Raises
    MalformedError if the datum is too short for the items.
    """
    count, position = read_varint(data, position, end)
    if count < 0:
        _, position = read_varint(data, position, end)
        count = -count
    if count * least > end - position:
        raise MalformedError("an array longer than its datum")
    return count, position
