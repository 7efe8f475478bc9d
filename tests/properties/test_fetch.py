"""Reading whole record batches gives what aiokafka's reading gives, record by record (KIP-98)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.reading import fetch, record_stream
from streams.reading.fetch import ColumnRecords, UnreadableBatchError
from streams.reading.record_batches import KafkaBatches
from streams.reading.records import RECORDS

TP = TopicPartition("shop.profile", 3)
LOG_APPEND_TIME = 0x08
CONTROL = 0x20
COMMIT, ABORT = b"\0\0\0\1", b"\0\0\0\0"

Record = tuple[int, bytes | None, bytes | None, list[tuple[str, bytes | None]]]


@dataclass(frozen=True)
class Batch:
    """A batch of a log, as a producer would send it and the broker stamp it."""

    records: list[Record]  # offset delta behind the last record's, key, value, headers
    codec: int = 0
    producer: int = -1
    is_transactional: bool = False
    marker: bytes | None = None
    appended_at: int = 1_700_000_000_000


def encoded(batch: Batch, base: int) -> tuple[bytes, int]:
    """The batch's bytes and the offset behind it."""
    builder = DefaultRecordBatchBuilder(
        2, batch.codec, batch.is_transactional, batch.producer, 0, 0, 1 << 30
    )
    delta = -1
    for step, key, value, headers in batch.records:
        delta += step
        builder.append(delta, 1_600_000_000_000 + 7 * delta, key, value, headers)
    if batch.marker is not None:
        delta += 1
        builder.append(delta, 1_600_000_000_000, batch.marker, b"\0\0\0\0\0\0", [])
    return stamped(bytearray(builder.build()), batch, base), base + delta + 1


def stamped(data: bytearray, batch: Batch, base: int) -> bytes:
    """As the broker writes it: base offset, append time, attributes, and a checksum over them."""
    (attributes,) = struct.unpack_from(">h", data, 21)
    attributes |= LOG_APPEND_TIME | (CONTROL if batch.marker is not None else 0)
    struct.pack_into(">q", data, 0, base)
    struct.pack_into(">h", data, 21, attributes)
    struct.pack_into(">q", data, 35, batch.appended_at)
    struct.pack_into(">I", data, 17, calc_crc32c(bytes(data[21:])))
    return bytes(data)


def log_of(batches: list[Batch], start: int) -> tuple[bytes, list[tuple[int, int]]]:
    """The log's bytes from `start` on, and what the broker says of aborted transactions."""
    data, base = b"", start
    opened: dict[int, int] = {}
    aborted = []
    for batch in batches:
        if batch.is_transactional and batch.marker is None:
            opened.setdefault(batch.producer, base)
        elif batch.marker is not None:
            first = opened.pop(batch.producer, None)
            if batch.marker == ABORT and first is not None:
                aborted.append((batch.producer, first))
        more, base = encoded(batch, base)
        data += more
    return data, aborted


def read(
    kind: type[PartitionRecords], memory: object, aborted: object, at: int
) -> PartitionRecords:
    return kind(TP, memory, list(aborted), at, None, None, True, READ_COMMITTED)


def by_aiokafka(data: bytes, aborted: object, at: int) -> tuple[list[tuple[object, ...]], int]:
    records = read(PartitionRecords, MemoryRecords(data), aborted, at)
    rows = [(r.offset, r.timestamp, r.key, r.value) for r in records]
    return rows, records.next_fetch_offset


def by_columns(data: bytes, aborted: object, at: int) -> tuple[list[tuple[object, ...]], int]:
    records = read(ColumnRecords, KafkaBatches(data), aborted, at)
    rows: list[tuple[object, ...]] = []
    for piece in records:
        piece.validate(full=True)
        assert piece.schema == RECORDS
        rows += zip(*(column.to_pylist() for column in piece.columns), strict=True)
    return rows, records.next_fetch_offset


LONG = Random(7).randbytes(9_001)  # its length takes three bytes
bytes_or_null = st.none() | st.binary(max_size=300) | st.sampled_from([LONG, LONG[1:]])
headers = st.lists(st.tuples(st.text(max_size=5), st.none() | st.binary(max_size=9)), max_size=2)
records = st.lists(
    st.tuples(st.integers(1, 3), bytes_or_null, bytes_or_null, headers), min_size=1, max_size=8
)
plain = st.builds(Batch, records, codec=st.integers(0, 4), appended_at=st.integers(0, 2**42))
transactional = st.builds(
    Batch,
    records,
    codec=st.integers(0, 4),
    producer=st.integers(1, 3),
    is_transactional=st.just(True),
)
markers = st.builds(
    Batch,
    st.just([]),
    producer=st.integers(1, 3),
    is_transactional=st.just(True),
    marker=st.sampled_from([COMMIT, ABORT]),
)
logs = st.lists(plain | transactional | markers, max_size=8)


@settings(deadline=None)
@given(logs, st.integers(0, 2**40), st.integers(0, 12), st.integers(0, 60))
def test_columns_are_what_aiokafka_reads(
    batches: list[Batch], start: int, skipped: int, cut_off: int
) -> None:
    data, aborted = log_of(batches, start)
    data = data[: len(data) - cut_off]  # the last batch of a response may be cut off
    first = encoded(batches[0], 0)[1] if batches else 1
    at = start + skipped % first  # a fetch may begin in the middle of its first batch

    assert by_columns(data, aborted, at) == by_aiokafka(data, aborted, at)


@settings(deadline=None)
@given(logs, st.integers(0, 12))
def test_small_pieces_make_no_difference(batches: list[Batch], skipped: int) -> None:
    data, aborted = log_of(batches, 5)
    at = 5 + skipped % (encoded(batches[0], 0)[1] if batches else 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fetch, "PIECE_BYTES", 1)
        patch.setattr(record_stream, "PIECE_BYTES", 19_000)
        patch.setattr(record_stream, "PIECE_RECORDS", 3)
        in_pieces = by_columns(data, aborted, at)

    assert in_pieces == by_aiokafka(data, aborted, at)


@settings(deadline=None)
@given(st.lists(plain, min_size=1, max_size=3), st.data())
def test_a_flipped_bit_is_found_by_the_checksum(batches: list[Batch], data: st.DataObject) -> None:
    log, _ = log_of(batches[:1], 0)
    at = data.draw(st.integers(21, len(log) - 1))
    damaged = bytearray(log)
    damaged[at] ^= 1 << data.draw(st.integers(0, 7))

    with pytest.raises(UnreadableBatchError, match="checksum"):
        by_columns(bytes(damaged), [], 0)


@settings(deadline=None)
@given(records, st.data())
def test_records_that_contradict_their_lengths_are_corrupt_and_nothing_worse(
    some: list[Record], data: st.DataObject
) -> None:
    batch = Batch(some)
    log, _ = encoded(batch, 0)
    damaged = bytearray(log)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(61, len(log) - 1))] = data.draw(st.integers(0, 255))
    log = stamped(damaged, batch, 0)  # with a right checksum, as a broken producer would make it

    try:
        rows, upto = by_columns(log, [], 0)
    except UnreadableBatchError:
        return
    assert len(rows) <= len(some)
    assert upto <= 3 * len(some)


def test_a_batch_without_append_time_is_refused() -> None:
    builder = DefaultRecordBatchBuilder(2, 0, False, -1, 0, 0, 1 << 20)
    builder.append(0, 1, b"1", b"value", [])

    with pytest.raises(UnreadableBatchError, match=r"shop\.profile/3: .* not the broker's append"):
        by_columns(bytes(builder.build()), [], 0)


def test_a_format_before_version_2_is_refused() -> None:
    builder = LegacyRecordBatchBuilder(1, 0, 1 << 20)
    builder.append(0, timestamp=1, key=b"1", value=b"value")

    with pytest.raises(UnreadableBatchError, match="format is version 1; only version 2"):
        by_columns(bytes(builder.build()), [], 0)


def test_a_change_of_aiokafka_is_an_error_at_import() -> None:
    with pytest.raises(ImportError, match="no longer uses"):
        fetch._with(PartitionRecords._unpack_records, MemoryRecords=KafkaBatches)


THREE = [Batch([(1, b"1", b"value", []), (1, b"2", b"value", [])]) for _ in range(3)]


def without_append_time(data: bytearray) -> None:
    struct.pack_into(">h", data, 21, 0)


def of_unknown_codec(data: bytearray) -> None:
    data[22] |= 5


def not_gzip(data: bytearray) -> None:
    data[22] |= 1


def with_fewer_records_than_bytes(data: bytearray) -> None:
    struct.pack_into(">i", data, 57, 0)


def with_more_records_than_it_has(data: bytearray) -> None:
    struct.pack_into(">i", data, 57, 1_000_000)


def with_offsets_beyond_its_own(data: bytearray) -> None:
    struct.pack_into(">i", data, 23, 0)


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (without_append_time, "append time"),
        (of_unknown_codec, "unknown compression codec 5"),
        (not_gzip, "decompressed"),
        (with_fewer_records_than_bytes, "says that it has 0 records"),
        (with_more_records_than_it_has, "a record is cut off"),
        (with_offsets_beyond_its_own, "offsets"),
    ],
)
def test_what_stands_before_an_unreadable_batch_is_delivered_before_it_is_told(
    damage: Callable[[bytearray], None], why: str
) -> None:
    good, _ = log_of(THREE[:2], 10)
    damaged = bytearray(encoded(THREE[2], 14)[0])
    damage(damaged)
    struct.pack_into(">I", damaged, 17, calc_crc32c(bytes(damaged[21:])))
    pieces = read(ColumnRecords, KafkaBatches(good + damaged), [], 11)

    offsets: list[int] = []
    with pytest.raises(UnreadableBatchError, match=why) as caught:
        for piece in pieces:
            offsets += piece.column("offset").to_pylist()
    assert offsets == [11, 12, 13]
    error = caught.value
    assert (error.topic, error.partition, error.offset) == (TP.topic, TP.partition, 14)
    assert error.next_offset == (15 if damage is with_offsets_beyond_its_own else 16)
    assert pieces.next_fetch_offset == 14
