"""What is written can be read back, and a file that can't be read is made readable (SPEC §6)."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.bounds import FIRST_MOMENT_MS, LAST_MOMENT_MS
from streams.reading.records import Flush
from streams.recovery.unreadable import UnreadableRow, make_readable, scanned
from streams.storage.folder import FolderStore
from streams.storage.partitions import Partitions
from streams.storage.readable import readable, unreadable_columns
from streams.storage.stream import Stream
from streams.storage.stream_files import META
from streams.writing.batch import BatchWriter
from tests.faults.raw_worker import RawDecoder
from tests.unit.streams.test_streams_batch import ALL, TOPIC, TOPIC_ID, Letters, chunk, owner

MOMENT = pa.timestamp("ms", tz="UTC")
FIRST, LAST = FIRST_MOMENT_MS, LAST_MOMENT_MS + 1


def moments(*values: int | None, unit: str = "ms") -> pa.Array:
    return pa.array(values, pa.int64()).view(pa.timestamp(unit, tz="UTC"))


def dates(*values: int | None) -> pa.Array:
    return pa.array(values, pa.int32()).view(pa.date32())


def texts(*values: bytes | None) -> pa.Array:
    return pa.array(values, pa.binary()).view(pa.string())


def decimals(*values: int) -> pa.Array:
    """Of five digits, two of them behind the point, by what is stored of them."""
    whole = pa.array([Decimal(value) for value in values], pa.decimal128(38, 0))
    return pa.Array.from_buffers(pa.decimal128(5, 2), len(values), [None, whole.buffers()[1]])


def words(*values: bytes) -> pa.Array:
    index = pa.array(range(len(values)), pa.int8())
    return pa.DictionaryArray.from_arrays(index, texts(*values))


LISTS = pa.ListArray.from_arrays(pa.array([0, 1, 3], pa.int32()), texts(b"a", b"b", b"\xff"))
RECORDS = pa.StructArray.from_arrays([texts(b"a", b"\xff"), dates(1, 2)], names=["city", "birth"])
BIRTHS = pa.StructArray.from_arrays([texts(b"a", b"b"), dates(1, 1 << 30)], names=["city", "birth"])
CASES = {
    "a moment after the last": (moments(LAST - 1, LAST), "value"),
    "a moment before the first": (moments(FIRST, FIRST - 1), "value"),
    "nanoseconds as milliseconds": (moments(None, 1_770_000_000_000_000_000), "value"),
    "microseconds": (moments(LAST * 1000 - 1, LAST * 1000, unit="us"), "value"),
    "a date after the last": (dates(2_932_896, 2_932_897), "value"),
    "a date before the first": (dates(-719_162, -719_163), "value"),
    "a decimal": (decimals(99_999, 100_000), "value"),
    "a decimal below zero": (decimals(-99_999, -100_000), "value"),
    "a decimal of 128 bits": (decimals(0, 1 << 90), "value"),
    "a text": (texts("für".encode(), "für".encode("latin-1")), "value"),
    "a word of a closed list": (words(b"OPENED", b"\xff"), "value"),
    "a text of several": (LISTS, "value"),
    "a text of a record": (RECORDS, "value.city"),
    "a date of a record": (BIRTHS, "value.birth"),
}
every_case = pytest.mark.parametrize("name", CASES)


def rows_of(values: pa.Array, first: int = 0) -> pa.Table:
    """Rows of a stream's file: in partition 0, from an offset on."""
    offsets = range(first, first + len(values))
    meta = [[0] * len(values), list(offsets), [1_000] * len(values)]
    arrays = [pa.array(one, field.type) for one, field in zip(meta, META, strict=True)]
    return pa.Table.from_arrays([values, *arrays], ["value", *(field.name for field in META)])


@every_case
def test_what_the_engine_cant_read_is_found_and_nothing_else(name: str) -> None:
    values, path = CASES[name]
    rows = pa.concat_tables([rows_of(values), rows_of(values.slice(1), 2)])

    found = unreadable_columns(rows)

    assert {column: mask.tolist() for column, mask in found.items()} == {path: [False, True, True]}
    assert unreadable_columns(rows_of(values.slice(0, 1))) == {}


IN_MEMORY = {"a decimal of 128 bits", "a word of a closed list"}  # no file gives them back


@pytest.mark.parametrize("name", sorted(CASES.keys() - IN_MEMORY))
def test_a_row_is_made_readable_in_its_file_and_the_others_stay(name: str, tmp_path: Path) -> None:
    values, path = CASES[name]
    store, rows = FolderStore(tmp_path), rows_of(values)
    pq.write_table(rows, tmp_path / "file.parquet")
    assert scanned(tmp_path / "file.parquet").rows == (UnreadableRow(0, 1, (path,)),)

    assert make_readable(store, "file.parquet", 0, [1])

    after = pq.read_table(tmp_path / "file.parquet")
    assert after.schema == rows.schema
    assert after.slice(0, 1).to_pylist() == rows.slice(0, 1).to_pylist()
    assert scanned(tmp_path / "file.parquet").rows == ()
    query = f"SELECT * FROM read_parquet('{tmp_path / 'file.parquet'}')"
    with duckdb.connect() as engine:
        assert engine.sql(query).to_arrow_table().num_rows == 2
    assert not make_readable(store, "file.parquet", 0, [1])


def test_an_occurrence_that_cant_be_read_becomes_the_append_time() -> None:
    rows = rows_of(moments(5, LAST)).rename_columns(["occurredAt", *(one.name for one in META)])

    mended = readable(rows, np.array([True, True]))

    assert mended["occurredAt"].cast(pa.int64()).to_pylist() == [5, 1_000]


def test_only_what_isnt_a_text_is_replaced() -> None:
    rows = rows_of(texts("grün".encode(), b"gr\xfcn"))

    mended = readable(rows, np.array([True, True]))

    assert mended["value"].to_pylist() == ["grün", "gr�n"]


@pytest.mark.parametrize(
    ("content", "broken"),
    [
        (None, "it is missing"),
        (b"", "it is no Parquet file that can be read (Parquet file size is 0 bytes)"),
    ],
)
def test_a_file_that_isnt_whole_is_told(content: bytes | None, broken: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "file.parquet").write_bytes(content)

    assert scanned(tmp_path / "file.parquet").broken == broken


def test_a_file_that_was_cut_is_told(tmp_path: Path) -> None:
    pq.write_table(rows_of(texts(b"a" * 5000)), tmp_path / "file.parquet")
    whole = (tmp_path / "file.parquet").read_bytes()
    (tmp_path / "file.parquet").write_bytes(whole[:-100])

    assert scanned(tmp_path / "file.parquet").broken.startswith(
        "it is no Parquet file that can be read ("
    )


class _Wrong(RawDecoder):
    """A decoder with a fault: it lets a moment through that can't be stored."""

    def decode(self, values: pa.Array, keys: pa.Array):  # type: ignore[no-untyped-def]
        decoded = super().decode(values, keys)
        wrong = [LAST if value == b"wrong" else 5 for value in decoded.batch["value"].to_pylist()]
        batch = decoded.batch.append_column("occurredAt", moments(*wrong))
        return type(decoded)(batch, decoded.rows, decoded.refused)


def _writer(
    root: Path, letters: Letters, streams: Sequence[Stream], decoder: RawDecoder
) -> BatchWriter:
    partitions = Partitions(FolderStore(root))
    return BatchWriter(
        topic=TOPIC, streams=streams, decoder=decoder, partitions=partitions, dead_letters=letters
    )


def _stored(root: Path, stream: str) -> list[bytes]:
    files = sorted(root.glob(f"streams/{stream}/*/*.parquet"))
    return [value for file in files for value in pq.read_table(file)["value"].to_pylist()]


def test_a_value_that_a_decoder_lets_through_is_a_dead_letter(tmp_path: Path) -> None:
    letters = Letters()

    written = _writer(tmp_path, letters, [ALL], _Wrong()).write(
        Flush(TOPIC, (chunk(0, 0, b"a", b"wrong"), chunk(1, 7, b"wrong", b"b"))), TOPIC_ID
    )

    assert (written.rows, written.dead_letters) == (2, 2)
    assert _stored(tmp_path, "all") == [b"a", b"b"]
    reason = "can't be stored: field 'occurredAt' is a moment outside 0001-01-02 to 9999-12-30"
    assert [(one.origin, one.value, one.reason) for one in letters.sent] == [
        ("shop.profile/0/1", b"wrong", reason),
        ("shop.profile/1/7", b"wrong", reason),
    ]
    records = [
        Partitions(FolderStore(tmp_path)).record(path)
        for partition in (0, 1)
        for path in Partitions(FolderStore(tmp_path)).coverage(owner(partition))
    ]
    assert [[letter.offset for letter in one.dead_letters] for one in records] == [[1], [7]]


def test_what_a_function_of_a_stream_makes_unreadable_is_a_dead_letter(tmp_path: Path) -> None:
    def wrong(rows: pa.RecordBatch) -> pa.RecordBatch:
        made = [b"\xff" if value == b"wrong" else b"ok" for value in rows["value"].to_pylist()]
        return rows.append_column("made", texts(*made))

    letters, own = Letters(), Stream("own", TOPIC, transform=wrong)

    _writer(tmp_path, letters, [ALL, own], RawDecoder()).write(
        Flush(TOPIC, (chunk(0, 0, b"a", b"wrong", b"b"),)), TOPIC_ID
    )

    assert _stored(tmp_path, "all") == _stored(tmp_path, "own") == [b"a", b"b"]
    assert [one.reason for one in letters.sent] == [
        "stream 'own' makes of it what can't be stored: field 'made' is a text that isn't valid"
        " UTF-8"
    ]


def test_a_batch_of_which_nothing_can_be_stored_leaves_dead_letters_only(tmp_path: Path) -> None:
    letters = Letters()

    written = _writer(tmp_path, letters, [ALL], _Wrong()).write(
        Flush(TOPIC, (chunk(0, 0, b"wrong"),)), TOPIC_ID
    )

    assert (written.rows, written.dead_letters) == (0, 1)
    assert _stored(tmp_path, "all") == []
