"""What a batch may hold costs bounded memory, and one record a bounded piece (SPEC §6, Bounds)."""

from __future__ import annotations

import gzip
import hashlib
import struct
import tracemalloc
import zlib
from collections.abc import Callable, Iterator

import cramjam
import pyarrow as pa
import pytest
from aiokafka import TopicPartition, codec
from aiokafka.consumer.fetcher import READ_COMMITTED
from aiokafka.record.util import calc_crc32c

from streams.reading import record_stream
from streams.reading.fetch import ColumnRecords, UnreadableBatchError
from streams.reading.inflate import InflateError, inflated_if_small, opened
from streams.reading.record_batches import KafkaBatches
from streams.reading.record_stream import FIRST_BYTES, MOST_RECORD_BYTES
from streams.reading.records import Part

MIB = 1 << 20
GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
APPENDED_AT = 1_700_000_000_000
ARROW = {GZIP: "gzip", LZ4: "lz4", ZSTD: "zstd"}
CODECS = [GZIP, LZ4, ZSTD]


def varint(value: int) -> bytes:
    """Zigzag-encoded; of no negative number."""
    value, encoded = 2 * value, bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def head_of(delta: int, key: bytes, size: int) -> bytes:
    """A record up to its value of `size` bytes, without headers."""
    fields = b"\0\0" + varint(delta) + varint(len(key)) + key + varint(size)
    return varint(len(fields) + size + 1) + fields


def record(delta: int, value: bytes, key: bytes = b"1") -> bytes:
    return head_of(delta, key, len(value)) + value + b"\0"


def compressed(kind: int, parts: Iterator[bytes]) -> bytes:
    """What the parts are together, never held whole."""
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, ARROW[kind]) as stream:
        for part in parts:
            stream.write(part)
    return bytes(sink.getvalue().to_pybytes())


def batch(kind: int, packed: bytes, count: int, base: int = 0) -> bytes:
    """A record batch as the broker would have stamped it."""
    body = struct.pack(">hiqqqhii", kind | 8, count - 1, 0, APPENDED_AT, -1, -1, -1, count) + packed
    head = struct.pack(">iBI", 0, 2, calc_crc32c(body))
    return struct.pack(">qi", base, len(head) + len(body)) + head + body


def reading(data: bytes, at: int = 0) -> ColumnRecords:
    topic = TopicPartition("shop.profile", 3)
    return ColumnRecords(topic, KafkaBatches(data), [], at, None, None, True, READ_COMMITTED)


@pytest.fixture(autouse=True, scope="module")
def _imported() -> None:
    """What Arrow imports at its first use counts as nobody's memory."""
    assert list(reading(batch(0, record(0, b"value"), 1)))


def zeros(size: int) -> Iterator[bytes]:
    for _ in range(size // MIB):
        yield bytes(MIB)


@pytest.mark.parametrize("kind", CODECS)
def test_a_batch_that_holds_many_megabytes_is_read_in_pieces(kind: int) -> None:
    value = bytes(MIB - 20)
    packed = compressed(kind, (record(delta, value) for delta in range(50)))
    assert len(packed) < MIB or kind == LZ4

    offsets: list[int] = []
    pieces = reading(batch(kind, packed, 50))
    tracemalloc.start()
    for piece in pieces:
        assert piece.nbytes < 9 * MIB
        offsets += piece.column("offset").to_pylist()
        assert pieces.next_fetch_offset == offsets[-1] + 1
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert offsets == list(range(50))
    assert peak < 40 * MIB


@pytest.mark.parametrize("kind", CODECS)
def test_a_record_larger_than_the_bound_is_passed_over_and_hashed_and_never_held(
    kind: int,
) -> None:
    size = 128 * MIB

    def parts() -> Iterator[bytes]:
        yield record(0, b"before")
        yield head_of(1, b"33", size)
        yield from zeros(size)
        yield b"\0" + record(2, b"behind")

    packed = compressed(kind, parts())
    pieces = reading(batch(kind, packed, 3, base=10), at=10)
    tracemalloc.start()
    found = [piece for piece in pieces if len(piece)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert [piece.column("offset").to_pylist() for piece in found] == [[10], [11], [12]]
    before, large, behind = found
    assert (Part.of(before), Part.of(behind)) == (None, None)
    digest = hashlib.sha256()
    for part in zeros(size):
        digest.update(part)
    assert Part.of(large) == Part(size, digest.hexdigest())
    assert large.column("key").to_pylist() == [b"33"]
    assert large.column("value").to_pylist() == [bytes(FIRST_BYTES)]
    assert peak < 40 * MIB


def test_others_have_their_turn_while_a_large_record_is_passed_over() -> None:
    size = 200 * MIB
    packed = compressed(ZSTD, (p for p in (head_of(0, b"1", size), *zeros(size), b"\0")))
    pieces = reading(batch(ZSTD, packed, 1))

    first = next(pieces)

    assert len(first) == 0
    assert pieces.next_fetch_offset == 0, "nothing of it counts as read yet"
    assert sum(len(piece) for piece in pieces) == 1
    assert pieces.next_fetch_offset == 1


@pytest.mark.parametrize("kind", [0, *CODECS])
def test_the_bound_counts_bytes_of_the_record_however_they_are_compressed(kind: int) -> None:
    overhead = len(record(0, bytes(MOST_RECORD_BYTES - 100))) - (MOST_RECORD_BYTES - 100)
    length = len(varint(MOST_RECORD_BYTES))
    largest = MOST_RECORD_BYTES - overhead + length
    for size, is_part in ((largest, False), (largest + 1, True)):
        data = record(0, bytes(size))
        packed = data if kind == 0 else compressed(kind, iter([data]))
        (piece,) = reading(batch(kind, packed, 1))
        assert (Part.of(piece) is not None) is is_part


def test_a_batch_is_read_again_from_its_middle() -> None:
    packed = compressed(GZIP, (record(delta, bytes(MIB)) for delta in range(30)))

    pieces = reading(batch(GZIP, packed, 30), at=17)

    assert [at for p in pieces for at in p.column("offset").to_pylist()] == list(range(17, 30))


@pytest.mark.parametrize("at", [0, 1])
def test_a_large_record_that_was_taken_isnt_taken_again(at: int) -> None:
    size = MOST_RECORD_BYTES + 1
    data = head_of(0, b"1", size) + bytes(size) + b"\0" + record(1, b"behind")

    pieces = reading(batch(0, data, 2), at=at)

    assert [o for p in pieces for o in p.column("offset").to_pylist()] == list(range(at, 2))


def test_many_tiny_records_come_in_pieces_of_bounded_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(record_stream, "PIECE_RECORDS", 1_000)
    count = 140_000  # more than are read at once, in few bytes
    packed = compressed(ZSTD, (record(delta, b"", b"") for delta in range(count)))

    pieces = list(reading(batch(ZSTD, packed, count)))

    assert max(map(len, pieces)) == 1_000
    assert sum(map(len, pieces)) == count


def cut(kind: int, records: bytes) -> tuple[bytes, int]:
    packed = compressed(kind, iter([records]))
    return packed[: len(packed) // 2], 20


def of_more_records(kind: int, records: bytes) -> tuple[bytes, int]:
    return compressed(kind, iter([records])), 21


def of_fewer_records(kind: int, records: bytes) -> tuple[bytes, int]:
    return compressed(kind, iter([records])), 19


def of_a_record_that_is_longer_than_all(kind: int, records: bytes) -> tuple[bytes, int]:
    return compressed(kind, iter([records, head_of(20, b"1", 40 * MIB), bytes(20 * MIB)])), 21


def of_a_number_without_an_end(kind: int, records: bytes) -> tuple[bytes, int]:
    return compressed(kind, iter([records, b"\xff" * 9 * MIB])), 21


@pytest.mark.parametrize("kind", CODECS)
@pytest.mark.parametrize(
    "wrong",
    [
        cut,
        of_more_records,
        of_fewer_records,
        of_a_record_that_is_longer_than_all,
        of_a_number_without_an_end,
    ],
)
def test_a_large_batch_that_contradicts_itself_is_unreadable_and_never_taken_whole(
    kind: int, wrong: Callable[[int, bytes], tuple[bytes, int]]
) -> None:
    records = b"".join(record(delta, bytes([delta]) * MIB) for delta in range(20))
    packed, count = wrong(kind, records)
    good = batch(0, record(0, b"before"), 1)
    pieces = reading(good + batch(kind, packed, count, base=1))

    offsets: list[int] = []
    with pytest.raises(UnreadableBatchError) as caught:
        for piece in pieces:
            offsets += piece.column("offset").to_pylist()

    assert offsets == list(range(len(offsets)))
    assert 1 <= len(offsets) < 1 + count
    assert pieces.next_fetch_offset == len(offsets)
    assert (caught.value.offset, caught.value.next_offset) == (1, 1 + count)


def drained(kind: int, packed: bytes, size: int) -> bytes:
    source = opened(kind, memoryview(packed))
    parts = []
    while part := source.read(size):
        assert len(part) <= size
        parts.append(part)
    return b"".join(parts)


SAMPLE = bytes(range(256)) * 1_000 + bytes(70_000)


def xerial(data: bytes) -> bytes:
    return bytes(codec.snappy_encode(data))


def raw_snappy(data: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(data))


def two_members(data: bytes) -> bytes:
    return gzip.compress(data[:100]) + gzip.compress(data[100:])


def two_frames(data: bytes) -> bytes:
    frames = [bytes(codec.zstd_encode(part)) for part in (data[:100], data[100:])]
    return b"\x50\x2a\x4d\x18\x03\0\0\0abc".join(frames)  # with one to be skipped between


@pytest.mark.parametrize(
    ("kind", "encode"),
    [
        (0, bytes),
        (GZIP, codec.gzip_encode),
        (GZIP, two_members),
        (SNAPPY, xerial),
        (SNAPPY, raw_snappy),
        (LZ4, codec.lz4_encode),
        (ZSTD, codec.zstd_encode),
        (ZSTD, two_frames),
    ],
)
def test_a_codec_inflates_to_the_same_whole_and_in_pieces(
    kind: int, encode: Callable[[bytes], bytes]
) -> None:
    packed = encode(SAMPLE)

    assert drained(kind, packed, 1_000) == SAMPLE
    assert inflated_if_small(kind, memoryview(packed), len(SAMPLE) - 1) is None
    whole = inflated_if_small(kind, memoryview(packed), 4 * MIB)
    assert encode is two_members or (whole is not None and bytes(whole) == SAMPLE)


@pytest.mark.parametrize("encode", [xerial, raw_snappy])
def test_snappy_that_claims_more_than_it_can_hold_is_refused_before_it_is_inflated(
    encode: Callable[[bytes], bytes],
) -> None:
    block = b"\xff\xff\xff\xff\x0f" + raw_snappy(b"abc")[1:]  # 4 GiB
    packed = block if encode is raw_snappy else xerial(b"")[:16] + struct.pack(">i", 8) + block
    for read in (
        lambda: inflated_if_small(SNAPPY, memoryview(packed), MIB),
        lambda: drained(SNAPPY, packed, MIB),
    ):
        with pytest.raises(InflateError, match="Snappy claims more"):
            read()


def test_a_size_that_a_header_claims_is_not_believed() -> None:
    frame = bytearray(codec.zstd_encode(bytes(100_000)))
    assert frame[4] >> 6 == 2, "its content's size has four bytes"
    struct.pack_into("<I", frame, frame.index(struct.pack("<I", 100_000)), 100)

    assert inflated_if_small(ZSTD, memoryview(frame), 100) is None
    with pytest.raises(InflateError):
        drained(ZSTD, bytes(frame), MIB)


def test_gzip_whose_checksum_is_wrong_is_refused() -> None:
    packed = bytearray(zlib.compress(SAMPLE, wbits=31))
    packed[-6] ^= 1

    with pytest.raises(InflateError, match="can't be decompressed"):
        inflated_if_small(GZIP, memoryview(packed), 4 * MIB)
    with pytest.raises(InflateError, match="can't be decompressed"):
        drained(GZIP, bytes(packed), MIB)
