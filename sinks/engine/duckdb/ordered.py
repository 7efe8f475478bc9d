"""Rows in order, however wide they are.

DuckDB works on vectors of 2,048 rows and sorts whole vectors. If their texts don't fit its memory,
the rows are computed in slices: first the keys, which are narrow, then the rows between two keys.
Ordinary rows are computed in one query.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from sinks.engine.duckdb.errors import translated_batches
from sinks.engine.engine import BATCH_BYTES, BATCH_ROWS, EngineMemoryError, Ordered, Table
from sinks.engine.planned import planned
from streams.storage.parquet import parquet_writer, write_rows

__all__ = ["VECTOR_ROWS", "OrderedRows", "join_batches"]

VECTOR_ROWS: Final = 2_048
"""Rows of a DuckDB vector: DuckDB has these in memory together in any case."""

_FIRST_SLICE: Final = 64
"""Rows of the first slice, when their width isn't known yet: 64 rows of 1 MiB fill a batch."""
_FEWER: Final = 4
_MORE: Final = 8

Keys = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class OrderedRows:
    """Computes rows in order. stream: reads a table in batches of a number of rows. write: writes a
    table into a file. Both raise EngineMemoryError if the rows don't fit the memory.
    """

    rows: Ordered
    stream: Callable[[Table, int], pa.RecordBatchReader]
    write: Callable[[Table, Path], None]

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Compute the rows in batches; see `QueryEngine.ordered_batches`."""
        wanted = list(self.rows.columns)
        for batch in join_batches(self._computed()):
            yield batch.select(wanted)

    def write_parquet(self, file: Path) -> None:
        """Compute the rows into a file; see `QueryEngine.write_parquet`."""
        try:
            self.write(_in_order(self.rows), file)
        except EngineMemoryError:
            part = file.with_suffix(".part")

            def compute(rows: Table) -> pa.Table:  # through a file, which preserves DuckDB's types
                self.write(rows, part)
                return pq.read_table(part, partitioning=None)

            slices = self._sliced(0, _FIRST_SLICE, compute)
            first = next(slices)
            with parquet_writer(file, first.schema) as writer:
                for batch in chain([first], slices):
                    write_rows(writer, batch)

    def _computed(self) -> Iterator[pa.RecordBatch]:
        done, size = 0, 0
        try:
            with closing(self.stream(_in_order(self.rows), VECTOR_ROWS)) as reader:
                for batch in translated_batches(reader):
                    yield batch
                    done += batch.num_rows
                    if batch.nbytes > BATCH_BYTES:
                        size = _fitting(batch)
                        break
                else:
                    return
        except EngineMemoryError:
            size = _FIRST_SLICE
        yield from self._sliced(done, size, self._read_all)

    def _sliced(
        self, done: int, size: int, compute: Callable[[Table], pa.Table]
    ) -> Iterator[pa.RecordBatch]:
        """Compute the rows after the first `done`, about `size` at a time; fewer if these don't fit
        the memory.
        """
        keys = self._keys()
        while done < len(keys):
            first, end = _slice_of(keys, done, size)
            try:
                rows = compute(self._between(keys[first], keys[end - 1]))
            except EngineMemoryError:
                if size == 1:
                    raise
                size = max(1, size // _FEWER)
                continue
            yield from rows.slice(done - first).to_batches()
            size = min(_fitting(rows), size * _MORE)
            done = end

    def _keys(self) -> Keys:
        by = self.rows.by
        keys = self._read_all(self.rows.table.select(*by).order_by(*by))
        return np.stack([keys[name].cast(pa.int64()).to_numpy() for name in by], axis=1)

    def _between(self, low: Sequence[int], high: Sequence[int]) -> Table:
        """Return the rows from one key to another, both included, in order. The keys differ only in
        their last number.
        """
        rows, table, *before, last = self.rows, self.rows.table, *self.rows.by
        wanted = [table[name] == value for name, value in zip(before, low, strict=False)]
        between = table.filter(*wanted, table[last].between(low[-1], high[-1]))
        return between.order_by(*rows.by, *rows.then)

    def _read_all(self, table: Table) -> pa.Table:
        reader = self.stream(table, VECTOR_ROWS)
        return pa.Table.from_batches(translated_batches(reader), reader.schema)


@planned
def _in_order(rows: Ordered) -> Table:
    return rows.table.order_by(*rows.by, *rows.then)


def join_batches(
    batches: Iterable[pa.RecordBatch], most_rows: int = BATCH_ROWS, most_bytes: int = BATCH_BYTES
) -> Iterator[pa.RecordBatch]:
    """Join small batches until one has `most_rows` rows or `most_bytes` bytes."""
    pending: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        if pending and size + batch.nbytes > most_bytes:
            yield _joined(pending)
            pending, rows, size = [], 0, 0
        pending.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
        if rows >= most_rows:
            yield _joined(pending)
            pending, rows, size = [], 0, 0
    if rows:
        yield _joined(pending)


def _joined(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    return batches[0] if len(batches) == 1 else pa.concat_batches(batches)


def _slice_of(keys: Keys, at: int, size: int) -> tuple[int, int]:
    """Return the slice around row `at`: its first and its next index.

    All keys of a slice differ only in their last number, and equal keys are in the same slice.
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


def _fitting(rows: pa.RecordBatch | pa.Table) -> int:
    """Return how many rows of this width fill a batch."""
    return max(1, BATCH_BYTES * int(rows.num_rows) // max(1, int(rows.nbytes)))
