"""Engines for tests: every one that is registered, and small ones for rules."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from sinks.engine.duckdb.engine import DuckDBEngine
from sinks.engine.engine import QueryEngine
from sinks.engine.engines import open_engine


@contextmanager
def small_engine(zone: str = "UTC") -> Iterator[QueryEngine]:
    """The usual engine with one thread, and its session in a zone."""
    with TemporaryDirectory() as folder, open_engine("1GB", Path(folder)) as engine:
        assert isinstance(engine, DuckDBEngine)
        engine.con.execute(f"SET threads = 1; SET TimeZone = '{zone}'").fetchall()
        yield engine
