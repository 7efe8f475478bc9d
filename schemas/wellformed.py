"""Checks one datum against the Avro binary encoding, strictly, without making its values.

fastavro trusts what it reads: a deep recursive datum overflows the C stack, an array of a billion
nulls keeps it busy, a negative branch picks the last type. So what is given to it is walked here
first. The rules are those of the reader for columns (`schemas/nodes.py`): numbers of up to 64 bits,
indexes in range, everything within the datum.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["MalformedError", "check_datum"]

_MAX_DEPTH = 50
_MAX_VARINT = 10
_INT_LIMIT = 1 << 31
_SIZES = {"boolean": 1, "float": 4, "double": 8, "null": 0}
_MAX_EMPTY_ITEMS = 10_000
"""Items without bytes are bounded by nothing else."""


class MalformedError(Exception):
    """A datum that isn't what its schema says; the message is the reason."""


def check_datum(schema: object, data: bytes) -> None:
    """Raise MalformedError unless `data` is one datum of `schema` (names written out, recursion by
    name), and no more.
    """
    end = _Walk(data, {}).value(schema, 0, 0)
    if end != len(data):
        raise MalformedError("bytes left over after the datum")


class _Walk:
    def __init__(self, data: bytes, named: dict[str, object]) -> None:
        self._data = data
        self._named = named

    def value(self, schema: object, position: int, depth: int) -> int:
        """Walk over one value from `position`; gives the position behind it."""
        if depth > _MAX_DEPTH:
            raise MalformedError(f"nested deeper than {_MAX_DEPTH} levels")
        if isinstance(schema, list):
            branch, position = self._long(position)
            if not 0 <= branch < len(schema):
                raise MalformedError("an index outside the union")
            return self.value(schema[branch], position, depth + 1)
        if isinstance(schema, str):
            return self._primitive(schema, position, depth)
        assert isinstance(schema, Mapping)
        return self._complex(schema, position, depth)

    def _primitive(self, kind: str, position: int, depth: int) -> int:
        if kind in _SIZES:
            return self._within(position + _SIZES[kind])
        if kind in ("int", "long"):
            number, position = self._long(position)
            if kind == "int" and not -_INT_LIMIT <= number < _INT_LIMIT:
                raise MalformedError("a number of more than 32 bits")
            return position
        if kind in ("string", "bytes"):
            return self._text(position)
        return self.value(self._named[kind], position, depth + 1)

    def _complex(self, schema: Mapping[str, object], position: int, depth: int) -> int:
        kind = schema["type"]
        if "name" in schema:
            self._named[str(schema["name"])] = schema
        match kind:
            case "record" | "error":
                fields = schema["fields"]
                assert isinstance(fields, list)
                for field in fields:
                    position = self.value(field["type"], position, depth + 1)
                return position
            case "array":
                return self._blocks((schema["items"],), position, depth)
            case "map":
                return self._blocks(("string", schema["values"]), position, depth)
            case "enum":
                index, position = self._long(position)
                symbols = schema["symbols"]
                assert isinstance(symbols, list)
                if not 0 <= index < len(symbols):
                    raise MalformedError("an index outside the enum")
                return position
            case "fixed":
                size = schema["size"]
                assert isinstance(size, int)
                return self._within(position + size)
        return self.value(kind, position, depth)

    def _blocks(self, item: tuple[object, ...], position: int, depth: int) -> int:
        empty = 0
        while True:
            count, position = self._long(position)
            if count == 0:
                return position
            if count < 0:
                _, position = self._long(position)
                count = -count
            for _ in range(count):
                before = position
                for part in item:
                    position = self.value(part, position, depth + 1)
                empty += position == before
                if empty > _MAX_EMPTY_ITEMS:
                    raise MalformedError(f"more than {_MAX_EMPTY_ITEMS} items without bytes")

    def _text(self, position: int) -> int:
        length, position = self._long(position)
        if length < 0:
            raise MalformedError("a negative length")
        return self._within(position + length)

    def _within(self, position: int) -> int:
        if position > len(self._data):
            raise MalformedError("cut short")
        return position

    def _long(self, position: int) -> tuple[int, int]:
        number = 0
        for index in range(_MAX_VARINT):
            self._within(position + index + 1)
            byte = self._data[position + index]
            number |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                number &= (1 << 64) - 1
                return (number >> 1) ^ -(number & 1), position + index + 1
        raise MalformedError("a number of more than 64 bits")
