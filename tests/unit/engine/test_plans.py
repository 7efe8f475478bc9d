"""Plans are compiled once for all engines, and only what is the same is taken for the same."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import ibis
import pytest

from sinks.engine.duckdb.engine import DuckDBEngine
from sinks.engine.duckdb.plans import _compiled
from sinks.engine.engine import materialize, query_rows


@pytest.fixture
def engines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[DuckDBEngine, DuckDBEngine]]:
    """Two engines that have planned nothing before."""
    monkeypatch.setattr("sinks.engine.duckdb.engine._IDLE", deque(maxlen=0))
    opened = DuckDBEngine.opened("1GB", tmp_path), DuckDBEngine.opened("1GB", tmp_path)
    with opened[0] as first, opened[1] as second:
        yield first, second


def test_the_same_plan_on_another_engine_is_not_compiled_again(
    engines: tuple[DuckDBEngine, DuckDBEngine],
) -> None:
    found, compiled = [], []
    for number, engine in enumerate(engines, start=1):
        table = engine.query_table(f"SELECT {number} AS n")
        doubled = materialize(table.select(n=table["n"] * 2))
        before = _compiled.cache_info().misses
        found.append(query_rows(doubled.agg(n=doubled["n"].max() + 1_234)))
        compiled.append(_compiled.cache_info().misses - before)
    assert found == [[{"n": 1_236}], [{"n": 1_238}]]
    assert compiled == [1, 0]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (ibis.literal(1), ibis.literal(True)),
        (ibis.literal(-1), ibis.literal(-2)),
        (ibis.literal(0.0), ibis.literal(-0.0)),
        (ibis.literal(Decimal("0"), "decimal(4, 2)"), ibis.literal(Decimal("-0"), "decimal(4, 2)")),
        (ibis.literal({"a": 1, "b": 2}), ibis.literal({"b": 2, "a": 1})),
        (ibis.literal("a"), ibis.literal("A")),
        (ibis.null("int8"), ibis.null("string")),
        (
            ibis.literal(datetime(2026, 1, 1, tzinfo=UTC)),
            ibis.literal(datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC)),
        ),
    ],
)
def test_plans_that_differ_in_a_value_are_two(
    engines: tuple[DuckDBEngine, DuckDBEngine], one: Any, other: Any
) -> None:
    tables = [engine.query_table("SELECT 1 AS n") for engine in engines]
    texts = [
        engine.text_of(table.select(value=value))
        for engine, table, value in zip(engines, tables, (one, other), strict=True)
    ]
    assert texts[0] != texts[1]


def test_tables_of_two_engines_are_not_mixed(engines: tuple[DuckDBEngine, DuckDBEngine]) -> None:
    one, other = (engine.query_table("SELECT 1 AS n") for engine in engines)
    with pytest.raises(Exception, match="Multiple backends"):
        query_rows(one.union(other))
