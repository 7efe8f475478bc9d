"""What computes tables: the interface of engines, and what rules and state use of it.

Rules are written once, as Ibis expressions on the tables of an engine. Each engine has a folder
beside this module and a line in `engines.py`; nothing else knows which one it is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeAlias

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from streams.storage.partitions import FileSlice

__all__ = [
    "BATCH_BYTES",
    "BATCH_ROWS",
    "FILE",
    "EngineError",
    "EngineFileError",
    "EngineMemoryError",
    "Ordered",
    "QueryEngine",
    "Table",
    "engine_of",
    "in_order",
    "interval_of",
    "materialize",
    "query_files",
    "query_rows",
    "stream_batches",
]

Table: TypeAlias = ir.Table
"""A table of an engine: an expression, computed when its rows are asked for."""

BATCH_ROWS: Final = 131_072
"""Rows of one ordered batch: some megabytes of text, so that few are in flight."""
BATCH_BYTES: Final = 64 << 20
"""Bytes of one ordered batch: one that reaches them is handed out, whatever rows it has."""

FILE: Final = pa.field("_file", pa.string())
"""Column of `QueryEngine.events`, where its schema names it: the path of the row's file."""


class EngineError(Exception):
    """An engine can't compute a table; the message is the engine's own."""


class EngineFileError(EngineError):
    """A file can't be opened, read or written, those to spill to included."""


class EngineMemoryError(EngineError):
    """The engine's memory limit is too low for a table."""


class QueryEngine(ABC):
    """Computes tables, in UTC, within a memory limit.

    An engine is one thread's: its methods aren't called side by side. A table belongs to the engine
    that made it; tables of two engines can't be combined. What computing raises is an EngineError.

    memory_limit: as DuckDB writes it (`800MB`, `1.5 GiB`); what doesn't fit is written to
    `scratch`, an empty folder that goes with the engine. The caller may put files there.
    """

    memory_limit: str
    scratch: Path

    @abstractmethod
    def events(self, schema: pa.Schema, slices: Sequence[FileSlice]) -> Table:
        """Return the rows of Parquet files, in no order, with the columns of `schema`.

        Files may differ from it: a column, or a member of a record, that a file lacks is null, and
        what the schema lacks is left out. Of a slice with clips only the rows count whose
        `_partition` and `_offset` are within one of them. Types are the schema's, but dictionaries
        are their values, and moments are in microseconds. `FILE` may be among the columns.
        """

    @abstractmethod
    def file(self, path: Path) -> Table:
        """Return the rows of a Parquet file, with its own columns.

        Raises EngineError where the file can't be opened.
        """

    @abstractmethod
    def materialize(self, table: Table) -> Table:
        """Compute a table once; return it as one that is read as often as needed.

        It may be computed later, in the background; then what goes wrong is raised by the next
        call of `batches`, `ordered_batches` or `write_parquet`, whatever table that is for.
        """

    @abstractmethod
    def batches(self, table: Table) -> pa.RecordBatchReader:
        """Compute a table, in no order but its own.

        Nothing else may be asked of the engine until the last batch is read.
        """

    @abstractmethod
    def query_files(self, table: Table) -> list[dict[str, Any]]:
        """Compute a small table that is made of files alone, of no materialized table.

        The engine needn't wait for what is computed in the background.
        """

    @abstractmethod
    def ordered_batches(self, rows: Ordered) -> Iterator[pa.RecordBatch]:
        """Compute rows in their order, in batches of up to BATCH_ROWS rows and about BATCH_BYTES
        bytes: rows that don't fit the memory together are computed one part after the other.

        Nothing else may be asked of the engine until the last batch is read.
        """

    @abstractmethod
    def write_parquet(self, rows: Ordered, file: Path) -> None:
        """Compute rows in their order into a Parquet file, with all columns of their table.

        `file` read back has the types of the table, however wide its rows are.
        """


@dataclass(frozen=True, slots=True)
class Ordered:
    """Rows in the order of some whole numbers, and what is read of them.

    table: the rows in no order; with `columns`, which are read, and `by`, which put them in order.
    then: further columns that do, of any type, where `by` isn't unique. Nulls come last.
    """

    table: Table
    by: tuple[str, ...]
    columns: tuple[str, ...]
    then: tuple[str, ...] = ()

    @property
    def schema(self) -> pa.Schema:
        """Types of the columns that are read."""
        return stream_batches(self.table.select(*self.columns).limit(0)).schema

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Compute the rows; see `QueryEngine.ordered_batches`."""
        return engine_of(self.table).ordered_batches(self)

    def reader(self) -> pa.RecordBatchReader:
        """Return the same as a reader."""
        return pa.RecordBatchReader.from_batches(self.schema, self.batches())

    def write(self, file: Path) -> None:
        """Compute the rows into a file; see `QueryEngine.write_parquet`."""
        engine_of(self.table).write_parquet(self, file)


def in_order(values: Mapping[str, ir.Value], of: Table, by: Sequence[str]) -> Ordered:
    """Return `values` of a table in the order of its columns `by`."""
    keys = {f"order {number}": of[name] for number, name in enumerate(by)}  # as no column is called
    return Ordered(of.select(**keys, **values), tuple(keys), tuple(values))


def engine_of(table: Table) -> QueryEngine:
    """Return the engine that a table belongs to."""
    engine = table.get_backend()
    if not isinstance(engine, QueryEngine):
        raise TypeError(f"{engine!r} is not an QueryEngine")
    return engine


def materialize(table: Table) -> Table:
    """Compute a table that is read more than once; see `QueryEngine.materialize`."""
    return engine_of(table).materialize(table)


def stream_batches(table: Table) -> pa.RecordBatchReader:
    """Compute a table batch by batch; see `QueryEngine.batches`."""
    return engine_of(table).batches(table)


def query_rows(table: Table) -> list[dict[str, Any]]:
    """Compute a small table and return its rows.

    Not Ibis' `to_pyarrow`: it imports pandas, which costs a close half a second.
    """
    rows: list[dict[str, Any]] = stream_batches(table).read_all().to_pylist()
    return rows


def query_files(table: Table) -> list[dict[str, Any]]:
    """Compute a small table of files alone and return its rows; see `QueryEngine.query_files`."""
    return engine_of(table).query_files(table)


def interval_of(duration: timedelta) -> ir.IntervalScalar:
    """An interval of elapsed time, to be added to moments.

    In seconds: days are calendar days to an engine, and in a zone with clock changes not all of
    them have 24 hours.
    """
    return ibis.interval(seconds=int(duration.total_seconds()))
