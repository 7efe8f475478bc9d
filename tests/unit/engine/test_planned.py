"""A plan is made once for all closes that ask alike, and each close gets its own rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sinks.engine.duckdb.engine import _IDLE, DuckDBEngine
from sinks.engine.duckdb.small import are_small
from sinks.engine.engine import QueryEngine, Table, materialize, query_files, query_rows
from sinks.engine.engines import open_engine
from sinks.engine.planned import planned


@pytest.fixture(autouse=True)
def no_engine_was_used_before() -> None:
    _IDLE.clear()


@dataclass(frozen=True)
class Asked:
    """What a plan is given: a table and a factor."""

    table: Table
    factor: int


class Plans:
    """A plan that counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def times(self) -> Callable[[Asked], Table]:
        @planned
        def times(asked: Asked) -> Table:
            self.calls += 1
            multiplied = materialize(asked.table.select(n=asked.table["n"] * asked.factor))
            return multiplied.filter(multiplied["n"] > 0)

        return times


def numbers(engine: QueryEngine, *rows: int) -> Table:
    path = engine.scratch / f"{len(list(engine.scratch.iterdir()))}.parquet"
    pq.write_table(pa.table({"n": pa.array(rows, pa.int64())}), path)
    return engine.file(path)


def test_the_next_close_gets_the_plan_of_the_last_and_its_own_rows(tmp_path: Path) -> None:
    plans = Plans()
    times, found = plans.times(), []
    for number in (1, 2):
        with open_engine("100MB", tmp_path) as engine:
            found.append(query_rows(times(Asked(numbers(engine, number), 10))))
    assert found == [[{"n": 10}], [{"n": 20}]]
    assert plans.calls == 1


def test_a_plan_is_another_for_another_value_or_another_table(tmp_path: Path) -> None:
    plans = Plans()
    times = plans.times()
    with open_engine("100MB", tmp_path) as engine:
        one, two = numbers(engine, 1), numbers(engine, 2)
        asked = (Asked(one, 10), Asked(one, 11), Asked(two, 10), Asked(two.filter(two["n"] > 1), 3))
        assert [query_rows(times(each))[0]["n"] for each in asked] == [10, 11, 20, 6]
    assert plans.calls == 4


def test_engines_that_are_open_together_have_plans_of_their_own(tmp_path: Path) -> None:
    plans = Plans()
    times = plans.times()
    with open_engine("100MB", tmp_path) as one, open_engine("100MB", tmp_path) as other:
        tables = [times(Asked(numbers(engine, 1), 10)) for engine in (one, other)]
        assert [query_rows(table) for table in tables] == [[{"n": 10}], [{"n": 10}]]
    assert plans.calls == 2


def test_the_same_table_is_computed_once(tmp_path: Path) -> None:
    with open_engine("100MB", tmp_path) as engine:
        table = numbers(engine, 1)
        first, second = (materialize(table.select(n=table["n"] + 1)) for _ in range(2))
        assert first is second
        assert query_rows(first) == [{"n": 2}]


NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)


def test_a_value_of_a_close_is_no_part_of_the_plan(tmp_path: Path) -> None:
    calls = []

    @planned
    def later(events: Table, start: ir.Scalar, least: ir.Scalar) -> Table:
        calls.append(events)
        return events.filter((events["at"] >= start) & (events["n"] >= least))

    moments = [NOON.replace(hour=hour) for hour in (2, 12, 23)]
    events = pa.table({"n": [1, 2, 3], "at": pa.array(moments, pa.timestamp("us", tz="UTC"))})
    found = []
    for start, least in ((NOON, 1), (NOON.replace(hour=1), -(1 << 40)), (moments[0], 3)):
        with open_engine("100MB", tmp_path) as engine:
            path = engine.scratch / "events.parquet"
            pq.write_table(events, path)
            table = later(engine.file(path), engine.value(start), engine.value(least))
            assert query_files(table.select("n")) == query_rows(table.select("n"))
            found.append([row["n"] for row in query_rows(table.order_by("n"))])
    assert found == [[2, 3], [1, 2, 3], [3]]
    assert len(calls) == 1


@pytest.mark.parametrize(
    "read",
    [
        query_rows,
        query_files,
        lambda table: numbers(table.get_backend(), 1),
        lambda table: table.get_backend().value(1),
    ],
    ids=["rows", "rows of files", "a file", "a value"],
)
def test_a_plan_cant_read_what_one_close_has(
    tmp_path: Path, read: Callable[[Table], object]
) -> None:
    @planned
    def plan(table: Table) -> Table:
        read(table)
        return table

    with open_engine("100MB", tmp_path) as engine:
        table = numbers(engine, 1)
        with pytest.raises(RuntimeError, match="a plan is for many closes"):
            plan(table)
        assert query_rows(table) == [{"n": 1}]


def test_an_engine_with_many_plans_isnt_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with DuckDBEngine.opened("100MB", tmp_path) as engine:
        pass
    assert list(_IDLE) == [engine]
    monkeypatch.setattr("sinks.engine.duckdb.engine._MOST_PLANS", 1)
    with DuckDBEngine.opened("100MB", tmp_path) as again:
        Plans().times()(Asked(numbers(again, 1), 10))
    assert again is engine
    assert list(_IDLE) == []
    assert len(again._plans) == 0, "compiled plans may keep the object"


def test_an_engine_whose_close_failed_isnt_used_again(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), DuckDBEngine.opened("100MB", tmp_path) as engine:
        Plans().times()(Asked(numbers(engine, 1), 10))
        raise ZeroDivisionError

    assert list(_IDLE) == []
    assert len(engine._plans) == 0


def stored(path: Path, texts: list[list[str]]) -> Path:
    pq.write_table(pa.table({"texts": texts}), path)
    return path


def test_a_file_is_small_by_what_its_values_take_in_memory(tmp_path: Path) -> None:
    few = stored(tmp_path / "few.parquet", [["a"], ["b"]])
    alike = stored(tmp_path / "alike.parquet", [["a" * 20_000] * 2_000])
    assert alike.stat().st_size < 64 << 10
    assert are_small([few]) and are_small([few] * 16)
    assert not are_small([few] * 17)
    assert not are_small([few, alike])
    assert not are_small([tmp_path / "missing.parquet"])


def test_a_file_that_cant_be_read_is_not_small(tmp_path: Path) -> None:
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 and no more")
    assert not are_small([broken])
