"""Nodes whose rows can take different ways: unions of any size, and skipped fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from schemas.decoding.columnar import Cursor, IntArray, read_long, spread
from schemas.decoding.nodes import Node
from schemas.decoding.walk import MalformedError, Walk

__all__ = ["Skipped", "SkippedField", "Union"]

_FEW: Final = 16
"""Up to this many rows, a walk from field to field costs less than numpy's calls."""


@dataclass(frozen=True, slots=True)
class Union:
    """A union of any size whose values are read; the branch for null is None."""

    branches: Sequence[Node | None]
    target: pa.DataType
    what: str

    def read(self, cursor: Cursor) -> pa.Array:
        """See `Node.read`."""
        branch = read_long(cursor, self.what)
        wrong = (branch < 0) | (branch >= len(self.branches))
        if wrong.any():
            cursor.refuse(wrong, f"an index outside the union in {self.what}")
        indexes: list[IntArray] = []
        arrays: list[pa.Array] = []
        for number in np.unique(branch[~wrong]).tolist():
            node = self.branches[number]
            if node is None:
                continue
            index = np.flatnonzero(branch == number)
            some = cursor.at(index)
            values = node.read(some)
            cursor.resume(index, some)
            if values.null_count < len(values):  # nulls may have another type; they aren't needed
                indexes.append(index)
                arrays.append(values)
        return _together(arrays, indexes, self.target, cursor.size)


def _together(
    arrays: Sequence[pa.Array], indexes: Sequence[IntArray], target: pa.DataType, size: int
) -> pa.Array:
    """One array of length `size`: the values of each array at its indexes, null elsewhere."""
    if not arrays:
        return pa.nulls(size, target)
    index = np.concatenate(indexes)
    order = np.argsort(index)
    values = pa.concat_arrays(arrays).take(pa.array(order))
    return spread(values, index[order], size)


@dataclass(frozen=True, slots=True)
class SkippedField:
    """A skipped field: `walk` skips it for one row, `node` (None: there isn't one) for many."""

    what: str
    walk: Walk
    node: Node | None


@dataclass(frozen=True, slots=True)
class Skipped:
    """Consecutive fields of the datum that are skipped."""

    fields: Sequence[SkippedField]

    def read(self, cursor: Cursor) -> None:
        """See `Node.read`."""
        if cursor.size <= _FEW:
            self._walk(self.fields, cursor)
            return
        for field in self.fields:
            if field.node is None:
                self._walk([field], cursor)
            else:
                field.node.read(cursor)

    def _walk(self, fields: Sequence[SkippedField], cursor: Cursor) -> None:
        data = cursor.windows.data
        position, end = cursor.position.tolist(), cursor.end.tolist()
        for row in range(cursor.size):
            at, what = position[row], ""
            try:
                for field in fields:
                    what = field.what
                    at = field.walk(data, at, end[row], 0)
            except MalformedError as error:
                reason = f"{error.what} in {error.below(what).within}"
                cursor.flags.refuse(cursor.rows[row : row + 1], reason)
                at = end[row]
            position[row] = at
        cursor.position = np.array(position, np.int64)
