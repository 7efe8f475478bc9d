"""Running expressions: the one place that knows how results leave the engine."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from pathlib import Path
from secrets import token_hex
from typing import Any, Final

import duckdb
import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir
import pyarrow as pa
from ibis.backends.duckdb import Backend
from ibis.backends.sql.datatypes import DuckDBType

from sinks.engine.plans import compiled
from sinks.scratch import scratch_folder

__all__ = [
    "BATCH_BYTES",
    "BATCH_ROWS",
    "VECTOR_ROWS",
    "QueryEngine",
    "engine_of",
    "interval_of",
    "join_batches",
    "materialize",
    "parquet_scan",
    "query_files",
    "query_rows",
    "stream_batches",
    "write_parquet",
]

BATCH_ROWS: Final = 131_072
"""Rows of one streamed batch: some megabytes of text, so that few are in flight."""
BATCH_BYTES: Final = 64 << 20
"""Bytes of one streamed batch: one that reaches them is handed out, whatever rows it has."""
VECTOR_ROWS: Final = 2_048
"""Rows of a vector of DuckDB's: it has them in memory together anyway."""


_QUERY: Final = f"query {token_hex(8)} "  # as nobody's data has it
_A_QUERY: Final = re.compile(f'"{_QUERY}([0-9]+)"')


class QueryEngine(Backend):  # type: ignore[misc]  # Ibis tells no types
    """DuckDB, whose kept tables are computed one after the other on a thread of its own while the
    caller plans what comes next: planning takes a fifth of a close.

    Whoever uses `con` waits for them first, and is told where one failed.
    """

    _con: duckdb.DuckDBPyConnection

    @classmethod
    @contextmanager
    def opened(cls, memory_limit: str, scratch: Path) -> Iterator[tuple[QueryEngine, Path]]:
        """An engine with a memory limit, and an empty folder below scratch to spill to; both go
        when the context ends.
        """
        with scratch_folder(scratch) as spill:
            engine = cls.on(memory_limit=memory_limit, temp_directory=str(spill))
            try:
                yield engine, spill
            finally:
                engine.disconnect()

    @classmethod
    def on(cls, **settings: Any) -> QueryEngine:
        """An engine on an empty database in memory, in UTC. settings: those of DuckDB."""
        engine: QueryEngine = cls().connect(**settings)
        return engine

    def __hash__(self) -> int:
        """The same for all: plans on tables of any engine are known again (`plans.py`)."""
        return hash(QueryEngine)

    def __eq__(self, other: object) -> bool:
        """Whether it is this one: tables of two engines aren't mixed."""
        return self is other

    def do_connect(self, *args: Any, **settings: Any) -> None:
        """Connect, as Ibis asks."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine")
        self._begun: list[Future[None]] = []
        self._numbers = count(1)
        self._queries: dict[str, str] = {}
        super().do_connect(*args, **settings)
        self._asking = self._con.cursor()
        self._asking.execute("SET TimeZone = 'UTC'")

    @property
    def con(self) -> duckdb.DuckDBPyConnection:
        """The connection, when nothing is computed on it any more.

        Raises what went wrong with a kept table.
        """
        begun, self._begun = self._begun, []
        for one in begun:
            one.result()
        return self._con

    @con.setter
    def con(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._con = connection

    def begin(self, statements: str) -> None:
        """Run statements after those begun earlier; the caller goes on at once."""

        def run() -> None:
            self._con.execute(statements)

        self._begun.append(self._thread.submit(run))

    def table_of(self, query: str) -> ir.Table:
        """A query over files as a table; its columns are asked for beside what is computed."""
        described = self._asking.execute(f"DESCRIBE {query}").fetchall()
        columns = {name: DuckDBType.from_string(kind) for name, kind, *_ in described}
        number = str(next(self._numbers))
        self._queries[number] = query
        return self._named(f"{_QUERY}{number}", ibis.schema(columns))

    def materialize(self, result: ir.Table) -> ir.Table:
        """See the function `materialize`."""
        name, schema = f"kept {next(self._numbers)}", result.schema()
        columns = ", ".join(
            f'"{column.name}" {column.args["kind"].sql("duckdb")}'
            for column in schema.to_sqlglot_column_defs("duckdb")
        )
        created = f'CREATE TEMPORARY TABLE "{name}" ({columns})'
        self.begin(f'{created}; INSERT INTO "{name}" {self.text_of(result)}')
        return self._named(name, schema, catalog="temp", database="main")

    def text_of(self, result: ir.Table) -> str:
        """The query, in SQL, that computes a table."""
        return _A_QUERY.sub(lambda found: f"({self._queries[found[1]]})", compiled(result))

    def _named(self, name: str, schema: ibis.Schema, **place: str) -> ir.Table:
        table: ir.Table = ops.DatabaseTable(
            name=name, schema=schema, source=self, namespace=ops.Namespace(**place)
        ).to_expr()
        return table

    def query(self, query: str) -> pa.RecordBatchReader:
        """Run a query that needs nothing that is kept, beside what is computed."""
        return self._asking.sql(query).to_arrow_reader()

    def disconnect(self) -> None:
        """Let go of everything: what runs is interrupted, what is queued isn't begun any more."""
        self._con.interrupt()
        self._thread.shutdown(cancel_futures=True)
        self._asking.close()
        self._con.close()
        self._queries.clear()


def interval_of(duration: timedelta) -> ir.IntervalScalar:
    """An interval of elapsed time, to be added to moments.

    In seconds: days are the engine's calendar days, and in a zone with clock changes not all of
    them have 24 hours.
    """
    return ibis.interval(seconds=int(duration.total_seconds()))


def parquet_scan(paths: Iterable[Path | str], option: str) -> str:
    """Parquet files as a table of a query, with an option of DuckDB's."""
    names = ", ".join(map(_quoted, paths))
    return f"read_parquet([{names}], {option} = true, hive_partitioning = false)"


def _quoted(path: Path | str) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def materialize(result: ir.Table) -> ir.Table:
    """Compute a table that is read more than once, and keep it as long as its engine lives.

    Not `Table.cache()`: that drops its table when it is collected, also after the engine has gone.
    Not `create_table`: it asks the engine five things each time, which a close would do fifteen
    times.
    """
    return engine_of(result).materialize(result)


def stream_batches(result: ir.Table, rows: int = VECTOR_ROWS) -> pa.RecordBatchReader:
    """Compute a table batch by batch; nothing else may run on its connection until the last is
    read.

    Batches are small, as their texts may be long; `join_batches` makes larger ones. Not
    `to_pyarrow_batches`: Ibis 12 calls a method for it that DuckDB 2 no longer has.
    """
    engine = engine_of(result)
    return engine.con.sql(engine.text_of(result)).to_arrow_reader(rows)


def join_batches(
    batches: Iterable[pa.RecordBatch], most_rows: int = BATCH_ROWS, most_bytes: int = BATCH_BYTES
) -> Iterator[pa.RecordBatch]:
    """Join small batches until they have so many rows, or so many bytes."""
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


def write_parquet(result: ir.Table, file: Path) -> None:
    """Compute a table into a Parquet file."""
    engine = engine_of(result)
    engine.con.execute(f"COPY ({engine.text_of(result)}) TO {_quoted(file)} (FORMAT parquet)")


def query_rows(result: ir.Table) -> list[dict[str, Any]]:
    """Compute a small table and return its rows.

    Not `to_pyarrow`: it imports pandas, which costs a close half a second.
    """
    rows: list[dict[str, Any]] = stream_batches(result).read_all().to_pylist()
    return rows


def query_files(result: ir.Table) -> list[dict[str, Any]]:
    """Compute a small table of files alone, beside what is being materialized; return its rows."""
    engine = engine_of(result)
    rows: list[dict[str, Any]] = engine.query(engine.text_of(result)).read_all().to_pylist()
    return rows


def engine_of(table: ir.Table) -> QueryEngine:
    """Return the engine that a table is of."""
    engine = table.get_backend()
    if not isinstance(engine, QueryEngine):
        raise TypeError(f"{engine!r} is not a QueryEngine")
    return engine
