"""Rows in order, however wide they are.

DuckDB works on vectors of 2,048 rows and sorts whole ones. Where their texts don't fit its memory,
the rows are computed slice by slice: the keys first, which are narrow, then what is between two of
them. Ordinary rows are computed at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Final

import duckdb
import ibis.expr.types as ir
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from sinks.engine.duckdb import (
    BATCH_BYTES,
    VECTOR_ROWS,
    join_batches,
    stream_batches,
    write_parquet,
)
from streams.storage.parquet import parquet_writer, write_rows

__all__ = ["Ordered", "in_order"]

_FIRST_SLICE: Final = 64
"""Rows of a first slice, where it isn't known how wide they are: that many of 1 MiB are a batch."""
_FEWER: Final = 4
_MORE: Final = 8

Keys = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Ordered:
    """Rows in the order of some whole numbers, and what is read of them.

    table: the rows in no order; with `columns`, which are read, and `by`, which put them in order.
    then: further columns that do, of any type, where `by` isn't unique.
    """

    table: ir.Table
    by: tuple[str, ...]
    columns: tuple[str, ...]
    then: tuple[str, ...] = ()

    @property
    def schema(self) -> pa.Schema:
        """Types of the columns that are read."""
        rows = self.table.select(*self.columns).limit(0)
        return stream_batches(rows).schema

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Compute the rows in order, in batches of up to BATCH_ROWS rows and about BATCH_BYTES
        bytes; nothing else may run on the connection until the last is read.
        """
        wanted = list(self.columns)
        for batch in join_batches(self._computed()):
            yield batch.select(wanted)

    def reader(self) -> pa.RecordBatchReader:
        """Return the same as a reader."""
        return pa.RecordBatchReader.from_batches(self.schema, self.batches())

    def write(self, file: Path) -> None:
        """Compute the rows into a Parquet file, with the engine's own types."""
        try:
            write_parquet(self._sorted(self.table), file)
        except duckdb.OutOfMemoryException:
            slices = self._sliced(0, _FIRST_SLICE, partial(_through, file.with_suffix(".part")))
            first = next(slices)
            with parquet_writer(file, first.schema) as writer:
                for batch in chain([first], slices):
                    write_rows(writer, batch)

    def between(self, low: Sequence[int], high: Sequence[int]) -> ir.Table:
        """Return the rows from one key to another, both included, in order; the keys differ in
        their last number only.
        """
        table, *before, last = self.table, *self.by
        wanted = [table[name] == value for name, value in zip(before, low, strict=False)]
        return self._sorted(table.filter(*wanted, table[last].between(low[-1], high[-1])))

    def _computed(self) -> Iterator[pa.RecordBatch]:
        done, size = 0, 0
        try:
            with closing(stream_batches(self._sorted(self.table), VECTOR_ROWS)) as reader:
                for batch in reader:
                    yield batch
                    done += batch.num_rows
                    if batch.nbytes > BATCH_BYTES:
                        size = _fitting(batch)
                        break
                else:
                    return
        except duckdb.OutOfMemoryException:
            size = _FIRST_SLICE
        yield from self._sliced(done, size, lambda rows: stream_batches(rows).read_all())

    def _sliced(
        self, done: int, size: int, compute: Callable[[ir.Table], pa.Table]
    ) -> Iterator[pa.RecordBatch]:
        """Compute the rows after the first `done`, about `size` of them at a time, and as many as
        fit.
        """
        keys = self._keys()
        while done < len(keys):
            first, end = _slice_of(keys, done, size)
            try:
                rows = compute(self.between(keys[first], keys[end - 1]))
            except duckdb.OutOfMemoryException:
                if size == 1:
                    raise
                size = max(1, size // _FEWER)
                continue
            yield from rows.slice(done - first).to_batches()
            size = min(_fitting(rows), size * _MORE)
            done = end

    def _keys(self) -> Keys:
        keys = self.table.select(*self.by).order_by(*self.by)
        rows = stream_batches(keys).read_all()
        columns = [rows.column(name).cast(pa.int64()).to_numpy() for name in self.by]
        return np.stack(columns, axis=1)

    def _sorted(self, table: ir.Table) -> ir.Table:
        return table.order_by(*self.by, *self.then)


def in_order(values: Mapping[str, ir.Value], of: ir.Table, by: Sequence[str]) -> Ordered:
    """Return `values` of a table in the order of its columns `by`."""
    keys = {f"order {number}": of[name] for number, name in enumerate(by)}  # as no column is called
    return Ordered(of.select(**keys, **values), tuple(keys), tuple(values))


def _slice_of(keys: Keys, at: int, size: int) -> tuple[int, int]:
    """A slice that holds a row: where it begins and ends.

    Its keys differ in their last number only, and those that are alike are in one slice.
    """
    new = np.flatnonzero((keys[1:] != keys[:-1]).any(axis=1)) + 1
    borders = np.concatenate([[0], new, [len(keys)]])
    first = int(borders[np.searchsorted(borders, at, side="right") - 1])
    other = np.flatnonzero((keys[first:, :-1] != keys[first, :-1]).any(axis=1))
    within = first + int(other[0]) if other.size else len(keys)
    end = int(borders[np.searchsorted(borders, first + size, side="right") - 1])
    if end <= first:
        end = int(borders[np.searchsorted(borders, first, side="right")])
    return first, min(end, within)


def _through(file: Path, rows: ir.Table) -> pa.Table:
    """Compute rows by way of a Parquet file, which keeps the engine's types."""
    write_parquet(rows, file)
    return pq.read_table(file, partitioning=None)


def _fitting(rows: pa.RecordBatch | pa.Table) -> int:
    """How many rows like these are a batch."""
    return max(1, BATCH_BYTES * int(rows.num_rows) // max(1, int(rows.nbytes)))
