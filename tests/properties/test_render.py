"""Drops are what a naive writer of the CSV dialect gives (SPEC §4 and §7), whatever the values and
the batches.
"""

from __future__ import annotations

import gzip
import hashlib
import io
from datetime import UTC, datetime, timedelta
from unittest.mock import patch

import pyarrow as pa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sinks.rendering import zones
from sinks.rendering.compress import Compression
from sinks.rendering.layout import ISO_WITH_OFFSET, Layout, RenderedColumn, ValueFormats
from sinks.rendering.offsets import offset_table
from sinks.rendering.render import render
from tests.properties.naive_csv import (
    EPOCH,
    MOMENTS,
    NEAR_CHANGES,
    Value,
    batched,
    drops,
    naive_csv,
    table,
    unpacked,
)


@given(drops(), st.integers(1, 3))
@settings(max_examples=400, deadline=None)
def test_a_drop_is_what_a_naive_writer_gives(
    drop: tuple[Layout, list[tuple[Value, ...]], list[int]], threads: int
) -> None:
    layout, rows, sizes = drop
    out = io.BytesIO()

    with patch("sinks.rendering.render._CHUNK_ROWS", 4):
        batches = batched(table(layout, rows), sizes)
        rendered = render(batches, layout, out, inner_name="drop.csv", threads=threads)

    content = out.getvalue()
    assert unpacked(content, layout.compression) == naive_csv(rows, layout)
    assert rendered.rows == len(rows)
    assert rendered.bytes == len(content)
    assert rendered.sha256 == hashlib.sha256(content).hexdigest()


@given(st.sampled_from(sorted(zones.zone_names())), st.lists(MOMENTS | NEAR_CHANGES, min_size=1))
@example("Africa/Casablanca", [datetime(2026, 2, 15, 2, 30, tzinfo=UTC)])
@example(
    "Pacific/Apia",
    [datetime(2011, 12, 30, 9, 59, tzinfo=UTC), datetime(2011, 12, 30, 10, tzinfo=UTC)],
)
@settings(max_examples=300, deadline=None)
def test_local_moments_are_those_of_zoneinfo_in_every_zone(
    zone: str, moments: list[datetime]
) -> None:
    layout = Layout(
        [RenderedColumn("moment", "at")], ValueFormats(moment=ISO_WITH_OFFSET, time_zone=zone)
    )
    out = io.BytesIO()

    render(
        [pa.table({"moment": pa.array(moments, pa.timestamp("ms", "UTC"))})], layout, out, threads=1
    )

    assert out.getvalue() == naive_csv([(moment,) for moment in moments], layout)


@given(st.sampled_from(sorted(zones.zone_names())))
@settings(max_examples=60, deadline=None)
def test_clock_changes_of_a_zone_are_those_of_zoneinfo_to_the_second(zone: str) -> None:
    changes = [int(instant) // 1000 for instant in offset_table(zone).instants]
    seconds = [s for change in changes[:60] + changes[-4:] for s in (change - 1, change)]
    moments = [EPOCH + timedelta(seconds=s) for s in seconds if s > -60_000_000_000] or [EPOCH]
    layout = Layout(
        [RenderedColumn("moment", "at")], ValueFormats(moment=ISO_WITH_OFFSET, time_zone=zone)
    )
    out = io.BytesIO()

    render(
        [pa.table({"moment": pa.array(moments, pa.timestamp("ms", "UTC"))})], layout, out, threads=1
    )

    assert out.getvalue() == naive_csv([(moment,) for moment in moments], layout)


def test_a_gzip_drop_of_several_chunks_is_one_member() -> None:
    rows = 200_000
    numbers = pa.table({"number": pa.array(range(rows), pa.int64())})
    layout = Layout([RenderedColumn("number", "number")], compression=Compression.GZIP)
    out = io.BytesIO()

    rendered = render([numbers], layout, out)

    raw = out.getvalue()
    assert gzip.decompress(raw) == ("number\n" + "".join(f"{i}\n" for i in range(rows))).encode()
    assert raw.count(b"\x1f\x8b\x08\x00\x00\x00\x00\x00") == 1
    assert raw[:10] == bytes([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255])
    assert rendered.bytes == len(raw)
