"""Cuts by clocks that are wrong, beside a naive reading of SPEC §3, *Readings settled*."""

import datetime as dt
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from sinks.closing.cut import Cuts
from streams.reading.kafka import Topics
from streams.storage.coverage import CoverageRecord, CoveredFile
from streams.storage.folder import FolderStore
from streams.storage.layout import CoveragePath, TopicPartition
from streams.storage.partitions import Partitions
from streams.storage.stream_files import META
from tests.model.cuts import cut_of
from tests.shop.offline import TOPIC_ID, Log, Record

TOPIC = "deltadrop.shop.profile"
OWNER = TopicPartition(TOPIC, TOPIC_ID, 0)
MINUTE = 60_000
BEGIN = 1_774_000_000_000
DAY = 24 * 60
FAR = st.sampled_from([3 * DAY, 170 * 365 * DAY, -3 * DAY, -56 * 365 * DAY])
NEAR = st.integers(-90, 90)
"""How wrong a clock is, in minutes: by days or years, or by about the tolerance."""


@st.composite
def logs(draw: st.DrawFn) -> list[int]:
    """Append times of a partition: a right clock goes on, and some records are stamped wrongly."""
    times: list[int] = []
    right = BEGIN
    for _ in range(draw(st.integers(0, 14))):
        right += draw(st.integers(0, 200)) * MINUTE
        wrong = draw(st.one_of(st.just(0), st.just(0), NEAR, FAR))
        times.append(right + wrong * MINUTE)
    return times


def stored(partitions: Partitions, times: Sequence[int], first: int, end: int) -> None:
    """Store a batch, a file and its coverage record."""
    if first >= end:
        return
    batch = f"{first:06d}{end:06d}"
    name = f"streams/some/day=2026-03-27/{batch}.parquet"
    moments = pa.array(times[first:end], pa.int64()).cast(META[2].type)
    rows = pa.table(
        [pa.array([0] * (end - first), pa.int32()), pa.array(range(first, end)), moments],
        schema=pa.schema(META),
    )
    partitions.store.write(name, lambda file: pq.write_table(rows, file))
    partitions.write_coverage(
        CoverageRecord(
            CoveragePath(OWNER, first, end, batch),
            {},
            (CoveredFile("some", name, end - first, end - first),),
            (),
            (min(times[first:end]), max(times[first:end])),
        )
    )


@settings(max_examples=60, deadline=None)
@given(
    times=logs(),
    more=logs(),
    edges=st.lists(st.integers(0, 14), max_size=5),
    is_stored=st.lists(st.booleans(), min_size=6, max_size=6),
    removed=st.integers(0, 14),
    instants=st.lists(st.integers(0, 3000), min_size=1, max_size=4),
)
def test_a_cut_is_where_the_rule_says_between_those_recorded_before(
    times: list[int],
    more: list[int],
    edges: list[int],
    is_stored: list[bool],
    removed: int,
    instants: list[int],
) -> None:
    with TemporaryDirectory() as folder:
        log, store = Log(), FolderStore(Path(folder))
        partitions = Partitions(store)
        removed = min(removed, len(times))
        borders = sorted({0, removed, len(times), *(edge for edge in edges if edge < len(times))})
        for n, (first, end) in enumerate(pairwise(borders)):
            if end <= removed or is_stored[n % len(is_stored)]:
                stored(partitions, times, first, end)
        log.kept_from[TOPIC] = removed
        known: dict[int, int] = {}
        for number, minutes in enumerate(instants):
            instant = BEGIN + minutes * MINUTE
            if number == 1:
                times = [*times, *more]  # what comes later is behind what was there
            log.records[TOPIC] = [Record(time, b"", b"") for time in times]
            cuts = Cuts(store, cast("Topics", log), log, partitions)

            cut = cuts.take([TOPIC], dt.datetime.fromtimestamp(instant / 1000, dt.UTC))[TOPIC]

            # Where what Kafka still has begins before the instant, so does what it has removed.
            begin = removed if any(t < instant for t in times[removed : removed + 1]) else 0
            naive = begin + cut_of(times[begin:], instant)
            earlier = max([o for at, o in known.items() if at < instant], default=0)
            later = min([o for at, o in known.items() if at > instant], default=len(times))
            known.setdefault(instant, min(max(naive, earlier), later))
            assert cut.offsets == (known[instant],)
