"""The interface of query engines, and the functions on tables that rules and state use.

Rules are written once, as Ibis expressions on an engine's tables. Each engine has a folder beside
this module and a line in `engines.py`; no other module knows which engine is in use.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

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

Result = TypeVar("Result")
Table: TypeAlias = ir.Table
"""A table of an engine: an expression, computed when its rows are read."""

BATCH_ROWS: Final = 131_072
"""Rows of one ordered batch: some megabytes of text, so that few are in flight."""
BATCH_BYTES: Final = 64 << 20
"""Size in bytes at which an ordered batch ends, however few rows it has."""

FILE: Final = pa.field("_file", pa.string())
"""Column of `QueryEngine.events`, where its schema names it: the path of the row's file."""


class EngineError(Exception):
    """An engine can't compute a table; the message is the engine's own."""


class EngineFileError(EngineError):
    """A file can't be opened, read or written; files that the engine spills to count too."""


class EngineMemoryError(EngineError):
    """The engine's memory limit is too low for a table."""


class QueryEngine(ABC):
    """Computes tables, in UTC, within a memory limit.

    An engine belongs to one thread: its methods must not run side by side. A table belongs to the
    engine that made it; tables of two engines can't be combined. Every failure of a computation is
    an EngineError.

    memory_limit: in DuckDB's notation (`800MB`, `1.5 GiB`). scratch: an empty folder, which the
    engine spills to and which is removed with the engine. The caller may put files there.
    """

    memory_limit: str
    scratch: Path

    @abstractmethod
    def events(self, schema: pa.Schema, slices: Sequence[FileSlice]) -> Table:
        """Return the rows of Parquet files, in no particular order, with the columns of `schema`.

        Files may differ from the schema. A column, or a member of a record, that a file lacks is
        null; columns that the schema lacks are left out. If a slice has clips, only those of its
        rows count whose `_partition` and `_offset` are within a clip. Types are the schema's,
        except that dictionaries become their values and moments are in microseconds. `FILE` may be
        one of the columns.
        """

    @abstractmethod
    def file(self, path: Path) -> Table:
        """Return the rows of a Parquet file, with its own columns.

        Raises EngineError where the file can't be opened.
        """

    @abstractmethod
    def materialize(self, table: Table) -> Table:
        """Compute a table once; return a table that can be read as often as needed. The same table
        isn't computed twice.

        The computation may run later, in the background. Then its error is raised by the next call
        of `batches`, `ordered_batches` or `write_parquet`, whatever table that call is for.
        """

    @abstractmethod
    def value(self, value: datetime | int) -> ir.Scalar:
        """Return a value that isn't part of the plan: an instant, or a whole number of 64 bits.

        Expressions with another value in this place have the same shape.
        """

    @abstractmethod
    def planned(self, shape: Hashable, plan: Callable[[], Result]) -> Result:
        """Return what `plan` returns, or what it returned for an equal shape; see `planned.py`.

        The tables that it materializes are computed in either case. Within `plan`, the engine makes
        no tables of files, no values, and reads no rows.
        """

    @abstractmethod
    def batches(self, table: Table) -> pa.RecordBatchReader:
        """Compute a table, in the engine's own order.

        Don't call the engine again before the last batch is read.
        """

    @abstractmethod
    def query_files(self, table: Table) -> list[dict[str, Any]]:
        """Compute a small table that depends on files only, not on a materialized table.

        The engine needn't wait for computations in the background.
        """

    @abstractmethod
    def ordered_batches(self, rows: Ordered) -> Iterator[pa.RecordBatch]:
        """Compute rows in their order, in batches of up to BATCH_ROWS rows and about BATCH_BYTES
        bytes. Rows that don't fit the memory together are computed part by part.

        Don't call the engine again before the last batch is read.
        """

    @abstractmethod
    def write_parquet(self, rows: Ordered, file: Path) -> None:
        """Compute rows in their order into a Parquet file, with all columns of their table.

        `file` read back has the types of the table, however wide its rows are.
        """


@dataclass(frozen=True, slots=True)
class Ordered:
    """Rows in the order of some whole numbers, and the columns to read.

    table: the rows in no particular order. columns: those to read. by: the whole numbers that give
    the order. then: further columns, of any type, that give the order where `by` isn't unique.
    Nulls come last.
    """

    table: Table
    by: tuple[str, ...]
    columns: tuple[str, ...]
    then: tuple[str, ...] = ()

    @property
    def schema(self) -> pa.Schema:
        """Types of the columns to read."""
        return stream_batches(self.table.select(*self.columns).limit(0)).schema

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Compute the rows; see `QueryEngine.ordered_batches`."""
        return engine_of(self.table).ordered_batches(self)

    def reader(self) -> pa.RecordBatchReader:
        """Return a reader of the same batches."""
        return pa.RecordBatchReader.from_batches(self.schema, self.batches())

    def write(self, file: Path) -> None:
        """Compute the rows into a file; see `QueryEngine.write_parquet`."""
        engine_of(self.table).write_parquet(self, file)


def in_order(values: Mapping[str, ir.Value], of: Table, by: Sequence[str]) -> Ordered:
    """Return `values` of a table in the order of its columns `by`."""
    keys = {f"order {number}": of[name] for number, name in enumerate(by)}  # unlike any column
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
    """Return an interval of elapsed time, which can be added to moments.

    It is in seconds. To an engine, days are calendar days: in a zone with clock changes, some of
    them don't have 24 hours.
    """
    return ibis.interval(seconds=int(duration.total_seconds()))
