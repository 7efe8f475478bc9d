"""Skipping of fields that aren't wanted, with the same checks as for fields that are read."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa

from schemas.avro_types import (
    ArrayType,
    AvroType,
    EnumType,
    FixedType,
    Primitive,
    RecordType,
    UnionType,
    split_nullable,
)
from schemas.decoding.branches import SkippedField
from schemas.decoding.lists import Lists
from schemas.decoding.nodes import (
    Booleans,
    Enums,
    Fixeds,
    Floats,
    Longs,
    Node,
    Nullable,
    Nulls,
    Record,
    Texts,
)
from schemas.decoding.walk import Emptiness, Walks

__all__ = ["Skipping"]

_MOST_NODES: Final = 20_000
"""Maximum number of skipping nodes for one schema; a type counts again at each use. Fields beyond
it are walked row by row.
"""


class Skipping:
    """Makes what skips the fields of one writer's schema."""

    def __init__(self, is_empty: Emptiness, walks: Walks) -> None:
        self._is_empty = is_empty
        self._walks = walks
        self._sizes: dict[str, int] = {}
        self._left = _MOST_NODES

    def field(self, avro_type: AvroType, what: str) -> SkippedField:
        """The walk for a field, and the node as long as the schema's limit of nodes allows it."""
        size = self._size(avro_type)
        node = None
        if size <= self._left:
            self._left -= size
            node = self._node(avro_type, what)
        return SkippedField(what, self._walks.of(avro_type), node)

    def _size(self, avro_type: AvroType) -> int:
        """The number of nodes of a type; above the limit if it can't be read as columns."""
        match avro_type:
            case RecordType(name, fields):
                if name not in self._sizes:
                    self._sizes[name] = _MOST_NODES + 1  # in case the record contains itself
                    inside = sum(self._size(field.type) for field in fields)
                    self._sizes[name] = min(inside + 1, _MOST_NODES + 1)
                return self._sizes[name]
            case ArrayType(items) if not self._is_empty(items):
                return self._size(items) + 1
            case UnionType() if (nullable := split_nullable(avro_type)) is not None:
                return self._size(nullable[0]) + 1
            case Primitive() | FixedType() | EnumType():
                return 1
        return _MOST_NODES + 1

    def _node(self, avro_type: AvroType, what: str) -> Node:
        match avro_type:
            case RecordType(_, fields):
                nodes = [
                    self._node(field.type, f"{what}.{field.name}")
                    for field in fields
                    if not self._is_empty(field.type)
                ]
                return Record(nodes, (), None)
            case ArrayType(items):
                return Lists(self._node(items, what), self._walks.of(items), 1, None, what)
            case FixedType(_, size):
                return Fixeds(None, what, size)
            case EnumType(_, symbols):
                nothing = pa.nulls(0, pa.string())
                return Enums(None, what, np.zeros(len(symbols), np.int64), nothing)
            case Primitive(kind):
                return _primitive(kind, what)
            case UnionType() if (nullable := split_nullable(avro_type)) is not None:
                return Nullable(self._node(nullable[0], what), nullable[1], None, what)
        raise AssertionError(f"{avro_type} has no node of its own")


def _primitive(kind: str, what: str) -> Node:
    match kind:
        case "null":
            return Nulls(None)
        case "boolean":
            return Booleans(None, what)
        case "int" | "long":
            return Longs(None, what, kind == "int")
        case "float":
            return Floats(None, what, "<f4")
        case "double":
            return Floats(None, what, "<f8")
    return Texts(None, what)
