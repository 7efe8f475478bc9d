"""The CSV dialect by example (SPEC §4 and §7); tests/properties/test_render.py proves the rest."""

import csv
import io
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from sinks.rendering.compress import Compression
from sinks.rendering.layout import (
    ISO_WITH_OFFSET,
    BooleanFormat,
    DatePattern,
    Layout,
    RenderedColumn,
    Separator,
    ValueFormats,
)
from sinks.rendering.render import render
from tests.properties.naive_csv import unpacked

AWKWARD = [
    "plain",
    "",
    None,
    " blanks at both ends ",
    "a,b;c\td",
    'says "so"',
    '"',
    "two\nlines",
    "carriage\rreturn",
    "both\r\n",
    "emoji 😀 and \u0301accents",
    "\u200f\u05e2\u05d1\u05e8\u05d9\u05ea right to left",
    "NUL \0 inside",
    "-1",
    "#hash",
    "NULL",
    "NA",
]
INNER = "drop.csv"
MOMENT = datetime(2026, 10, 25, 0, 30, 59, 999_000, tzinfo=UTC)


def csv_of(data: pa.Table, formats: ValueFormats | None = None, **layout: object) -> bytes:
    columns = [RenderedColumn(name, name) for name in data.column_names]
    out = io.BytesIO()
    chosen = Layout(columns, formats or ValueFormats(), **layout)  # type: ignore[arg-type]
    render([data], chosen, out, inner_name=INNER)
    return out.getvalue()


def moments(*values: datetime | None, **formats: str) -> list[str]:
    data = pa.table({"at": pa.array(values, pa.timestamp("ms", "UTC"))})
    return csv_of(data, ValueFormats(**formats)).decode().splitlines()[1:]  # type: ignore[arg-type]


def test_a_drop_looks_like_this() -> None:
    data = pa.table(
        {
            "name": ["Ann", "", None, 'O"Hara, Bo', " x "],
            "points": pa.array([1, -2, None, 2**63 - 1, 0], pa.int64()),
            "balance": pa.array(
                [Decimal("1.50"), Decimal("-0.01"), None, Decimal("9" * 16 + ".99"), Decimal(0)],
                pa.decimal128(18, 2),
            ),
            "vip": [True, False, None, True, False],
            "born": [date(1999, 2, 3), date(1, 1, 1), None, date(9999, 12, 31), date(1970, 1, 1)],
            "hobbies": [["a", "b"], [], None, [""], ["x,y"]],
        }
    )

    assert csv_of(data).decode() == (
        "name,points,balance,vip,born,hobbies\n"
        "Ann,1,1.50,Y,1999-02-03,a|b\n"
        '"",-2,-0.01,N,0001-01-01,\n'
        ",,,,,\n"
        '"O""Hara, Bo",9223372036854775807,9999999999999999.99,Y,9999-12-31,""\n'
        ' x ,0,0.00,N,1970-01-01,"x,y"\n'
    )


@pytest.mark.parametrize("separator", Separator)
def test_only_values_with_the_files_own_separator_are_quoted(separator: Separator) -> None:
    data = pa.table({"v": [",", ";", "\t"]})

    lines = csv_of(data, separator=separator).decode().splitlines()[1:]

    assert lines == [f'"{v}"' if v == separator else v for v in (",", ";", "\t")]


@pytest.mark.parametrize("separator", Separator)
@pytest.mark.parametrize("compression", Compression)
def test_other_readers_find_the_same_values(
    tmp_path: Path, separator: Separator, compression: Compression
) -> None:
    data = pa.table({"id": range(len(AWKWARD)), "text": AWKWARD})
    path = tmp_path / f"drop{compression.ending}"
    path.write_bytes(csv_of(data, separator=separator, compression=compression))
    text = unpacked(path.read_bytes(), compression).decode()
    flat = [text or "" for text in AWKWARD]

    by_csv = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    by_pandas = pd.read_csv(path, sep=separator, keep_default_na=False)
    if compression is Compression.ZIP:  # neither polars nor DuckDB reads archives
        path = tmp_path / INNER
        path.write_bytes(text.encode())
    by_polars = pl.read_csv(path, separator=separator)
    by_duckdb = duckdb.sql(
        "select text from read_csv(?, delim = ?, header = true, quote = '\"', escape = '\"', "
        "columns = {'id': 'bigint', 'text': 'varchar'}, nullstr = '', allow_quoted_nulls = false, "
        "auto_detect = false) order by id",
        params=[str(path), str(separator)],
    ).fetchall()

    assert [row[1] for row in by_csv[1:]] == flat
    assert by_pandas["text"].tolist() == flat
    assert by_polars["text"].to_list() == AWKWARD
    assert [text for (text,) in by_duckdb] == AWKWARD


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("yyyy-MM-dd", "2026-10-25"),
        ("dd/MM/yyyy HH:mm", "25/10/2026 02:30"),
        ("MM/dd/yyyy HH:mm:ss", "10/25/2026 02:30:59"),
        ("dd-MM-yyyy HH:mm:ss.SSS", "25-10-2026 02:30:59.999"),
        ("yyyyMMdd HH:mm:ss", "20261025 02:30:59"),
        (ISO_WITH_OFFSET, "2026-10-25T02:30:59.999+02:00"),
    ],
)
def test_moments_are_local_and_truncated(pattern: str, text: str) -> None:
    assert moments(MOMENT, time_zone="Europe/Brussels", moment=pattern) == [text]


def test_the_hour_that_comes_twice_is_told_apart_by_its_offset() -> None:
    once, again = MOMENT, MOMENT + timedelta(hours=1)

    assert moments(once, again, time_zone="Europe/Brussels") == ["2026-10-25 02:30:59"] * 2
    assert moments(once, again, time_zone="Europe/Brussels", moment=ISO_WITH_OFFSET) == [
        "2026-10-25T02:30:59.999+02:00",
        "2026-10-25T02:30:59.999+01:00",
    ]


def test_offsets_of_the_past_are_those_of_then() -> None:
    noon = datetime(1830, 1, 1, 12, tzinfo=UTC)

    assert moments(noon, time_zone="Europe/Brussels", moment=ISO_WITH_OFFSET) == [
        "1830-01-01T12:17:30.000+00:17:30"
    ]
    assert moments(noon, time_zone="UTC", moment=ISO_WITH_OFFSET) == [
        "1830-01-01T12:00:00.000+00:00"
    ]


def test_moments_before_1970_are_truncated_to_the_past() -> None:
    at = datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)

    assert moments(at, moment="yyyy-MM-dd HH:mm") == ["1969-12-31 23:59"]


def test_a_moment_beyond_the_year_9999_there_is_empty_and_warned_of() -> None:
    data = pa.table({"at": pa.array([datetime(9999, 12, 31, 23, 30)], pa.timestamp("ms"))})
    out = io.BytesIO()
    layout = Layout([RenderedColumn("at", "AT")], ValueFormats(time_zone="Europe/Brussels"))

    rendered = render([data], layout, out)

    assert out.getvalue() == b"AT\n\n"
    assert rendered.warnings == ("column 'AT': 1 value outside the years 0001 to 9999 is empty",)


def test_values_that_hold_the_values_separator_are_written_as_they_are_and_counted() -> None:
    data = pa.table({"hobbies": [["a|b", "c"], ["|"], None, ["d"]]})
    out = io.BytesIO()

    rendered = render([data], Layout([RenderedColumn("hobbies", "HOBBIES")]), out)

    assert out.getvalue() == b"HOBBIES\na|b|c\n|\n\nd\n"
    assert rendered.warnings == ("column 'HOBBIES': 2 values hold the values' separator '|'",)


@pytest.mark.parametrize(
    ("style", "texts"), [("1/0", "1 0"), ("Y/N", "Y N"), ("TRUE/FALSE", "TRUE FALSE")]
)
def test_booleans_are_written_as_chosen(style: str, texts: str) -> None:
    data = pa.table({"flag": [True, False]})

    formats = ValueFormats(boolean=BooleanFormat(style))

    assert csv_of(data, formats).decode().split()[1:] == texts.split()


def test_dates_need_no_time_zone() -> None:
    data = pa.table({"day": [date(2026, 3, 29)]})

    formats = ValueFormats(date=DatePattern.DAY_FIRST, time_zone="Pacific/Kiritimati")

    assert csv_of(data, formats) == b"day\n29/03/2026\n"


def test_small_decimals_have_no_exponent() -> None:
    data = pa.table({"d": pa.array([Decimal("1E-12"), Decimal(0)], pa.decimal128(38, 12))})

    assert csv_of(data) == b"d\n0.000000000001\n0.000000000000\n"


def test_event_ids_are_written_with_dashes() -> None:
    raw = bytes(range(16))

    assert csv_of(pa.table({"id": pa.array([raw, None], pa.uuid())})) == (
        b"id\n00010203-0405-0607-0809-0a0b0c0d0e0f\n\n"
    )


def test_a_window_without_rows_is_a_header() -> None:
    assert csv_of(pa.table({"a,b": pa.array([], pa.int64())})) == b'"a,b"\n'


def test_gzip_has_neither_name_nor_time() -> None:
    data = pa.table({"a": [1]})

    made = csv_of(data, compression=Compression.GZIP)

    assert made[:10] == bytes([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255])
    assert made == csv_of(data, compression=Compression.GZIP)


def test_a_source_that_fails_in_the_middle_fails_the_rendering() -> None:
    def batches() -> Iterator[pa.Table]:
        yield pa.table({"a": range(100_000)})
        raise OSError("the disk went away")

    with pytest.raises(OSError, match="the disk went away"):
        render(batches(), Layout([RenderedColumn("a", "a")]), io.BytesIO())


def test_a_type_that_no_attribute_has_is_refused() -> None:
    with pytest.raises(TypeError, match="no text format for values of type double"):
        csv_of(pa.table({"a": [1.5]}))
