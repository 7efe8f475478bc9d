"""SQL texts for DuckDB, except those that are compiled from expressions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Final

import ibis
from ibis.backends.sql.datatypes import DuckDBType

from sinks.engine.engine import FILE
from streams.storage.partitions import FileSlice

__all__ = [
    "SETTINGS",
    "create_and_fill",
    "create_as",
    "describe",
    "events_query",
    "file_query",
    "literal",
    "schema_of",
    "table_query",
    "write_query",
]


SETTINGS: Final = "SET TimeZone = 'UTC'; SET python_enable_replacements = false"
"""Settings of a session: moments are in UTC, and no Python variable is taken for a table."""


def events_query(empty: Path, schema: ibis.Schema, slices: Sequence[FileSlice]) -> str:
    """Return the query for the rows of some slices of files.

    empty: a file without rows, with all columns of the schema except `FILE`. It gives the types,
    and the columns that other files lack. Every column is cast, as files may have more members than
    the schema; the cast costs nothing where they don't. A value that can't
    be read as its declared type is null (SPEC §4, *Definitions change while data is there*).
    """
    names = FILE.name in schema
    whole = [piece.path for piece in slices if not piece.clips]
    selects = [f"SELECT * FROM {_scan([empty, *whole], names=names)}"]
    selects.extend(
        f"SELECT * FROM {_scan([piece.path], names=names)} WHERE {_within(piece)}"
        for piece in slices
        if piece.clips
    )
    columns = [f"TRY_CAST({name} AS {kind}) AS {name}" for name, kind in _columns(schema)]
    return f"SELECT {', '.join(columns)} FROM ({' UNION ALL BY NAME '.join(selects)})"


def file_query(path: Path) -> str:
    """Return the query for the rows of a file."""
    return f"SELECT * FROM {_scan([path])}"


def describe(query: str) -> str:
    """Return the query for the columns of a query: names and types."""
    return f"DESCRIBE {query}"


@lru_cache(maxsize=1024)
def schema_of(described: tuple[tuple[str, str], ...]) -> ibis.Schema:
    """Return the schema of a query from its description; cached, as reading types takes long."""
    return ibis.schema({name: DuckDBType.from_string(kind) for name, kind in described})


def literal(value: datetime | int) -> str:
    """Return an instant or a whole number as a constant."""
    if isinstance(value, datetime):
        return f"CAST('{value.isoformat()}' AS TIMESTAMPTZ)"
    return f"CAST({value} AS BIGINT)"


def create_and_fill(name: str, schema: ibis.Schema, query: str) -> str:
    """Return the statements that store a query's rows in a temporary table."""
    columns = ", ".join(f"{column} {kind}" for column, kind in _columns(schema))
    table = _name(name)
    return f"CREATE TEMPORARY TABLE {table} ({columns}); INSERT INTO {table} {query}"


def create_as(name: str, query: str) -> str:
    """Return the statement that stores a query's rows in a table of all sessions."""
    return f"CREATE TABLE {_name(name)} AS {query}"


def table_query(name: str) -> str:
    """Return the query for the rows of a table of all sessions."""
    return f"SELECT * FROM memory.main.{_name(name)}"


def write_query(query: str, file: Path) -> str:
    """Return the statement that writes a query's rows into a Parquet file."""
    return f"COPY ({query}) TO {_quoted(file)} (FORMAT parquet)"


@lru_cache(maxsize=1024)
def _columns(schema: ibis.Schema) -> list[tuple[str, str]]:
    """Return names and types of columns; cached, because each close needs the same ones."""
    return [(_name(name), DuckDBType.to_string(kind)) for name, kind in schema.items()]


def _scan(paths: Iterable[Path], *, names: bool = False) -> str:
    files = ", ".join(map(_quoted, paths))
    options = "union_by_name = true, hive_partitioning = false"
    if names:
        options += f", filename = '{FILE.name}'"
    return f"read_parquet([{files}], {options})"


def _within(piece: FileSlice) -> str:
    return " OR ".join(
        f"(_partition = {partition} AND _offset >= {first} AND _offset < {end})"
        for partition, first, end in piece.clips
    )


def _name(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
