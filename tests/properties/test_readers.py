"""A drop that is read again gives the values that went into it (SPEC §7), whoever reads it.

Each reader is told what it needs to know, as in docs/exports.md. Where one has a limit of its own,
its line says so.
"""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sinks.rendering.compress import Compression
from sinks.rendering.layout import BooleanFormat, Layout, RenderedColumn, Separator, ValueFormats
from tests.properties.naive_csv import (
    COLUMNS,
    MOMENTS,
    NEAR_CHANGES,
    TEXTS,
    Value,
    delivered,
    drops,
    naive_text,
    table,
    unpacked,
)

Rows = list[tuple[Value, ...]]


@dataclass(frozen=True)
class Opened:
    """A drop on its way into a reader: as delivered, and unpacked for those that need it."""

    delivered: Path
    plain: Path
    separator: str
    headers: Sequence[str]


@pytest.fixture(scope="module", autouse=True)
def long_fields() -> Iterator[None]:
    """Python's csv module refuses texts over 131,072 characters unless it is told otherwise."""
    limit = csv.field_size_limit(2**31 - 1)
    yield
    csv.field_size_limit(limit)


def opened(folder: str, rows: Rows, layout: Layout) -> Opened:
    content = delivered([table(layout, rows)], layout)
    path = Path(folder) / f"drop{layout.compression.ending}"
    path.write_bytes(content)
    plain = Path(folder) / "plain.csv"
    plain.write_bytes(unpacked(content, layout.compression))
    headers = [column.header for column in layout.columns]
    return Opened(path, plain, str(layout.separator), headers)


def by_csv(drop: Opened) -> Rows:
    """Opens neither gzip nor zip. A line of one empty field is `[]` to it: a blank line."""
    text = io.StringIO(drop.plain.read_bytes().decode(), newline="")
    header, *lines = csv.reader(text, delimiter=drop.separator, strict=True)
    assert header == drop.headers
    return [tuple(line or [""]) for line in lines]


def by_pandas(drop: Opened) -> Rows:
    """Opens gzip and zip. Its own list of words for null must be off ("NA", "null"…)."""
    frame = pd.read_csv(
        drop.delivered,
        sep=drop.separator,
        dtype=str,
        keep_default_na=False,
        skip_blank_lines=False,
        lineterminator="\n",
    )
    assert list(frame.columns) == drop.headers
    return [tuple(line) for line in frame.itertuples(index=False, name=None)]


def by_polars(drop: Opened) -> Rows:
    """Opens gzip, no zip."""
    path = drop.plain if drop.delivered.suffix == ".zip" else drop.delivered
    frame = pl.read_csv(path, separator=drop.separator, infer_schema=False)
    assert frame.columns == drop.headers
    return frame.rows()


def by_duckdb(drop: Opened, kinds: Sequence[str] | None = None) -> Rows:
    """Opens gzip, no zip. A line over 2,000,000 bytes needs `max_line_size`."""
    path = drop.plain if drop.delivered.suffix == ".zip" else drop.delivered
    types = kinds or ["varchar"] * len(drop.headers)
    found = duckdb.execute(
        "from read_csv(?, delim = ?, columns = ?, header = true, quote = '\"', escape = '\"', "
        "new_line = '\\n', nullstr = '', allow_quoted_nulls = false, auto_detect = false)",
        [str(path), drop.separator, dict(zip(drop.headers, types, strict=True))],
    )
    assert [column[0] for column in found.description] == drop.headers
    return found.fetchall()


READERS: dict[str, tuple[Callable[[Opened], Rows], bool]] = {
    "csv": (by_csv, False),  # gives an empty text for null: it has no null
    "pandas": (by_pandas, False),  # knows null, but not by quotes: it would take "" for it, too
    "polars": (by_polars, True),
    "duckdb": (by_duckdb, True),
}


def with_own_headers(layout: Layout) -> Layout:
    """Headers that are names of columns: pandas and DuckDB rename headers that look alike to them
    (DuckDB tells no case), and a quote within one needs another way to name its type.
    """
    columns = [RenderedColumn(column.name, column.name) for column in layout.columns]
    return Layout(columns, layout.formats, layout.separator, layout.compression)


@pytest.mark.parametrize("reader", READERS)
@given(drop=drops())
@settings(max_examples=100, deadline=None)
def test_a_reader_finds_the_texts_that_were_written(
    reader: str, drop: tuple[Layout, Rows, list[int]]
) -> None:
    read, tells_null = READERS[reader]
    layout, rows = with_own_headers(drop[0]), drop[1]
    texts = [tuple(naive_text(value, layout.formats) for value in row) for row in rows]
    flat = [tuple(text or "" for text in row) for row in texts]

    with tempfile.TemporaryDirectory() as folder:
        found = read(opened(folder, rows, layout))

    assert found == (texts if tells_null else flat)


# The same with types: numbers, decimals, booleans, dates and moments as the readers' own.

TYPED = Layout(
    [RenderedColumn(name, name) for name in ("number", "amount", "small", "flag", "day", "moment")],
    ValueFormats(boolean=BooleanFormat.WORDS, moment="yyyy-MM-dd HH:mm:ss.SSS"),
)
TYPED_ROWS = st.lists(
    st.tuples(*(st.none() | COLUMNS[column.name][1] for column in TYPED.columns)), max_size=8
)
EXTREMES = (
    (2**63 - 1, Decimal("9" * 35 + ".99"), Decimal("1E-20"), True, date(1, 1, 1)),
    (-(2**63), Decimal("-0.01"), Decimal("-1"), False, date(9999, 12, 31)),
)
LAST = datetime.fromisoformat("9999-12-31T23:59:59.999+00:00")


def typed_duckdb(drop: Opened) -> Rows:
    kinds = ["bigint", "decimal(38, 2)", "decimal(38, 20)", "boolean", "date", "timestamp"]
    return by_duckdb(drop, kinds)


def typed_polars(drop: Opened) -> Rows:
    kinds = [
        pl.Int64(),
        pl.Decimal(38, 2),
        pl.Decimal(38, 20),
        pl.Boolean(),
        pl.Date(),
        pl.Datetime("ms"),
    ]
    schema = dict(zip(drop.headers, kinds, strict=True))
    # It takes TRUE for no boolean: only true and True.
    texts = pl.read_csv(drop.plain, schema={**schema, "flag": pl.String()})
    return texts.with_columns(pl.col("flag") == "TRUE").rows()


def typed_pandas(drop: Opened) -> Rows:
    """It has no decimals: they are read as texts and turned into Python's."""
    frame = pd.read_csv(
        drop.plain,
        dtype={"number": "Int64", "flag": "boolean", "amount": str, "small": str},
        parse_dates=["day", "moment"],
        skip_blank_lines=False,
        lineterminator="\n",
    )
    return [tuple(map(_of_pandas, drop.headers, line)) for line in frame.astype(object).to_numpy()]


def _of_pandas(header: str, value: Any) -> Value:
    if pd.isna(value):
        return None
    match header:
        case "amount" | "small":
            return Decimal(value)
        case "day":
            return pd.Timestamp(value).date()
        case "moment":
            return pd.Timestamp(value).to_pydatetime()
        case _:
            return value


def typed_csv(drop: Opened) -> Rows:
    """It has texts only; these are Python's own readers of them."""
    read: list[Callable[[str], Value]] = [
        int,
        Decimal,
        Decimal,
        {"TRUE": True, "FALSE": False}.__getitem__,
        date.fromisoformat,
        datetime.fromisoformat,
    ]
    return [
        tuple(
            None if text == "" else kind(str(text)) for kind, text in zip(read, line, strict=True)
        )
        for line in by_csv(drop)
    ]


@pytest.mark.parametrize("read", [typed_csv, typed_duckdb, typed_pandas, typed_polars])
@given(rows=TYPED_ROWS)
@example(rows=[(*EXTREMES[0], datetime.fromisoformat("0001-01-01T00:00:00.001+00:00"))])
@example(rows=[(*EXTREMES[1], LAST)])
@settings(max_examples=60, deadline=None)
def test_a_reader_finds_the_values_that_were_exported(
    read: Callable[[Opened], Rows], rows: Rows
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = read(opened(folder, rows, TYPED))

    assert found == [
        tuple(v.replace(tzinfo=None) if isinstance(v, datetime) else v for v in row) for row in rows
    ]


@given(st.lists(MOMENTS | NEAR_CHANGES, min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_moments_with_their_offset_are_the_same_instants_to_a_reader(
    moments: list[datetime],
) -> None:
    """Also those of the hour that comes twice, which no other format tells apart."""
    layout = Layout(
        [RenderedColumn("moment", "moment"), RenderedColumn("number", "number")],
        ValueFormats(moment="ISO 8601", time_zone="Europe/Brussels"),
    )
    # Else the local year may have another number of digits, and the field is empty.
    inside = [moment for moment in moments if 1 < moment.year < 9999]
    rows: Rows = [(moment, 1) for moment in inside]

    with tempfile.TemporaryDirectory() as folder:
        drop = opened(folder, rows, layout)
        found = [datetime.fromisoformat(str(line[0])) for line in by_csv(drop)]
        typed = [line[0] for line in by_duckdb(drop, ["timestamptz", "bigint"])]

    assert found == inside
    assert typed == inside


@given(TEXTS)
@settings(max_examples=100, deadline=None)
def test_null_and_an_empty_text_are_told_apart_where_a_file_has_one_column(text: str) -> None:
    layout = Layout([RenderedColumn("text", "text")], separator=Separator.TAB)
    rows: Rows = [(None,), ("",), (text,), (None,)]

    with tempfile.TemporaryDirectory() as folder:
        drop = opened(folder, rows, layout)
        assert by_polars(drop) == rows
        assert by_duckdb(drop) == rows


@pytest.mark.parametrize("compression", Compression)
def test_a_text_as_long_as_an_event_can_be_is_read(
    tmp_path: Path, compression: Compression
) -> None:
    layout = Layout(
        [RenderedColumn("text", "text"), RenderedColumn("number", "number")],
        compression=compression,
    )
    rows: Rows = [('é"\n' * 250_000, 1), ("", 2)]

    drop = opened(str(tmp_path), rows, layout)

    for read, _ in READERS.values():
        assert [line[0] for line in read(drop)] == [row[0] or "" for row in rows]


def test_the_columns_drawn_are_of_every_type_that_a_drop_has() -> None:
    """Else the tests above would say nothing of some."""
    kinds = [kind for kind, _ in COLUMNS.values()]

    for is_kind in (
        pa.types.is_string,
        pa.types.is_integer,
        pa.types.is_decimal,
        pa.types.is_boolean,
        pa.types.is_date32,
        pa.types.is_timestamp,
        pa.types.is_list,
        pa.types.is_dictionary,
    ):
        assert any(is_kind(kind) for kind in kinds), is_kind
