"""The engine computes what is kept in the background, in order, and tells where that failed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sinks.engine.duckdb import QueryEngine, materialize, query_files, query_rows


@pytest.fixture
def engine() -> Iterator[QueryEngine]:
    engine = QueryEngine.on(threads=1)
    yield engine
    engine.disconnect()


def test_a_kept_table_is_made_of_those_kept_before(engine: QueryEngine) -> None:
    numbers = materialize(engine.table_of("SELECT unnest(range(100_000)) AS n"))
    even = materialize(numbers.filter(numbers["n"] % 2 == 0))
    assert query_rows(even.agg(rows=even.count(), most=even["n"].max())) == [
        {"rows": 50_000, "most": 99_998}
    ]


def test_what_went_wrong_is_told_at_the_next_question(engine: QueryEngine) -> None:
    number = engine.table_of("SELECT 'three' AS text")
    broken = materialize(number.select(n=number["text"].cast("int64")))
    beside = engine.table_of("SELECT 1 AS n")
    with pytest.raises(duckdb.ConversionException, match="three"):
        query_rows(beside)
    assert query_rows(beside) == [{"n": 1}]
    assert query_rows(broken) == []


def test_files_are_asked_beside_what_is_computed(engine: QueryEngine, tmp_path: Path) -> None:
    pq.write_table(pa.table({"n": [1, 2]}), tmp_path / "two.parquet")
    file = engine.table_of(f"SELECT * FROM read_parquet('{tmp_path}/two.parquet')")
    materialize(engine.table_of("SELECT unnest(range(1_000_000)) AS n"))
    assert query_files(file.agg(n=file["n"].sum())) == [{"n": 3}]


def test_engines_that_are_asked_alike_answer_of_their_own_files(tmp_path: Path) -> None:
    found = []
    for number in (1, 2):
        with QueryEngine.opened("1GB", tmp_path) as (engine, _):
            table = engine.table_of(f"SELECT {number} AS n")
            doubled = materialize(table.select(n=table["n"] * 2))
            found.append((query_files(table), query_rows(doubled)))
    assert found == [([{"n": 1}], [{"n": 2}]), ([{"n": 2}], [{"n": 4}])]


def test_moments_are_told_in_utc_to_every_asker(engine: QueryEngine) -> None:
    moment = engine.table_of("SELECT TIMESTAMPTZ '2026-03-01 12:00:00+02' AS at")
    assert str(query_files(moment)[0]["at"]) == str(query_rows(moment)[0]["at"])
    assert str(query_files(moment)[0]["at"]) == "2026-03-01 10:00:00+00:00"


def test_an_engine_that_is_left_in_the_middle_goes(tmp_path: Path) -> None:
    with pytest.raises(KeyError), QueryEngine.opened("1GB", tmp_path) as (engine, folder):
        for _ in range(20):
            materialize(engine.table_of("SELECT unnest(range(1_000_000)) AS n"))
        raise KeyError
    assert not folder.exists()


def test_an_engine_that_was_left_holds_nothing_any_more(tmp_path: Path) -> None:
    with QueryEngine.opened("1GB", tmp_path) as (engine, _):
        assert engine.query("SELECT 1").read_all().num_rows == 1
    with pytest.raises(duckdb.ConnectionException):
        engine.query("SELECT 1")
    with pytest.raises(duckdb.ConnectionException):
        engine.con.execute("SELECT 1")
