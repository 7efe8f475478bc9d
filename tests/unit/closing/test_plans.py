"""Plans are compiled once for all engines, and only what is the same is taken for the same."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import ibis
import pytest

from sinks.engine.duckdb import QueryEngine, materialize, query_rows
from sinks.engine.plans import _compiled


@pytest.fixture
def engines() -> Iterator[tuple[QueryEngine, QueryEngine]]:
    both = QueryEngine.on(threads=1), QueryEngine.on(threads=1)
    yield both
    for engine in both:
        engine.disconnect()


def test_the_same_plan_on_another_engine_is_not_compiled_again(
    engines: tuple[QueryEngine, QueryEngine],
) -> None:
    found, compiled = [], []
    for number, engine in enumerate(engines, start=1):
        table = engine.table_of(f"SELECT {number} AS n")
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
    engines: tuple[QueryEngine, QueryEngine], one: Any, other: Any
) -> None:
    tables = [engine.table_of("SELECT 1 AS n") for engine in engines]
    texts = [
        engine.text_of(table.select(value=value))
        for engine, table, value in zip(engines, tables, (one, other), strict=True)
    ]
    assert texts[0] != texts[1]


def test_tables_of_two_engines_are_not_mixed(engines: tuple[QueryEngine, QueryEngine]) -> None:
    one, other = (engine.table_of("SELECT 1 AS n") for engine in engines)
    with pytest.raises(Exception, match="Multiple backends"):
        query_rows(one.union(other))
