"""Reader of arrays, for all datums at once: the first item of each, then the second, and so on.

When few rows have more items, `walk.py` finds where each of these items begins, one after the
other; then all of them are read at once. Both ways give the same result.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.decoding.columnar import Cursor, IntArray, read_long
from schemas.decoding.nodes import Node, Refuses
from schemas.decoding.walk import MalformedError, Walk, read_block

__all__ = ["Lists"]

_FEW: Final = 48
"""Up to this many rows, a walk over the items costs less than numpy's calls for each step."""

_MOST_EMPTY_ITEMS: Final = 1_000
"""Maximum number of items without bytes in one array: the size of the datum doesn't bound them."""


_MOST_STARTS: Final = 1 << 18
"""Positions of items that are collected before the items are read: 2 MiB."""


@dataclass(slots=True)
class _Starts:
    """The positions where items begin, and the number of items of each row."""

    rows: list[int] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    starts: array[int] = field(default_factory=lambda: array("q"))

    def add(self, row: int, starts: array[int]) -> None:
        """Add the positions of a row's items."""
        self.rows.append(row)
        self.counts.append(len(starts))
        self.starts.extend(starts)


@dataclass(slots=True)
class _Found:
    """Items that were read, with the row of each, in reading order; and each row's count."""

    counts: IntArray
    rows: list[npt.NDArray[np.int32]] = field(default_factory=list)
    items: list[pa.Array] = field(default_factory=list)

    def add(self, rows: IntArray, items: pa.Array | None) -> None:
        """Add one item for each entry of `rows`; a row may occur several times."""
        if items is not None and rows.size:
            self.counts += np.bincount(rows, minlength=len(self.counts))
            self.rows.append(rows.astype(np.int32))
            self.items.append(items)

    def in_order(self, none: pa.Array) -> pa.Array:
        """All items, sorted by row, each row's in reading order; `none` if there are no items."""
        if not self.items:
            return none
        items = self.items[0] if len(self.items) == 1 else pa.concat_arrays(self.items)
        rows = np.concatenate(self.rows)
        if (rows[1:] >= rows[:-1]).all():
            return items
        # A stable sort by row keeps the order in which a row's items were read.
        return items.take(pa.array(np.argsort(rows, kind="stable").astype(np.int32)))


@dataclass(frozen=True, slots=True)
class Lists:
    """An array, in one or several blocks.

    item: reads an item; walk: moves past one; least: the fewest bytes of an item, 0 or 1.
    """

    item: Node
    walk: Walk
    least: int
    target: pa.ListType | None
    what: str

    def read(self, cursor: Cursor) -> pa.Array | None:
        """See `Node.read`."""
        found = _Found(np.zeros(cursor.size, np.int64))
        active = np.arange(cursor.size)
        while self.least and active.size > _FEW:
            some = cursor.at(active)
            block = self._block(some)
            cursor.resume(active, some)
            goes_on = block > 0
            active = self._items(cursor, active[goes_on], block[goes_on], found)
        self._rest(cursor, active, np.zeros(active.size, np.int64), found)
        return None if self.target is None else self._assembled(found)

    def _block(self, cursor: Cursor) -> IntArray:
        """Read the number of items in the next block of each row; 0 at the array's end, and for
        refused rows.
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

    def _items(self, cursor: Cursor, active: IntArray, block: IntArray, found: _Found) -> IntArray:
        """Read a block's items: the first of every row, then the second, and so on.

        Returns the rows that continue with another block.
        """
        step = 0
        while True:
            here = np.flatnonzero(block > step)
            if here.size <= _FEW:
                self._rest(cursor, active[here], block[here] - step, found)
                return active[block <= step]
            rows = active[here]
            some = cursor.at(rows)
            items = self.item.read(some)
            cursor.resume(rows, some)
            found.add(rows, items)
            step += 1

    def _rest(self, cursor: Cursor, rows: IntArray, left: IntArray, found: _Found) -> None:
        """Read the rest of the arrays of `rows`; `left` items remain in each current block."""
        starts_of_rows = _Starts()
        for row, count in zip(rows.tolist(), left.tolist(), strict=True):
            begins = array("q")
            try:
                cursor.position[row] = self._walk_rest(cursor, row, count, begins)
            except MalformedError as error:
                what = error.below(self.what).within
                cursor.flags.refuse(cursor.rows[row : row + 1], f"{error.what} in {what}")
                cursor.position[row] = cursor.end[row]
                continue
            if self.target is None:
                continue
            starts_of_rows.add(row, begins[:1] if isinstance(self.item, Refuses) else begins)
            if len(starts_of_rows.starts) >= _MOST_STARTS:
                self._read_starts(cursor, starts_of_rows, found)
                starts_of_rows = _Starts()
        self._read_starts(cursor, starts_of_rows, found)

    def _read_starts(self, cursor: Cursor, starts_of_rows: _Starts, found: _Found) -> None:
        """Read the items at the collected positions, all at once."""
        if not starts_of_rows.starts:
            return
        of = np.repeat(starts_of_rows.rows, starts_of_rows.counts)
        at = np.frombuffer(starts_of_rows.starts, np.int64).copy()
        each = Cursor(cursor.windows, cursor.rows[of], at, cursor.end[of], cursor.flags)
        found.add(of, self.item.read(each))

    def _walk_rest(self, cursor: Cursor, row: int, left: int, begins: array[int]) -> int:
        """Return the position behind a row's array; append each item's position to `begins`."""
        data, end = cursor.windows.data, int(cursor.end[row])
        at, count, goes_on = int(cursor.position[row]), left, True
        while goes_on:
            if not self.least and len(begins) + count > _MOST_EMPTY_ITEMS:
                raise MalformedError(f"more than {_MOST_EMPTY_ITEMS} items without bytes")
            for _ in range(count):
                begins.append(at)
                at = self.walk(data, at, end, 0)
            count, at = read_block(data, at, end, self.least)
            goes_on = count > 0
        return at

    def _assembled(self, found: _Found) -> pa.Array:
        assert self.target is not None
        offsets = np.zeros(len(found.counts) + 1, np.int32)
        np.cumsum(found.counts, out=offsets[1:])
        values = found.in_order(pa.nulls(0, self.target.value_type))
        return pa.ListArray.from_arrays(pa.array(offsets), values, type=self.target)
