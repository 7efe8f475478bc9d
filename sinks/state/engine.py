"""Running expressions: the one place that knows how results leave the engine."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir
import pyarrow as pa
from ibis.util import gen_name

__all__ = ["BATCH_ROWS", "fetched", "kept", "lasting", "streamed"]

BATCH_ROWS: Final = 131_072
"""Rows of one streamed batch: some megabytes of text, so that few are in flight."""


def lasting(duration: timedelta) -> ir.IntervalScalar:
    """An interval of elapsed time, to be added to moments.

    In seconds: days are the engine's calendar days, and in a zone with clock changes not all of
    them have 24 hours.
    """
    return ibis.interval(seconds=int(duration.total_seconds()))


def kept(result: ir.Table) -> ir.Table:
    """Compute a table that is read more than once, and keep it as long as its connection lives.

    Not `Table.cache()`: that drops its table when it is collected, also after the engine has gone.
    Not `create_table`: it asks the engine five things each time, which a close would do fifteen
    times.
    """
    backend: Any = result.get_backend()
    name, schema = gen_name("kept"), result.schema()
    columns = ", ".join(
        f'"{column.name}" {column.args["kind"].sql("duckdb")}'
        for column in schema.to_sqlglot_column_defs("duckdb")
    )
    backend.con.execute(f'CREATE TEMPORARY TABLE "{name}" ({columns})')
    backend.con.execute(f'INSERT INTO "{name}" {backend.compile(result)}')
    place = ops.Namespace(catalog="temp", database="main")
    table: ir.Table = ops.DatabaseTable(
        name=name, schema=schema, source=backend, namespace=place
    ).to_expr()
    return table


def streamed(result: ir.Table, rows: int = BATCH_ROWS) -> pa.RecordBatchReader:
    """Compute a table batch by batch; nothing else may run on its connection until the last is
    read.

    Not `to_pyarrow_batches`: Ibis 12 calls a method for it that DuckDB 2 no longer has.
    """
    backend: Any = result.get_backend()
    reader: pa.RecordBatchReader = backend.con.sql(backend.compile(result)).to_arrow_reader(rows)
    return reader


def fetched(result: ir.Table) -> list[dict[str, Any]]:
    """Compute a small table and return its rows.

    Not `to_pyarrow`: it imports pandas, which costs a close half a second.
    """
    rows: list[dict[str, Any]] = streamed(result).read_all().to_pylist()
    return rows
