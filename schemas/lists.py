"""Reads arrays of all datums at once: their first items, then their second, and so on.

Avro writes an array as blocks, each with the count of its items, and with its size in bytes where
the count is negative (specification, "Arrays").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from schemas.columnar import Cursor, IntArray, read_long
from schemas.nodes import Node

__all__ = ["Lists"]

_MOST_STEPS = 64
"""Items of one array read step by step for all rows; rows with longer arrays are left to the other
reader.
"""


@dataclass(frozen=True, slots=True)
class Lists:
    """An array of items that have at least one byte each, in one or several blocks."""

    item: Node
    target: pa.ListType | None
    what: str

    def read(self, cursor: Cursor) -> pa.Array | None:
        """See `Node.read`."""
        counts = np.zeros(cursor.size, np.int64)
        read_rows: list[IntArray] = []
        read_items: list[pa.Array] = []
        steps = 0
        active = np.arange(cursor.size)
        while active.size:
            some = cursor.at(active)
            block = self._block(some)
            cursor.resume(active, some)
            goes_on = block > 0
            active, block = active[goes_on], block[goes_on]
            steps = self._items(cursor, active, block, counts, steps, (read_rows, read_items))
        if self.target is None:
            return None
        return self._assembled(counts, read_rows, read_items)

    def _block(self, cursor: Cursor) -> IntArray:
        """How many items the next block of each row has; 0 at the end, and for rows that are
        refused.
        """
        count = read_long(cursor, self.what)
        sized = np.flatnonzero(count < 0)
        if sized.size:
            some = cursor.at(sized)
            read_long(some, self.what)
            cursor.resume(sized, some)
            with np.errstate(over="ignore"):
                count[sized] = -count[sized]
        wrong = (count < 0) | (count > cursor.end - cursor.position)
        if wrong.any():
            cursor.refuse(wrong, f"an array longer than its datum in {self.what}")
        count[cursor.position >= cursor.end] = 0
        return count

    def _items(
        self,
        cursor: Cursor,
        active: IntArray,
        block: IntArray,
        counts: IntArray,
        steps: int,
        found: tuple[list[IntArray], list[pa.Array]],
    ) -> int:
        """Read a block's items: the first of every row, then the second, … up to a limit for all
        blocks together.
        """
        step = 0
        while True:
            here = np.flatnonzero(block > step)
            if not here.size:
                return steps
            rows = active[here]
            some = cursor.at(rows)
            if steps >= _MOST_STEPS:
                some.defer(np.ones(some.size, np.bool_))
                cursor.resume(rows, some)
                block[here] = 0
                return steps
            items = self.item.read(some)
            cursor.resume(rows, some)
            if items is not None:
                found[0].append(rows)
                found[1].append(items)
            counts[rows] += 1
            step += 1
            steps += 1

    def _assembled(self, counts: IntArray, rows: list[IntArray], items: list[pa.Array]) -> pa.Array:
        assert self.target is not None
        offsets = np.zeros(len(counts) + 1, np.int32)
        np.cumsum(counts, out=offsets[1:])
        if not items:
            values = pa.nulls(0, self.target.value_type)
        elif len(items) == 1:
            values = items[0]
        else:
            # A stable sort by row keeps the order in which a row's items were read.
            values = pa.concat_arrays(items).take(
                pa.array(np.argsort(np.concatenate(rows), kind="stable"))
            )
        return pa.ListArray.from_arrays(pa.array(offsets), values, type=self.target)
