"""DuckDB as an engine: the only module that passes expressions to DuckDB and takes results."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from functools import cache, partial
from itertools import count
from pathlib import Path
from typing import Any, Final

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq
from ibis.backends.duckdb import Backend

from sinks.engine.duckdb import sql
from sinks.engine.duckdb.errors import translated, translated_batches
from sinks.engine.duckdb.memory import PlanMemory
from sinks.engine.duckdb.ordered import VECTOR_ROWS, OrderedRows
from sinks.engine.duckdb.plans import compiled
from sinks.engine.duckdb.small import are_small
from sinks.engine.engine import FILE, EngineError, Ordered, QueryEngine, Result, Table
from sinks.engine.schema import table_schema
from sinks.scratch import scratch_folder
from streams.storage.partitions import FileSlice

__all__ = ["DuckDBEngine"]

_MOST_IDLE: Final = 2
_IDLE: Final = deque["DuckDBEngine"](maxlen=_MOST_IDLE)
"""Closed engines: the next one to be opened goes on with the plans of the last. Two, as closes that
run side by side are few.
"""
_MOST_PLANS: Final = 1024
"""Number of plans after which an engine isn't used again, some 70 kB each: ten exports of as many
types have a hundred.
"""


class DuckDBEngine(Backend, QueryEngine):  # type: ignore[misc]  # Ibis has no types
    """DuckDB as a query engine. It materializes tables one after the other on a thread of its own,
    while the caller plans the next step.

    The property `con` waits for these computations, and raises the error if one failed.
    """

    _con: duckdb.DuckDBPyConnection

    @classmethod
    @contextmanager
    def opened(cls, memory_limit: str, scratch: Path) -> Iterator[DuckDBEngine]:
        """Open an engine on an empty database in memory. It spills to a new folder below `scratch`;
        database and folder are removed when the context ends.

        The object is that of an engine that was closed, if there is one: what was planned is kept.
        """
        with scratch_folder(scratch) as spill:
            try:
                engine = _IDLE.pop()
            except IndexError:
                engine = cls()
            engine._open(memory_limit, spill)
            try:
                yield engine
            except BaseException:
                engine._plans.forget()
                raise
            finally:
                engine.disconnect()
            if len(engine._plans) < _MOST_PLANS and len(_IDLE) < _MOST_IDLE:
                _IDLE.append(engine)
            else:  # compiled plans may keep the object alive
                engine._plans.forget()

    def __init__(self) -> None:
        super().__init__()
        self._plans = PlanMemory(self)

    def __hash__(self) -> int:
        """The same number for all engines, so that `plans.py` recognises plans of any engine."""
        return hash(DuckDBEngine)

    def __eq__(self, other: object) -> bool:
        """Whether it is the same engine: tables of two engines must not be mixed."""
        return self is other

    def _open(self, memory_limit: str, scratch: Path) -> None:
        self.memory_limit, self.scratch = memory_limit, scratch
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine")
        self._begun: list[Future[None]] = []
        self._empty: dict[pa.Schema, Path] = {}
        self._reads = count(1)
        self._is_closed = False
        self._con = duckdb.connect(
            config={"memory_limit": memory_limit, "temp_directory": str(scratch)}
        )
        self._con.execute(sql.SETTINGS)
        self._beside = self._con.cursor()
        self._beside.execute(sql.SETTINGS)

    @property
    def con(self) -> duckdb.DuckDBPyConnection:
        """The connection, once no computation runs on it any more.

        Raises the error of a materialized table that failed.
        """
        begun, self._begun = self._begun, []
        with translated():
            for computed in begun:
                computed.result()
        return self._con

    def events(self, schema: pa.Schema, slices: Sequence[FileSlice]) -> Table:
        """See `QueryEngine.events`."""
        columns = table_schema(schema)
        query = sql.events_query(self._without_rows(schema), columns, slices)
        files = [piece.path for piece in slices]
        return self._plans.query(cache(partial(self._read_once, query, files)), columns)

    def file(self, path: Path) -> Table:
        """See `QueryEngine.file`."""
        query = sql.file_query(path)
        columns = self._columns_of(query)
        return self._plans.query(cache(partial(self._read_once, query, [path])), columns)

    def _read_once(self, query: str, files: Sequence[Path]) -> str:
        """Read the rows of a query if its files are small; return the query for what was read, or
        the same query if they aren't or can't be read.
        """
        if not are_small(files):
            return query
        name = f"read {next(self._reads)}"
        try:
            with translated():
                self._beside.execute(sql.create_as(name, query))
        except EngineError:
            return query
        return sql.table_query(name)

    def query_table(self, query: str, columns: ibis.Schema | None = None) -> Table:
        """Return a query as a table. Without `columns`, DuckDB is queried for them."""
        return self._plans.query(lambda: query, columns or self._columns_of(query))

    def _columns_of(self, query: str) -> ibis.Schema:
        """Query DuckDB for a query's columns, on a connection beside the running computations."""
        with translated():
            described = self._beside.execute(sql.describe(query)).fetchall()
        return sql.schema_of(tuple((name, kind) for name, kind, *_ in described))

    def value(self, value: datetime | int) -> ir.Scalar:
        """See `QueryEngine.value`."""
        return self._plans.value(value)

    def planned(self, shape: Hashable, plan: Callable[[], Result]) -> Result:
        """See `QueryEngine.planned`."""
        return self._plans.planned(shape, plan)

    def materialize(self, table: Table) -> Table:
        """See `QueryEngine.materialize`.

        `Table.cache()` doesn't fit: it drops its table on garbage collection, even after the engine
        was closed. `create_table` doesn't fit: it makes five queries each time, and a close would
        call it fifteen times.
        """
        stored, name, is_new = self._plans.materialized(table)
        if is_new:
            statements = sql.create_and_fill(name, stored.schema(), self.text_of(table))
            self._begun.append(self._thread.submit(self._execute, statements))
        return stored

    def batches(self, table: Table) -> pa.RecordBatchReader:
        """See `QueryEngine.batches`. Batches are small, as their texts may be long."""
        reader = self._stream(table, VECTOR_ROWS)
        return pa.RecordBatchReader.from_batches(reader.schema, translated_batches(reader))

    def query_files(self, table: Table) -> list[dict[str, Any]]:
        """See `QueryEngine.query_files`; runs on its own connection, beside other computations."""
        self._plans.refuse_reading()
        with translated():
            reader = self._beside.sql(self.text_of(table)).to_arrow_reader()
        rows = pa.Table.from_batches(translated_batches(reader), reader.schema)
        found: list[dict[str, Any]] = rows.to_pylist()
        return found

    def ordered_batches(self, rows: Ordered) -> Iterator[pa.RecordBatch]:
        """See `QueryEngine.ordered_batches`."""
        return OrderedRows(rows, self._stream, self._write).batches()

    def write_parquet(self, rows: Ordered, file: Path) -> None:
        """See `QueryEngine.write_parquet`."""
        OrderedRows(rows, self._stream, self._write).write_parquet(file)

    def text_of(self, table: Table) -> str:
        """Return the query that computes a table."""
        if self._is_closed:
            raise EngineError("the engine has been closed")
        return self._plans.filled_in(compiled(table))

    def disconnect(self) -> None:
        """Close the engine: interrupt the running computation, and drop those in the queue."""
        self._con.interrupt()
        self._thread.shutdown(cancel_futures=True)
        self._beside.close()
        self._con.close()
        self._is_closed = True
        self._plans.end()
        self._empty.clear()

    def _stream(self, table: Table, rows: int) -> pa.RecordBatchReader:
        """Compute a table in batches of `rows` rows; errors while they are read are Arrow's.

        `to_pyarrow_batches` doesn't fit: Ibis 12 calls a method that DuckDB 2 no longer has.
        """
        self._plans.refuse_reading()
        query, con = self.text_of(table), self.con
        with translated():
            return con.sql(query).to_arrow_reader(rows)

    def _write(self, table: Table, file: Path) -> None:
        query, con = sql.write_query(self.text_of(table), file), self.con
        with translated():
            con.execute(query)

    def _execute(self, statements: str) -> None:
        self._con.execute(statements)

    def _without_rows(self, schema: pa.Schema) -> Path:
        """Return an empty Parquet file with the columns of a schema, except `FILE`."""
        if schema not in self._empty:
            path = self.scratch / f"empty-{len(self._empty)}.parquet"
            stored = pa.schema([field for field in schema if field.name != FILE.name])
            # `empty_table` doesn't fit: it imports pandas if that is installed, which takes half a
            # second.
            nothing = [pa.nulls(0, field.type) for field in stored]
            pq.write_table(pa.Table.from_arrays(nothing, schema=stored), path)
            self._empty[schema] = path
        return self._empty[schema]
