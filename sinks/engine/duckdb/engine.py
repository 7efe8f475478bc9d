"""DuckDB as an engine: the only module that passes expressions to DuckDB and takes results."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from secrets import token_hex
from typing import Any, Final

import duckdb
import ibis
import ibis.expr.operations as ops
import pyarrow as pa
import pyarrow.parquet as pq
from ibis.backends.duckdb import Backend
from ibis.backends.sql.datatypes import DuckDBType

from sinks.engine.duckdb import sql
from sinks.engine.duckdb.errors import translated, translated_batches
from sinks.engine.duckdb.ordered import VECTOR_ROWS, OrderedRows
from sinks.engine.duckdb.plans import compiled
from sinks.engine.engine import FILE, EngineError, Ordered, QueryEngine, Table
from sinks.engine.schema import table_schema
from sinks.scratch import scratch_folder
from streams.storage.partitions import FileSlice

__all__ = ["DuckDBEngine"]

_QUERY: Final = f"query {token_hex(8)} "  # no user's data has this name
_A_QUERY: Final = re.compile(f'"{_QUERY}([0-9]+)"')


class DuckDBEngine(Backend, QueryEngine):  # type: ignore[misc]  # Ibis has no types
    """DuckDB as a query engine. It materializes tables one after the other on a thread of its own,
    while the caller plans the next step: planning takes a fifth of a close.

    The property `con` waits for these computations, and raises the error if one failed.
    """

    _con: duckdb.DuckDBPyConnection

    @classmethod
    @contextmanager
    def opened(cls, memory_limit: str, scratch: Path) -> Iterator[DuckDBEngine]:
        """Open an engine on an empty database in memory. It spills to a new folder below `scratch`;
        database and folder are removed when the context ends.
        """
        with scratch_folder(scratch) as spill:
            engine: DuckDBEngine = cls().connect(
                memory_limit=memory_limit, temp_directory=str(spill)
            )
            engine.memory_limit, engine.scratch = memory_limit, spill
            try:
                yield engine
            finally:
                engine.disconnect()

    def __hash__(self) -> int:
        """The same number for all engines, so that `plans.py` recognises plans of any engine."""
        return hash(DuckDBEngine)

    def __eq__(self, other: object) -> bool:
        """Whether it is the same engine: tables of two engines must not be mixed."""
        return self is other

    def do_connect(self, *args: Any, **settings: Any) -> None:
        """Connect; Ibis calls this."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine")
        self._begun: list[Future[None]] = []
        self._numbers = count(1)
        self._queries: dict[str, str] = {}
        self._empty: dict[pa.Schema, Path] = {}
        self._is_closed = False
        super().do_connect(*args, **settings)
        self._beside = self._con.cursor()
        self._beside.execute("SET TimeZone = 'UTC'")

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

    @con.setter
    def con(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._con = connection

    def events(self, schema: pa.Schema, slices: Sequence[FileSlice]) -> Table:
        """See `QueryEngine.events`."""
        columns = table_schema(schema)
        return self.query_table(
            sql.events_query(self._without_rows(schema), columns, slices), columns
        )

    def file(self, path: Path) -> Table:
        """See `QueryEngine.file`."""
        return self.query_table(sql.file_query(path))

    def query_table(self, query: str, columns: ibis.Schema | None = None) -> Table:
        """Return a query over files as a table. Without `columns`, DuckDB is queried for them, on a
        connection beside the running computations.
        """
        if columns is None:
            with translated():
                described = self._beside.execute(sql.describe(query)).fetchall()
            columns = ibis.schema({n: DuckDBType.from_string(kind) for n, kind, *_ in described})
        number = str(next(self._numbers))
        self._queries[number] = query
        return self._named(f"{_QUERY}{number}", columns)

    def materialize(self, table: Table) -> Table:
        """See `QueryEngine.materialize`.

        `Table.cache()` doesn't fit: it drops its table on garbage collection, even after the engine
        was closed. `create_table` doesn't fit: it makes five queries each time, and a close would
        call it fifteen times.
        """
        name, schema = f"materialized {next(self._numbers)}", table.schema()
        statements = sql.create_and_fill(name, schema, self.text_of(table))
        self._begun.append(self._thread.submit(self._execute, statements))
        return self._named(name, schema, catalog="temp", database="main")

    def batches(self, table: Table) -> pa.RecordBatchReader:
        """See `QueryEngine.batches`. Batches are small, as their texts may be long."""
        reader = self._stream(table, VECTOR_ROWS)
        return pa.RecordBatchReader.from_batches(reader.schema, translated_batches(reader))

    def query_files(self, table: Table) -> list[dict[str, Any]]:
        """See `QueryEngine.query_files`; runs on its own connection, beside other computations."""
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
        return _A_QUERY.sub(lambda found: f"({self._queries[found[1]]})", compiled(table))

    def disconnect(self) -> None:
        """Close the engine: interrupt the running computation, and drop those in the queue."""
        self._con.interrupt()
        self._thread.shutdown(cancel_futures=True)
        self._beside.close()
        self._con.close()
        self._is_closed = True
        self._queries.clear()  # a cached plan keeps its engine alive
        self._empty.clear()

    def _stream(self, table: Table, rows: int) -> pa.RecordBatchReader:
        """Compute a table in batches of `rows` rows; errors while they are read are Arrow's.

        `to_pyarrow_batches` doesn't fit: Ibis 12 calls a method that DuckDB 2 no longer has.
        """
        query, con = self.text_of(table), self.con
        with translated():
            return con.sql(query).to_arrow_reader(rows)

    def _write(self, table: Table, file: Path) -> None:
        query, con = sql.write_query(self.text_of(table), file), self.con
        with translated():
            con.execute(query)

    def _execute(self, statements: str) -> None:
        self._con.execute(statements)

    def _named(self, name: str, schema: ibis.Schema, **place: str) -> Table:
        return ops.DatabaseTable(
            name=name, schema=schema, source=self, namespace=ops.Namespace(**place)
        ).to_expr()

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
