"""The rules of a drop's file, one by one (SPEC §4 and §7): how each kind of value, the header and
the lines look. What a whole drop looks like is in test_render.py.
"""

import io
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pyarrow as pa
import pytest

from sinks.rendering.layout import (
    ISO_WITH_OFFSET,
    MOMENT_FORMATS,
    BooleanFormat,
    DatePattern,
    Layout,
    Rendered,
    RenderedColumn,
    Separator,
    TimePattern,
    ValueFormats,
)
from sinks.rendering.render import render

BRUSSELS = "Europe/Brussels"
TEXT, LISTS = pa.string(), pa.list_(pa.string())
MOMENT = pa.timestamp("ms", "UTC")


def file_of(
    values: Iterable[object],
    kind: pa.DataType,
    *,
    separator: Separator = Separator.COMMA,
    header: str = "v",
    **formats: object,
) -> tuple[bytes, Rendered]:
    """The file of one column, and what was said of it."""
    out = io.BytesIO()
    layout = Layout(
        [RenderedColumn("v", header)],
        ValueFormats(**formats),  # type: ignore[arg-type]
        separator,
    )
    rendered = render([pa.table({"v": pa.array(values, kind)})], layout, out)
    return out.getvalue(), rendered


def lines_of(values: Iterable[object], kind: pa.DataType, **formats: object) -> list[str]:
    """The lines below the header, where no value holds a line break."""
    content, _ = file_of(values, kind, **formats)  # type: ignore[arg-type]
    header, *lines, nothing = content.decode("utf-8").split("\n")
    assert (header, nothing) == ("v", "")
    return lines


# Values.


@pytest.mark.parametrize("style", BooleanFormat)
def test_a_boolean_is_one_of_two_words_and_nothing_if_it_is_null(style: BooleanFormat) -> None:
    true, false = style.split("/")

    assert lines_of([True, None, False], pa.bool_(), boolean=style) == [true, "", false]


@pytest.mark.parametrize(
    ("pattern", "first", "last"),
    [
        (DatePattern.ISO, "0001-02-03", "9999-12-31"),
        (DatePattern.DAY_FIRST, "03/02/0001", "31/12/9999"),
        (DatePattern.MONTH_FIRST, "02/03/0001", "12/31/9999"),
        (DatePattern.DAY_FIRST_DASHES, "03-02-0001", "31-12-9999"),
        (DatePattern.COMPACT, "00010203", "99991231"),
    ],
)
def test_dates_have_four_digits_of_the_year_from_0001_to_9999(
    pattern: DatePattern, first: str, last: str
) -> None:
    days = [date(1, 2, 3), None, date(9999, 12, 31)]

    assert lines_of(days, pa.date32(), date=pattern) == [first, "", last]


def test_a_date_outside_the_years_0001_to_9999_is_empty_and_counted() -> None:
    day_before_0001, day_after_9999 = -719_163, 2_932_897
    days = pa.array([day_before_0001, day_after_9999, 0], pa.int32()).cast(pa.date32())

    content, rendered = file_of(days, pa.date32())

    assert content == b"v\n\n\n1970-01-01\n"
    assert rendered.warnings == ("column 'v': 2 values outside the years 0001 to 9999 are empty",)


def test_the_formats_of_moments_are_every_date_with_every_time_and_iso_8601() -> None:
    assert set(MOMENT_FORMATS) == {d + t for d in DatePattern for t in TimePattern} | {
        ISO_WITH_OFFSET
    }


@pytest.mark.parametrize("day", DatePattern)
@pytest.mark.parametrize(
    ("time", "shown"),
    [
        (TimePattern.NONE, ""),
        (TimePattern.MINUTES, " 00:59"),
        (TimePattern.SECONDS, " 00:59:58"),
        (TimePattern.MILLISECONDS, " 00:59:58.999"),
    ],
)
def test_a_moment_is_local_and_cut_off_at_what_its_format_shows(
    day: DatePattern, time: TimePattern, shown: str
) -> None:
    """22:59:58.999 UTC is the next day in Brussels; nothing is rounded up."""
    at = datetime(2026, 12, 31, 23, 59, 58, 999_000, UTC)
    local = lines_of([date(2027, 1, 1)], pa.date32(), date=day)[0]

    assert lines_of([at], MOMENT, moment=day + time, time_zone=BRUSSELS) == [local + shown]


def test_a_moment_of_finer_units_is_cut_off_at_its_milliseconds() -> None:
    at = datetime(1969, 12, 31, 23, 59, 59, 999_999)

    lines = lines_of([at], pa.timestamp("us", "UTC"), moment="yyyyMMdd HH:mm:ss.SSS")

    assert lines == ["19691231 23:59:59.999"]


@pytest.mark.parametrize(
    ("utc", "local"),
    [
        (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00.000+00:00"),
        (datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), "9999-12-31T23:59:59.000+00:00"),
    ],
)
def test_moments_of_the_years_0001_to_9999_are_written(utc: datetime, local: str) -> None:
    assert lines_of([utc], MOMENT, moment=ISO_WITH_OFFSET) == [local]


def test_a_moment_counts_by_its_local_year() -> None:
    """In New York the year 0001 begins five hours later."""
    at = datetime(1, 1, 1, 4, tzinfo=UTC)

    content, rendered = file_of([at], MOMENT, time_zone="America/New_York")

    assert content == b"v\n\n"
    assert rendered.warnings == ("column 'v': 1 value outside the years 0001 to 9999 is empty",)


@pytest.mark.parametrize(
    ("zone", "change"),
    [
        (BRUSSELS, datetime(2026, 10, 25, 1, tzinfo=UTC)),
        ("America/New_York", datetime(2026, 11, 1, 6, tzinfo=UTC)),
        ("Australia/Lord_Howe", datetime(2026, 4, 4, 15, tzinfo=UTC)),  # by half an hour
    ],
)
def test_a_moment_of_the_hour_that_comes_twice_has_the_offset_of_its_time(
    zone: str, change: datetime
) -> None:
    before, after = change - timedelta(milliseconds=1), change

    told = lines_of([before, after], MOMENT, moment=ISO_WITH_OFFSET, time_zone=zone)

    assert [datetime.fromisoformat(line) for line in told] == [before, after]
    assert told[0][:19] > told[1][:19]
    assert told[0][23:] != told[1][23:]


def test_the_hour_that_a_clock_change_skips_is_in_no_file() -> None:
    change = datetime(2026, 3, 29, 1, tzinfo=UTC)

    lines = lines_of([change - timedelta(milliseconds=1), change], MOMENT, time_zone=BRUSSELS)

    assert lines == ["2026-03-29 01:59:59", "2026-03-29 03:00:00"]


@pytest.mark.parametrize(
    "text",
    ["9" * 38, "-" + "9" * 38, "0." + "0" * 37 + "1", "9" * 26 + "." + "9" * 12, "-0.10", "100.00"],
)
def test_a_decimal_has_every_digit_of_its_scale(text: str) -> None:
    scale = len(text.partition(".")[2])

    assert lines_of([Decimal(text)], pa.decimal128(38, scale)) == [text]


@pytest.mark.parametrize("number", [0, -1, 2**63 - 1, -(2**63)])
def test_an_integer_is_its_digits(number: int) -> None:
    assert lines_of([number], pa.int64()) == [str(number)]


# Several values in one field.


@pytest.mark.parametrize("mark", ["|", "/", "~", ";", " ", "·"])
def test_several_values_stand_with_their_separator_between_them_in_their_order(mark: str) -> None:
    values = [["b", "a", "b"], ["one"]]

    assert lines_of(values, LISTS, values_separator=mark) == [f"b{mark}a{mark}b", "one"]


def test_no_values_are_empty_and_one_empty_value_is_an_empty_text() -> None:
    assert lines_of([None, [], [""], ["", ""]], LISTS) == ["", "", '""', "|"]


def test_a_value_among_several_that_holds_the_files_separator_has_the_field_quoted() -> None:
    content, rendered = file_of([["a,b", 'say "c"']], LISTS)

    assert content == b'v\n"a,b|say ""c"""\n'
    assert rendered.warnings == ()


def test_every_value_that_holds_the_values_separator_is_counted() -> None:
    content, rendered = file_of([["a|b", "|", "c"]], LISTS)
    _, once = file_of([["a/b"]], LISTS, values_separator="/")

    assert content == b"v\na|b|||c\n"
    assert rendered.warnings == ("column 'v': 2 values hold the values' separator '|'",)
    assert once.warnings == ("column 'v': 1 value holds the values' separator '/'",)


# Texts.


@pytest.mark.parametrize("separator", Separator)
@pytest.mark.parametrize(
    "text",
    [
        " leading",
        "trailing ",
        "\u00a0no-break\u3000",
        "emoji 👩‍👩‍👧 🇧🇪",
        "\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627 \u202eoverride\u202c",
        "e\u0301 isn't \u00e9",
        "NUL \0 within",
        "\0",
        "vertical \v and form \f feeds",
        "next \u0085 and line \u2028 separators",
        "\\N",
        "'single'",
        "NULL",
        "=1+1",
    ],
)
def test_a_text_is_written_as_it_is(text: str, separator: Separator) -> None:
    content, _ = file_of([text], TEXT, separator=separator)

    assert content == f"v\n{text}\n".encode()


@pytest.mark.parametrize("separator", Separator)
@pytest.mark.parametrize("special", ["\n", "\r", "\r\n", '"'])
def test_a_text_with_a_line_break_or_a_quote_is_quoted(special: str, separator: Separator) -> None:
    content, _ = file_of([f"a{special}b"], TEXT, separator=separator)

    escaped = special.replace('"', '""')
    assert content == f'v\n"a{escaped}b"\n'.encode()


def test_null_is_empty_and_an_empty_text_is_two_quotes() -> None:
    assert lines_of(["", None, " "], TEXT) == ['""', "", " "]


# Header and lines.


@pytest.mark.parametrize("separator", Separator)
def test_the_header_is_of_the_chosen_names_in_the_chosen_order(separator: Separator) -> None:
    data = pa.table({"a": [1], "b": [2], "left out": [3]})
    columns = [RenderedColumn("b", "CRM,ID"), RenderedColumn("a", "a")]
    out = io.BytesIO()

    render([data], Layout(columns, separator=separator), out)

    name = '"CRM,ID"' if separator == "," else "CRM,ID"
    assert out.getvalue().decode() == f"{name}{separator}a\n2{separator}1\n"


@pytest.mark.parametrize(
    ("header", "line"), [('say "so"', '"say ""so"""'), ("prénom 😀", "prénom 😀"), (" x ", " x ")]
)
def test_a_header_is_quoted_as_a_text_is(header: str, line: str) -> None:
    content, _ = file_of([], TEXT, header=header)

    assert content == f"{line}\n".encode()


def test_a_file_is_utf_8_without_a_byte_order_mark() -> None:
    content, _ = file_of(["é😀"], TEXT)

    assert content == b"v\n\xc3\xa9\xf0\x9f\x98\x80\n"


def test_every_line_ends_with_a_line_feed_and_the_last_too() -> None:
    content, _ = file_of(["a", "b"], TEXT)

    assert content == b"v\na\nb\n"
