"""What a batch leaves behind, in which order, and how readers settle it."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterable
from pathlib import Path
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.errors import PartitionError
from streams.moments import moment_of, moment_text
from streams.reading.records import RECORDS, Chunk, Flush, placed
from streams.storage.coverage import CoverageRecord, CoveredFile, DeadLetter
from streams.storage.folder import FolderStore
from streams.storage.layout import CoveragePath, TopicPartition
from streams.storage.partitions import FileSlice, Partitions
from streams.storage.stream import Stream
from streams.writing.batch import BatchWriter
from streams.writing.dead_letter_topic import Poison
from tests.faults.raw_worker import POISON, RawDecoder

TOPIC = "shop.profile"
TOPIC_ID = UUID(int=7)
ALL = Stream("all", TOPIC)
DAY_MS = 86_400_000


class Letters:
    """Dead letters in memory."""

    def __init__(self, fails: bool = False) -> None:
        self.sent: list[Poison] = []
        self._fails = fails

    def send(self, events: Iterable[Poison]) -> None:
        if self._fails:
            raise PartitionError("a dead letter was not taken")
        self.sent += events


def records(first: int, *values: bytes | None, appended_at: int = 1) -> pa.RecordBatch:
    offsets = list(range(first, first + len(values)))
    rows = [offsets, [appended_at] * len(values), [b"k"] * len(values), list(values)]
    return pa.RecordBatch.from_arrays(
        [pa.array(row, field.type) for row, field in zip(rows, RECORDS, strict=True)],
        schema=RECORDS,
    )


def chunk(partition: int, first: int, *values: bytes | None, upto: int | None = None) -> Chunk:
    pieces = (records(first, *values),) if values else ()
    return Chunk(partition, first, first + len(values) if upto is None else upto, pieces)


def writer(
    root: Path, letters: Letters | None = None, streams: Iterable[Stream] = (ALL,)
) -> BatchWriter:
    return BatchWriter(
        topic=TOPIC,
        streams=list(streams),
        decoder=RawDecoder(),
        partitions=Partitions(FolderStore(root)),
        dead_letters=letters or Letters(),
    )


def owner(partition: int = 0) -> TopicPartition:
    return TopicPartition(TOPIC, TOPIC_ID, partition)


def read(root: Path, *partitions: int, end: int) -> list[tuple[int, int, bytes]]:
    reader = Partitions(FolderStore(root))
    wanted = {ALL.name: ALL.fingerprint}
    chosen = [reader.choose(owner(partition), 0, end, wanted) for partition in partitions]
    rows = []
    for part in reader.slices(ALL.name, chosen):
        columns = ["_partition", "_offset", "value"]
        table = pq.read_table(part.path, columns=columns, partitioning=None)
        for p, offset, value in zip(*(c.to_pylist() for c in table.columns), strict=True):
            if not part.clips or any(c == p and a <= offset < b for c, a, b in part.clips):
                rows.append((p, offset, value))
    return sorted(rows)


def test_a_batch_is_read_as_it_was_written(tmp_path: Path) -> None:
    flush = Flush(TOPIC, (chunk(0, 0, b"a", b"b"), chunk(3, 5, b"c")))

    written = writer(tmp_path).write(flush, TOPIC_ID)

    assert (written.rows, written.dead_letters) == (3, 0)
    assert read(tmp_path, 0, 3, end=6) == [(0, 0, b"a"), (0, 1, b"b"), (3, 5, b"c")]


def test_a_dead_letter_that_isnt_taken_leaves_no_coverage(tmp_path: Path) -> None:
    flush = Flush(TOPIC, (chunk(0, 0, b"a", POISON),))

    with pytest.raises(PartitionError):
        writer(tmp_path, Letters(fails=True)).write(flush, TOPIC_ID)
    assert Partitions(FolderStore(tmp_path)).coverage(owner()) == []

    letters = Letters()
    writer(tmp_path, letters).write(flush, TOPIC_ID)
    assert [letter.origin for letter in letters.sent] == [f"{TOPIC}/0/1"]
    assert read(tmp_path, 0, end=2) == [(0, 0, b"a")]


def test_coverage_names_dead_letters_with_their_reason(tmp_path: Path) -> None:
    writer(tmp_path).write(Flush(TOPIC, (chunk(0, 4, b"a", None, POISON),)), TOPIC_ID)

    chosen = Partitions(FolderStore(tmp_path)).choose(owner(), 4, 6, {})

    assert list(chosen.dead_letters) == [(5, "poison")], "6 is beyond what was chosen"


def test_offsets_without_a_record_are_covered_by_an_empty_record(tmp_path: Path) -> None:
    writer(tmp_path).write(Flush(TOPIC, (chunk(0, 4, upto=9),)), TOPIC_ID)

    (path,) = Partitions(FolderStore(tmp_path)).coverage(owner())

    assert (path.first, path.next) == (4, 9)
    record = Partitions(FolderStore(tmp_path)).record(path)
    assert record.files == ()
    assert record.appended is None


def test_a_repeated_batch_with_other_borders_is_read_once(tmp_path: Path) -> None:
    writer(tmp_path).write(Flush(TOPIC, (chunk(0, 0, b"a", b"b", b"c"),)), TOPIC_ID)
    writer(tmp_path).write(Flush(TOPIC, (chunk(0, 2, b"c", b"d"), chunk(1, 0, b"x"))), TOPIC_ID)
    writer(tmp_path).write(Flush(TOPIC, (chunk(0, 1, b"b"),)), TOPIC_ID)

    assert read(tmp_path, 0, 1, end=4) == [
        (0, 0, b"a"),
        (0, 1, b"b"),
        (0, 2, b"c"),
        (0, 3, b"d"),
        (1, 0, b"x"),
    ]


def test_a_file_is_clipped_only_where_not_all_of_it_counts(tmp_path: Path) -> None:
    writer(tmp_path).write(Flush(TOPIC, (chunk(0, 0, b"a", b"b"), chunk(1, 0, b"x"))), TOPIC_ID)
    reader = Partitions(FolderStore(tmp_path))

    def slices(*ranges: tuple[int, int, int]) -> tuple[FileSlice, ...]:
        wanted = {ALL.name: ALL.fingerprint}
        chosen = [reader.choose(owner(p), first, end, wanted) for p, first, end in ranges]
        return reader.slices(ALL.name, chosen)

    assert [s.clips for s in slices((0, 0, 2), (1, 0, 1))] == [()]
    assert [s.clips for s in slices((0, 0, 2))] == [((0, 0, 2),)], "partition 1 isn't asked for"
    assert [s.clips for s in slices((0, 1, 2), (1, 0, 1))] == [((0, 1, 2), (1, 0, 1))]
    assert slices((0, 5, 9)) == ()


def test_rows_of_two_days_are_in_two_files(tmp_path: Path) -> None:
    old, new = records(0, b"a"), records(1, b"b", appended_at=DAY_MS)
    writer(tmp_path).write(Flush(TOPIC, (Chunk(0, 0, 2, (old, new)),)), TOPIC_ID)

    days = sorted(path.parent.name for path in tmp_path.glob("streams/all/*/*.parquet"))

    assert days == ["day=1970-01-01", "day=1970-01-02"]
    assert read(tmp_path, 0, end=2) == [(0, 0, b"a"), (0, 1, b"b")]


def test_a_changed_stream_is_not_covered_by_what_its_former_definition_wrote(
    tmp_path: Path,
) -> None:
    writer(tmp_path).write(Flush(TOPIC, (chunk(0, 0, b"a"),)), TOPIC_ID)
    changed = Stream("all", TOPIC, frozenset({"X"}))

    chosen = Partitions(FolderStore(tmp_path)).choose(
        owner(), 0, 1, {changed.name: changed.fingerprint}
    )

    assert not chosen.tiling.is_whole


def test_a_stream_holds_its_event_types_and_sources_only(tmp_path: Path) -> None:
    none = Stream("none", TOPIC, frozenset({"Y"}))
    some = Stream("some", TOPIC, frozenset({"X"}), frozenset({"API", "ETL"}))
    other = Stream("other", TOPIC, sources=frozenset({"ETL"}))
    writer(tmp_path, streams=[none, some, other]).write(
        Flush(TOPIC, (chunk(0, 0, b"a"),)), TOPIC_ID
    )

    assert [path.name for path in (tmp_path / "streams").iterdir()] == ["some"]


def test_coverage_is_read_back_as_it_was_written() -> None:
    record = CoverageRecord(
        CoveragePath(owner(), 3, 9, "b1"),
        {"all": "f1"},
        (CoveredFile("all", "streams/all/day=2026-01-01/b1.parquet", 3, 5),),
        (DeadLetter(4, "„poison“"),),
        (1, 2),
    )

    assert CoverageRecord.from_json(record.path, record.to_json()) == record


def test_sweeping_removes_what_no_record_names_and_nothing_young(tmp_path: Path) -> None:
    kept = writer(tmp_path)
    kept.write(Flush(TOPIC, (chunk(0, 0, b"a"),)), TOPIC_ID)
    with pytest.raises(PartitionError):
        writer(tmp_path, Letters(fails=True)).write(
            Flush(TOPIC, (chunk(0, 1, b"b", POISON),)), TOPIC_ID
        )
    half = tmp_path / "streams/all/day=1970-01-01/.aside-01"
    half.write_bytes(b"half")
    partitions = Partitions(FolderStore(tmp_path))

    assert partitions.sweep(older_than=60) == 0
    long_ago = dt.datetime(2026, 1, 1, tzinfo=dt.UTC).timestamp()
    for file in tmp_path.rglob("*"):
        os.utime(file, (long_ago, long_ago))
    assert partitions.sweep(older_than=60) == 2

    assert not half.exists()
    assert len(list(tmp_path.glob("streams/all/*/*.parquet"))) == 1
    assert read(tmp_path, 0, end=1) == [(0, 0, b"a")]


def test_small_pieces_are_decoded_together_and_large_ones_alone() -> None:
    small = Chunk(0, 0, 2, (records(0, b"a"), records(1, b"b")))
    large = Chunk(1, 0, 2, (records(0, b"c" * 1000), records(1, b"d" * 1000)))

    pieces = list(placed([small, large], 500))

    assert [len(piece) for piece in pieces] == [3, 1]
    assert [p for piece in pieces for p in piece.column("partition").to_pylist()] == [0, 0, 1, 1]


def test_a_dropped_flush_lets_go_of_its_records_unless_they_are_being_written() -> None:
    idle, busy = (Flush(TOPIC, (chunk(0, 0, b"a"),)) for _ in range(2))
    busy.is_being_written = True

    idle.drop()
    busy.drop()

    assert (idle.chunks, idle.nbytes) == ((), 0)
    assert busy.is_dropped
    assert busy.nbytes > 0


@pytest.mark.parametrize("wrong", [1 << 62, -(1 << 62), 253_402_214_400_000])
def test_a_record_whose_append_time_is_no_moment_is_a_dead_letter_and_the_others_are_stored(
    tmp_path: Path, wrong: int
) -> None:
    letters = Letters()
    pieces = (records(0, b"a"), records(1, b"b", appended_at=wrong), records(2, b"c"))
    flush = Flush(TOPIC, (Chunk(0, 0, 3, pieces), Chunk(1, 0, 1, (pieces[1],))))

    written = writer(tmp_path, letters).write(flush, TOPIC_ID)

    assert (written.rows, written.dead_letters) == (2, 2)
    assert {letter.reason for letter in letters.sent} == {
        f"its append time, {wrong} ms since 1970, isn't between 0001-01-02 and 9999-12-30: a"
        " broker's clock is wrong; set it right, then replay the event"
    }
    assert read(tmp_path, 0, end=3) == [(0, 0, b"a"), (0, 2, b"c")]
    for path in Partitions(FolderStore(tmp_path)).coverage(owner()):
        appended = Partitions(FolderStore(tmp_path)).record(path).appended
        assert appended is not None
        assert [moment_of(time).year in (1, 1970, 9999) for time in appended] == [True, True]


def test_the_moment_of_a_time_that_is_none_is_the_nearest() -> None:
    assert moment_text(1 << 62) == "9999-12-30T23:59:59.999+00:00"
    assert moment_text(-(1 << 62)) == "0001-01-02T00:00:00.000+00:00"
    assert moment_text(1) == "1970-01-01T00:00:00.001+00:00"
