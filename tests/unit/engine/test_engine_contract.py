"""What every engine guarantees (`sinks/engine/engine.py`), walked over all that there are."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sinks.engine.engine import (
    FILE,
    EngineError,
    EngineFileError,
    Ordered,
    QueryEngine,
    Table,
    interval_of,
    materialize,
    query_files,
    query_rows,
    stream_batches,
)
from sinks.engine.engines import ENGINES, USUAL
from sinks.engine.schema import table_schema
from streams.storage.partitions import FileSlice
from streams.storage.stream_files import META

NOON = datetime(2026, 3, 28, 12, tzinfo=UTC)
"""A day before clocks go forward in Brussels."""

VALUES: dict[str, tuple[pa.DataType, Any]] = {
    "id": (pa.uuid(), UUID(int=7)),
    "moment": (pa.timestamp("ms", tz="UTC"), NOON.replace(microsecond=123_000)),
    "day": (pa.date32(), date(9999, 12, 31)),
    "amount": (pa.decimal128(20, 4), Decimal("-1234567890123456.7891")),
    "texts": (pa.list_(pa.string()), ["b", "", "a"]),
    "record": (
        pa.struct({"city": pa.string(), "since": pa.date32()}),
        {"city": "Ä", "since": None},
    ),
    "choices": (pa.map_(pa.string(), pa.bool_()), [("mail", True), ("sms", False)]),
    "tiny": (pa.int8(), -128),
    "whole": (pa.int64(), 2**63 - 1),
    "real": (pa.float64(), 0.1),
    "flag": (pa.bool_(), False),
    "name": (pa.dictionary(pa.int8(), pa.string()), "OPENED"),
}
PLACED = pa.schema([pa.field("text", pa.string()), *META])
NUMBERS = pa.schema([pa.field("n", pa.int64())])


@pytest.fixture(params=sorted(ENGINES))
def kind(request: pytest.FixtureRequest) -> str:
    """Name of an engine."""
    return str(request.param)


@pytest.fixture
def engine(kind: str, tmp_path: Path) -> Iterator[QueryEngine]:
    with ENGINES[kind]("40MB", tmp_path / "scratch") as engine:
        yield engine


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


class Files:
    """Parquet files in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._numbers = folder, count(1)

    def holding(self, rows: pa.Table, group_rows: int | None = None) -> Path:
        path = self._folder / f"{next(self._numbers)}.parquet"
        pq.write_table(rows, path, row_group_size=group_rows)
        return path

    def numbers(self, *numbers: int) -> Path:
        return self.holding(pa.table({"n": pa.array(numbers, pa.int64())}))

    def placed(self, *places: tuple[int, int]) -> Path:
        """A stream's file of rows at these partitions and offsets; their text says which."""
        columns = [
            [f"{partition}/{offset}" for partition, offset in places],
            [partition for partition, _ in places],
            [offset for _, offset in places],
            [NOON] * len(places),
        ]
        arrays = [pa.array(c, f.type) for c, f in zip(columns, PLACED, strict=True)]
        return self.holding(pa.Table.from_arrays(arrays, schema=PLACED))


def piece(path: Path, clips: tuple[tuple[int, int, int], ...]) -> FileSlice:
    return FileSlice(path.name, path, clips)


def texts(table: Table) -> list[str]:
    return sorted(row["text"] for row in query_rows(table))


def test_there_is_an_engine() -> None:
    assert USUAL in ENGINES


class TestEngineContract:
    def test_every_type_comes_back_as_it_was_stored(
        self, engine: QueryEngine, files: Files
    ) -> None:
        schema = pa.schema([pa.field(name, kind) for name, (kind, _) in VALUES.items()])
        rows = [{name: value for name, (_, value) in VALUES.items()}, dict.fromkeys(VALUES)]
        arrays = [pa.array([row[name] for row in rows], schema.field(name).type) for name in VALUES]
        path = files.holding(pa.Table.from_arrays(arrays, schema=schema))
        table = engine.events(schema, [piece(path, ())])

        for found in (table, engine.materialize(table), engine.file(path)):
            assert found.schema() == table_schema(schema)
            by_name = {row["name"]: row for row in query_rows(found)}
            assert by_name[None] == dict.fromkeys(VALUES)
            assert {**by_name["OPENED"], "id": UUID(str(by_name["OPENED"]["id"]))} == rows[0]

    def test_a_clipped_slice_gives_the_rows_within_its_bounds(
        self, engine: QueryEngine, files: Files
    ) -> None:
        clipped = files.placed(
            *((partition, offset) for partition in (0, 1) for offset in range(9))
        )
        whole = files.placed((0, 20), (2, 0))
        clips = ((0, 3, 5), (0, 8, 100), (1, 0, 1))
        table = engine.events(PLACED, [piece(clipped, clips), piece(whole, ())])
        assert texts(table) == ["0/20", "0/3", "0/4", "0/8", "1/0", "2/0"]

    def test_a_file_in_two_slices_gives_the_rows_of_both(
        self, engine: QueryEngine, files: Files
    ) -> None:
        path = files.placed((0, 1), (0, 2))
        slices = [
            piece(path, ((0, 1, 2),)),
            piece(path, ((0, 1, 3),)),
        ]
        assert texts(engine.events(PLACED, slices)) == ["0/1", "0/1", "0/2"]

    def test_no_slices_give_no_rows(self, engine: QueryEngine) -> None:
        table = engine.events(PLACED, [])
        assert query_rows(table) == []
        assert stream_batches(table).schema.names == PLACED.names

    def test_what_a_file_lacks_is_null_and_what_it_has_beside_is_left_out(
        self, engine: QueryEngine, files: Files
    ) -> None:
        kind = pa.struct({"old": pa.int64(), "city": pa.string()})
        older = files.holding(pa.table({"record": pa.array([{"old": 1, "city": "Gent"}], kind)}))
        both = files.holding(
            pa.table({"beside": [1], "n": [1], "record": pa.array([{"city": "Aalst"}])})
        )
        schema = pa.schema(
            {"n": pa.int64(), "record": pa.struct({"city": pa.string(), "new": pa.date32()})}
        )
        slices = [piece(older, ()), piece(both, ((0, 0, 9),))]
        for some, n, city in (
            (slices[:1], None, "Gent"),
            ([piece(both, ())], 1, "Aalst"),
        ):
            table = engine.events(schema, some)
            assert table.schema() == table_schema(schema)
            assert query_rows(table) == [{"n": n, "record": {"city": city, "new": None}}]

    def test_rows_can_name_their_files(self, engine: QueryEngine, files: Files) -> None:
        paths = [files.placed((0, 1)), files.placed((0, 2)), files.placed((1, 5), (1, 6))]
        slices = [
            *(piece(path, ()) for path in paths[:2]),
            piece(paths[2], ((1, 6, 7),)),
        ]
        rows = query_rows(engine.events(pa.schema([PLACED.field("text"), FILE]), slices))
        found = {row["text"]: row[FILE.name] for row in rows}
        assert found == {"0/1": str(paths[0]), "0/2": str(paths[1]), "1/6": str(paths[2])}

    def test_a_path_may_hold_quotes(self, engine: QueryEngine, tmp_path: Path) -> None:
        (tmp_path / "a'b\"c").mkdir()
        path = Files(tmp_path / "a'b\"c").numbers(1)
        assert query_rows(engine.file(path)) == [{"n": 1}]
        Ordered(engine.file(path), ("n",), ("n",)).write(path.with_name("o'n.parquet"))
        assert pq.read_table(path.with_name("o'n.parquet")).to_pylist() == [{"n": 1}]

    @pytest.mark.parametrize("content", [None, b"no Parquet at all, but some bytes"])
    def test_a_file_that_cant_be_read_is_an_error(
        self, engine: QueryEngine, files: Files, content: bytes | None
    ) -> None:
        path = files.numbers(1)
        table = engine.events(NUMBERS, [piece(path, ())])
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        kind = EngineFileError if content is None else EngineError
        for ask in (query_rows, query_files):
            with pytest.raises(kind, match=r"1\.parquet"):
                ask(table)
        with pytest.raises(kind, match=r"1\.parquet"):
            engine.file(path)

    def test_a_materialized_table_is_computed_once(self, engine: QueryEngine, files: Files) -> None:
        numbers = engine.file(files.numbers(1, 2, 3))
        drawn = materialize(numbers.mutate(drawn=ibis.random()))
        again = materialize(drawn.filter(drawn["n"] > 1))
        first, second = (sorted(map(str, query_rows(drawn))) for _ in range(2))
        assert first == second
        assert set(map(str, query_rows(again))) < set(first)

    def test_what_went_wrong_with_a_materialized_table_is_raised_by_the_next_call(
        self, engine: QueryEngine, files: Files
    ) -> None:
        written = engine.file(files.holding(pa.table({"text": ["three"]})))
        beside = engine.file(files.numbers(1))
        with pytest.raises(EngineError, match="three"):
            query_rows(materialize(written.select(n=written["text"].cast("int64"))))
        assert query_rows(beside) == [{"n": 1}]

    def test_what_goes_wrong_in_the_middle_is_an_engines_error(
        self, engine: QueryEngine, files: Files
    ) -> None:
        rows = pa.table({"text": [*map(str, range(300_000)), "three"]})
        written = engine.file(files.holding(rows))
        with pytest.raises(EngineError):
            stream_batches(written.select(n=written["text"].cast("int64"))).read_all()

    def test_files_are_asked_beside_what_is_computed(
        self, engine: QueryEngine, files: Files
    ) -> None:
        file = engine.file(files.numbers(*range(200_000)))
        materialize(file.mutate(m=file["n"] + 1).order_by("m"))
        assert query_files(file.agg(n=file["n"].max())) == [{"n": 199_999}]

    def test_ordered_rows_come_by_numbers_then_by_the_rest_with_nulls_last(
        self, engine: QueryEngine, files: Files
    ) -> None:
        rows = [(2, None, "e"), (1, "b", "b"), (2, "a", "d"), (1, "a", "a"), (1, None, "c")]
        columns = [pa.array(column) for column in zip(*rows, strict=True)]
        table = engine.file(files.holding(pa.table(columns, ["by", "then", "text"])))
        ordered = Ordered(table, ("by",), ("text", "by"), ("then",))
        found = pa.Table.from_batches(ordered.batches(), ordered.schema)
        assert found.column_names == ["text", "by"]
        assert found["text"].to_pylist() == ["a", "b", "c", "d", "e"]
        assert ordered.reader().read_all() == found

    def test_texts_are_ordered_by_code_points(self, engine: QueryEngine, files: Files) -> None:
        names = ["", "B", "a", "b", "é", "文", "\U0001f600"]
        table = engine.file(files.holding(pa.table({"k": [0] * 7, "t": names[::-1]})))
        assert Ordered(table, ("k",), ("t",), ("t",)).reader().read_all()["t"].to_pylist() == names

    def test_rows_that_dont_fit_the_memory_come_in_order(
        self, engine: QueryEngine, files: Files, tmp_path: Path
    ) -> None:
        assert engine.memory_limit == "40MB"
        wide = [f"{number:08}" * 2_500 for number in range(3_000)]  # 60 MB
        places = {"p": [n // 1_500 for n in range(3_000)], "o": [n % 1_500 for n in range(3_000)]}
        table = engine.file(files.holding(pa.table({**places, "t": wide}), 100))
        ordered = Ordered(table, ("p", "o"), ("o", "t"))
        ordered.write(tmp_path / "written.parquet")
        for found in (ordered.reader().read_all(), pq.read_table(tmp_path / "written.parquet")):
            assert found["o"].to_pylist() == places["o"]
            assert [text[:8] for text in found["t"].to_pylist()] == [row[:8] for row in wide]

    def test_a_written_file_has_the_types_of_its_table(
        self, engine: QueryEngine, files: Files, tmp_path: Path
    ) -> None:
        names = [name for name in VALUES if name != "choices"]
        schema = pa.schema([pa.field(name, VALUES[name][0]) for name in names])
        arrays = [pa.array([VALUES[name][1]], VALUES[name][0]) for name in names]
        path = files.holding(pa.Table.from_arrays(arrays, schema=schema))
        table = engine.events(schema, [piece(path, ())])
        Ordered(table, ("whole",), ("whole",)).write(tmp_path / "written.parquet")
        again = engine.file(tmp_path / "written.parquet")
        assert again.schema() == table.schema()
        assert query_rows(again) == query_rows(table)

    def test_moments_are_in_utc_and_intervals_are_of_elapsed_time(
        self, kind: str, files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TZ", "Europe/Brussels")
        time.tzset()
        try:
            with ENGINES[kind]("100MB", tmp_path / "scratch") as engine:
                late = NOON.replace(hour=23, minute=30)
                moments = pa.table({"at": pa.array([late], pa.timestamp("ms", tz="UTC"))})
                table = engine.file(files.holding(moments))
                later = table["at"] + interval_of(timedelta(days=2))
                asked = table.select("at", later=later, day=table["at"].date())
                for found in (
                    query_rows(asked),
                    query_files(asked),
                    query_rows(materialize(asked)),
                ):
                    (row,) = found
                    assert str(row["at"]) == "2026-03-28 23:30:00+00:00"
                    assert row["later"] - row["at"] == timedelta(hours=48)
                    assert row["day"] == date(2026, 3, 28)
        finally:
            monkeypatch.undo()
            time.tzset()

    def test_tables_of_two_engines_are_not_mixed(
        self, kind: str, files: Files, tmp_path: Path
    ) -> None:
        path = files.numbers(1)
        with ExitStack() as stack:
            both = [stack.enter_context(ENGINES[kind]("100MB", tmp_path)) for _ in range(2)]
            table, other = (engine.file(path) for engine in both)
            with pytest.raises(Exception, match="Multiple backends"):
                query_rows(table.union(other))

    def test_engines_that_are_asked_alike_answer_of_their_own_files(
        self, kind: str, files: Files, tmp_path: Path
    ) -> None:
        found = []
        for number in (1, 2):
            with ENGINES[kind]("100MB", tmp_path / "scratch") as engine:
                table = engine.file(files.numbers(number))
                doubled = materialize(table.select(n=table["n"] * 2))
                found.append((query_files(table), query_rows(doubled)))
        assert found == [([{"n": 1}], [{"n": 2}]), ([{"n": 2}], [{"n": 4}])]

    def test_an_engine_that_is_left_in_the_middle_goes_with_its_folder(
        self, kind: str, files: Files, tmp_path: Path
    ) -> None:
        path = files.numbers(*range(100_000))
        with pytest.raises(KeyError), ENGINES[kind]("100MB", tmp_path / "scratch") as engine:
            assert list(engine.scratch.iterdir()) == []
            for _ in range(20):
                materialize(engine.file(path).mutate(drawn=ibis.random()))
            raise KeyError
        assert list((tmp_path / "scratch").iterdir()) == []

    def test_an_engine_that_was_left_answers_no_more(
        self, kind: str, files: Files, tmp_path: Path
    ) -> None:
        with ENGINES[kind]("100MB", tmp_path / "scratch") as engine:
            table = engine.file(files.numbers(1))
            assert query_files(table) == query_rows(table) == [{"n": 1}]
        for ask in (query_rows, query_files):
            with pytest.raises(EngineError):
                ask(table)
