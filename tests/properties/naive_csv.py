"""A naive writer of the CSV dialect (SPEC §4, §7): one value at a time, no Arrow, no numpy; and the
drops that the property tests draw.
"""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pyarrow as pa
from hypothesis import strategies as st

from sinks.rendering import zones
from sinks.rendering.compress import Compression
from sinks.rendering.layout import (
    ISO_WITH_OFFSET,
    MOMENT_FORMATS,
    BooleanFormat,
    DatePattern,
    Layout,
    RenderedColumn,
    Separator,
    ValueFormats,
)
from sinks.rendering.render import render

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST, LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=UTC)
Value = object


def naive_moment(moment: datetime, pattern: str, zone: str) -> str | None:
    try:
        local = moment.astimezone(zones.zone(zone))
    except OverflowError:
        return None
    if pattern == ISO_WITH_OFFSET:
        return f"{naive_date(local, 'yyyy-MM-dd')}{local.isoformat(timespec='milliseconds')[10:]}"
    time = f"{local:%H:%M:%S}.{local.microsecond // 1000:03}"
    shown = pattern.partition(" ")[2]
    return (
        f"{naive_date(local, pattern.partition(' ')[0])}{' ' + time[: len(shown)] if shown else ''}"
    )


def naive_date(day: date, pattern: str) -> str:
    return (
        pattern.replace("yyyy", f"{day.year:04}")
        .replace("MM", f"{day.month:02}")
        .replace("dd", f"{day.day:02}")
    )


def naive_text(value: Value, formats: ValueFormats) -> str | None:
    match value:
        case None | []:
            return None
        case bool():
            return formats.boolean.split("/")[0 if value else 1]
        case datetime():
            return naive_moment(value, formats.moment, formats.time_zone)
        case date():
            return naive_date(value, formats.date)
        case Decimal():
            return format(value, "f")
        case list():
            return formats.values_separator.join(value)
        case _:
            return str(value)


def naive_field(value: Value, layout: Layout) -> str:
    text = naive_text(value, layout.formats)
    if text is None:
        return ""
    if text == "" or any(special in text for special in (layout.separator, '"', "\n", "\r")):
        return '"' + text.replace('"', '""') + '"'
    return text


def naive_csv(rows: Sequence[Sequence[Value]], layout: Layout) -> bytes:
    lines = [[column.header for column in layout.columns], *rows]
    return "".join(
        layout.separator.join(naive_field(v, layout) for v in line) + "\n" for line in lines
    ).encode()


# What is drawn.

TEXTS = st.text(
    st.one_of(st.sampled_from(',;\t"\n\r| \0é😀\u200f-'), st.characters(codec="utf-8")), max_size=8
)
MOMENTS = st.integers(
    (FIRST - EPOCH) // timedelta(milliseconds=1), (LAST - EPOCH) // timedelta(milliseconds=1)
).map(lambda ms: EPOCH + timedelta(milliseconds=ms))
NEAR_CHANGES = st.builds(
    lambda change, ms: change + timedelta(milliseconds=ms),
    st.sampled_from([datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)]),
    st.integers(-7_200_000, 7_200_000),
)
COLUMNS: dict[str, tuple[pa.DataType, st.SearchStrategy[Value]]] = {
    "text": (pa.string(), TEXTS),
    "word": (pa.dictionary(pa.int32(), pa.string()), TEXTS),
    "number": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "amount": (pa.decimal128(38, 2), st.decimals(-(10**35), 10**35, places=2)),
    "small": (pa.decimal128(38, 20), st.decimals(-1, 1, places=20)),
    "flag": (pa.bool_(), st.booleans()),
    "day": (pa.date32(), st.dates()),
    "moment": (pa.timestamp("ms", "UTC"), MOMENTS | NEAR_CHANGES),
    "micros": (pa.timestamp("us", "UTC"), MOMENTS),
    "values": (pa.list_(pa.string()), st.lists(TEXTS, max_size=3)),
    "id": (pa.uuid(), st.uuids()),
    "nothing": (pa.null(), st.none()),
}
FORMATS = st.builds(
    ValueFormats,
    boolean=st.sampled_from(BooleanFormat),
    date=st.sampled_from(DatePattern),
    moment=st.sampled_from(MOMENT_FORMATS),
    values_separator=st.sampled_from(["|", "/", "~"]),
    time_zone=st.sampled_from(
        [
            "UTC",
            "Europe/Brussels",
            "America/New_York",
            "Asia/Kathmandu",
            "Australia/Lord_Howe",
            "Africa/Casablanca",
        ]
    ),
)


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    names = draw(st.lists(st.sampled_from(sorted(COLUMNS)), min_size=1, max_size=6, unique=True))
    columns = [RenderedColumn(name, draw(TEXTS.filter(bool))) for name in names]
    return Layout(
        columns, draw(FORMATS), draw(st.sampled_from(Separator)), draw(st.sampled_from(Compression))
    )


@st.composite
def drops(draw: st.DrawFn) -> tuple[Layout, list[tuple[Value, ...]], list[int]]:
    layout = draw(layouts())
    values = [st.none() | COLUMNS[column.name][1] for column in layout.columns]
    rows = draw(st.lists(st.tuples(*values), max_size=12))
    return layout, rows, draw(st.lists(st.integers(0, 5), max_size=6))


def table(layout: Layout, rows: Sequence[tuple[Value, ...]]) -> pa.Table:
    arrays = {}
    for i, column in enumerate(layout.columns):
        kind = COLUMNS[column.name][0]
        values = [row[i].bytes if isinstance(row[i], UUID) else row[i] for row in rows]
        arrays[column.name] = pa.array(
            values, kind.value_type if pa.types.is_dictionary(kind) else kind
        )
        if pa.types.is_dictionary(kind):
            arrays[column.name] = arrays[column.name].dictionary_encode()
    return pa.table(arrays)


def batched(whole: pa.Table, sizes: list[int]) -> list[pa.Table]:
    parts, begin = [], 0
    for size in sizes:
        parts.append(whole.slice(begin, size))
        begin += size
    return [*parts, whole.slice(begin)]


def delivered(tables: Sequence[pa.Table], layout: Layout) -> bytes:
    """The bytes of a drop; the file in an archive is `drop.csv`."""
    out = io.BytesIO()
    inner = "drop.csv" if layout.compression is Compression.ZIP else None
    render(tables, layout, out, inner_name=inner)
    return out.getvalue()


def unpacked(content: bytes, compression: Compression) -> bytes:
    """The CSV in a drop, by Python's own modules."""
    match compression:
        case Compression.NONE:
            return content
        case Compression.GZIP:
            return gzip.decompress(content)
        case Compression.ZIP:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                return archive.read("drop.csv")
