"""Fetched record batches as Arrow columns, without a Python object for each record.

Kafka's record batch, version 2 (KIP-98; the layout is in Kafka's documentation under "Record
Batch"): a header, then records whose fields are variable-length integers and bytes. Only the walk
from record to record is a loop; all fields of all records of a fetch are read as numpy columns, and
keys and values are cut out of the batch by Arrow. aiokafka keeps everything else: what is asked of
which broker, positions, aborted transactions.

`ColumnConsumer` is an AIOKafkaConsumer whose `getmany` gives record batches by RECORDS.
"""

from __future__ import annotations

import asyncio
import struct
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

import aiokafka
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from aiokafka import codec
from aiokafka.consumer import consumer as aiokafka_consumer
from aiokafka.consumer import fetcher as aiokafka_fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.control_record import ABORT_MARKER, ControlRecord
from aiokafka.record.util import calc_crc32c

from schemas.errors import PartitionError
from streams.records import RECORDS

IntArray: TypeAlias = npt.NDArray[np.int64]

_HEADER: Final = struct.Struct(">qiibIhiqqqhii")
_LENGTH_ENDS: Final = 12  # bytes of base offset and length, which the length doesn't count
_CRC_FROM: Final = 21  # the checksum covers everything behind itself
_MAGIC: Final = 2
_CODEC_MASK: Final = 0x07
_LOG_APPEND_TIME: Final = 0x08  # KIP-32
_TRANSACTIONAL: Final = 0x10
_CONTROL: Final = 0x20
PIECE_BYTES: Final = 8 << 20
"""Records read at once: a piece has hardly more, however much a compressed fetch inflates to."""

_DECOMPRESS: Final[dict[int, Callable[[bytes], bytes]]] = {
    1: codec.gzip_decode,
    2: codec.snappy_decode,
    3: codec.lz4_decode,
    4: codec.zstd_decode,
}


@dataclass(frozen=True, slots=True)
class KafkaBatch:
    """One record batch as fetched; the names that aiokafka's transaction logic knows."""

    data: memoryview
    base_offset: int
    crc: int
    attributes: int
    last_offset_delta: int
    max_timestamp: int
    producer_id: int
    count: int

    @property
    def next_offset(self) -> int:
        """Offset behind the batch, also where compaction removed its last records."""
        return self.base_offset + self.last_offset_delta + 1

    @property
    def is_control_batch(self) -> bool:
        """Whether it holds a transaction marker, no event."""
        return bool(self.attributes & _CONTROL)

    @property
    def is_transactional(self) -> bool:
        """Whether its records count only if their transaction was committed."""
        return bool(self.attributes & _TRANSACTIONAL)

    def validate_crc(self) -> bool:
        """Whether the batch is as its producer sent it (CRC-32C)."""
        return bool(self.crc == calc_crc32c(self.data[_CRC_FROM:]))

    def records(self) -> bytes | memoryview:
        """Return the bytes of its records, decompressed."""
        packed = self.data[_HEADER.size :]
        kind = self.attributes & _CODEC_MASK
        if kind == 0:
            return packed
        if kind not in _DECOMPRESS:
            raise CorruptRecordException(f"unknown compression codec {kind}")
        return _DECOMPRESS[kind](bytes(packed))


class KafkaBatches:
    """The batches of one partition in a fetch response; stands in for aiokafka's MemoryRecords."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._at = 0

    def size_in_bytes(self) -> int:
        """Bytes fetched, also of a batch that was cut off at the end."""
        return len(self._data)

    def has_next(self) -> bool:
        """Whether a whole batch is left: the last one of a response may be cut off."""
        return self._end() <= len(self._data)

    def next_batch(self) -> KafkaBatch:
        """Return the next batch; raises PartitionError for a format before Kafka 0.11."""
        data = self._data[self._at : self._end()]
        magic = data[16] if len(data) > 16 else -1
        if magic != _MAGIC:
            raise PartitionError(
                what=f"a record batch has format version {magic}; only version 2 can be read",
                hint="raise the topic's message format to Kafka 0.11 or later",
            )
        if len(data) < _HEADER.size:
            raise CorruptRecordException("a record batch is shorter than its header")
        fields = _HEADER.unpack_from(data)
        self._at += len(data)
        base, _, _, _, crc, attributes, last_delta, _, newest, producer, _, _, count = fields
        return KafkaBatch(data, base, crc, attributes, last_delta, newest, producer, count)

    def _end(self) -> int:
        if self._at + _LENGTH_ENDS > len(self._data):
            return len(self._data) + 1
        length = int.from_bytes(self._data[self._at + 8 : self._at + _LENGTH_ENDS], "big")
        return self._at + _LENGTH_ENDS + length


class ColumnRecords(aiokafka_fetcher.PartitionRecords):  # type: ignore[misc]
    """What a fetch brought of one partition, as record batches by RECORDS instead of records."""

    next_fetch_offset: int

    def _unpack_records(self) -> Iterator[pa.RecordBatch]:
        group: list[KafkaBatch] = []
        payloads: list[bytes | memoryview] = []
        nbytes = 0
        upto = self.next_fetch_offset
        while self._records.has_next():
            batch = self._records.next_batch()
            upto = batch.next_offset
            if self._is_skipped(batch) or not batch.count:
                continue
            _refuse_producers_time(self._tp.topic, batch)
            group.append(batch)
            payloads.append(batch.records())
            nbytes += len(payloads[-1])
            if nbytes >= PIECE_BYTES:
                yield from self._unpack(group, payloads, upto)
                group, payloads, nbytes = [], [], 0
        yield from self._unpack(group, payloads, upto)
        self.next_fetch_offset = upto

    def _unpack(
        self, group: list[KafkaBatch], payloads: list[bytes | memoryview], upto: int
    ) -> Iterator[pa.RecordBatch]:
        if not group:
            return
        columns = _columns(b"".join(payloads), group, [len(payload) for payload in payloads])
        # The first batch may begin before the offset that was asked for.
        wanted = np.searchsorted(columns.column("offset").to_numpy(), self.next_fetch_offset)
        self.next_fetch_offset = upto
        if wanted < len(columns):
            yield columns.slice(int(wanted))

    def _is_skipped(self, batch: KafkaBatch) -> bool:
        """Whether a batch holds no event: a marker, or aborted records (KIP-98)."""
        if self._check_crcs and not batch.validate_crc():
            raise CorruptRecordException(f"Invalid CRC - {self._tp} at {batch.base_offset}")
        if self._isolation_level == aiokafka_fetcher.READ_COMMITTED and batch.producer_id >= 0:
            self._consume_aborted_up_to(batch.base_offset)
            if batch.is_control_batch and _is_abort_marker(batch):
                self._aborted_producers.discard(batch.producer_id)
            if batch.is_transactional and batch.producer_id in self._aborted_producers:
                return True
        return batch.is_control_batch


def _refuse_producers_time(topic: str, batch: KafkaBatch) -> None:
    """Windows are cut by append time (SPEC §3), so a topic with any other can't be closed."""
    if not batch.attributes & _LOG_APPEND_TIME:
        raise PartitionError(
            what="its records carry their producer's time, not the broker's append time",
            where=f"topic {topic}",
            hint="set message.timestamp.type=LogAppendTime; `deltadrop topics check` lists such"
            " topics",
        )


def _is_abort_marker(batch: KafkaBatch) -> bool:
    payload = batch.records()
    key = _columns(bytes(payload), [batch], [len(payload)]).column("key")[0].as_py()
    return bool(ControlRecord.parse(key) == ABORT_MARKER)


def _columns(data: bytes, batches: list[KafkaBatch], sizes: list[int]) -> pa.RecordBatch:
    """Read the records of some batches, whose bytes follow each other in `data`.

    Raises CorruptRecordException where lengths and fields contradict each other.
    """
    counts = np.array([batch.count for batch in batches])
    fields = _Fields(np.frombuffer(data, np.uint8), _walk_all(data, batches, sizes))
    ends = fields.varint()
    ends += fields.at
    fields.at += 1  # a byte of attributes, none of which is in use
    fields.varint()  # the producer's time, which the broker's own has replaced
    offsets = np.repeat([batch.base_offset for batch in batches], counts) + fields.varint()
    key_at, key_end, key_null = fields.binary()
    value_at, value_end, value_null = fields.binary()
    if (value_end > ends).any():
        raise CorruptRecordException("a record's fields are longer than the record")
    edges = np.empty(4 * len(ends) + 1, np.int32)
    edges[0:-1:4], edges[1::4], edges[2::4], edges[3::4] = key_at, key_end, value_at, value_end
    edges[-1] = len(data)
    appended_at = np.repeat([batch.max_timestamp for batch in batches], counts)
    return pa.RecordBatch.from_arrays(
        [
            pa.array(offsets),
            pa.array(appended_at),
            _every_fourth(data, edges, 0, key_null),
            _every_fourth(data, edges, 2, value_null),
        ],
        schema=RECORDS,
    )


def _walk_all(data: bytes, batches: list[KafkaBatch], sizes: list[int]) -> IntArray:
    starts: list[int] = []
    at = 0
    for batch, size in zip(batches, sizes, strict=True):
        at += size
        try:
            reached = _walk(data, at - size, batch.count, starts.append)
        except IndexError:
            reached = -1
        if reached != at:
            raise CorruptRecordException(
                f"the records of the batch at offset {batch.base_offset} don't fill it"
            )
    return np.array(starts, np.int64)


def _walk(data: bytes, at: int, count: int, found: Callable[[int], None]) -> int:
    """Step from record to record, by the length before each; return where the last one ends.

    The only loop over records: the usual lengths, of one to three bytes, are read without another.
    """
    for _ in range(count):
        found(at)
        first = data[at]
        if first < 0x80:
            at += 1 + (first >> 1)  # zigzag; a length is never negative
            continue
        second = data[at + 1]
        if second < 0x80:
            at += 2 + ((first & 0x7F | second << 7) >> 1)
            continue
        third = data[at + 2]
        if third < 0x80:
            at += 3 + ((first & 0x7F | (second & 0x7F) << 7 | third << 14) >> 1)
            continue
        length, size = _long_varint(data, at)
        at += size + (length >> 1)
    return at


def _long_varint(data: bytes, at: int) -> tuple[int, int]:
    value = size = 0
    while True:
        byte = data[at + size]
        value |= (byte & 0x7F) << (7 * size)
        size += 1
        if byte < 0x80:
            return value, size


class _Fields:
    """Reads one field of all records at a time; `at` is where each record's next one begins."""

    def __init__(self, data: npt.NDArray[np.uint8], at: IntArray) -> None:
        self._data = data
        self.at = at

    def varint(self) -> IntArray:
        """Read a zigzag-encoded integer of each record."""
        try:
            byte = self._data[self.at]
            value = (byte & 0x7F).astype(np.uint64)
            self.at = self.at + 1
            longer = np.flatnonzero(byte > 0x7F)
            for shift in range(7, 70, 7):
                if not longer.size:
                    break
                byte = self._data[self.at[longer]]
                value[longer] |= (byte & 0x7F).astype(np.uint64) << np.uint64(shift)
                self.at[longer] += 1
                longer = longer[byte > 0x7F]
        except IndexError:
            raise CorruptRecordException("a record is cut off") from None
        sign = -(value & np.uint64(1)).astype(np.int64)
        return (value >> np.uint64(1)).astype(np.int64) ^ sign

    def binary(self) -> tuple[IntArray, IntArray, npt.NDArray[np.bool_]]:
        """Read where each record's bytes begin and end, and whether they are null."""
        length = self.varint()
        if (length < -1).any() or (length > len(self._data)).any():
            raise CorruptRecordException("a record's key or value has an impossible length")
        begin = self.at
        self.at = begin + np.maximum(length, 0)
        return begin, self.at, length < 0


def _every_fourth(
    data: bytes, edges: npt.NDArray[np.int32], first: int, null: npt.NDArray[np.bool_]
) -> pa.BinaryArray:
    """Cut the bytes between every fourth pair of edges out of `data`."""
    every = pa.Array.from_buffers(
        pa.binary(), len(edges) - 1, [None, pa.py_buffer(edges), pa.py_buffer(data)]
    )
    cut = every.take(pa.array(np.arange(first, len(edges) - 1, 4)))
    if not null.any():
        return cut
    validity = pa.py_buffer(np.packbits(~null, bitorder="little"))
    return pa.Array.from_buffers(pa.binary(), len(cut), [validity, *cut.buffers()[1:]])


_Method = TypeVar("_Method", bound=Callable[..., Any])


def _with(method: _Method, **replaced: object) -> _Method:
    """Copy a method of aiokafka with other classes in the place of those that it makes by name.

    It has no seam there. A name that the method no longer uses is an error as soon as this module
    is imported, not a silent return to the slow way.
    """
    unused = replaced.keys() - set(method.__code__.co_names)
    if unused:
        raise ImportError(f"aiokafka's {method.__qualname__} no longer uses {sorted(unused)}")
    names = {**method.__globals__, **replaced}
    copied = types.FunctionType(
        method.__code__, names, method.__name__, method.__defaults__, method.__closure__
    )
    copied.__kwdefaults__ = method.__kwdefaults__
    return copied  # type: ignore[return-value]


class ColumnFetcher(aiokafka_fetcher.Fetcher):  # type: ignore[misc]
    """aiokafka's fetcher, with batches and columns instead of records."""

    async def _proc_fetch_request(self, *fetch: object) -> bool:
        """Fetch, and tell whether that brought anything.

        Closing cancels what is under way. aiokafka's own lets that through where the broker is gone
        and the fetch waits to be tried again, and closing fails.
        """
        try:
            return bool(await self._fetched(*fetch))
        except asyncio.CancelledError:
            return False

    _fetched = _with(
        aiokafka_fetcher.Fetcher._proc_fetch_request,
        MemoryRecords=KafkaBatches,
        PartitionRecords=ColumnRecords,
    )


class ColumnConsumer(aiokafka.AIOKafkaConsumer):  # type: ignore[misc]
    """aiokafka's consumer whose `getmany` gives a list of record batches for each partition."""

    start = _with(aiokafka_consumer.AIOKafkaConsumer.start, Fetcher=ColumnFetcher)

    async def know(self, topic: str) -> None:
        """Wait until it's known which brokers have a topic; raises KafkaError.

        A partition that is assigned before is asked for without a pause while no broker answers.
        """
        await self._client._wait_on_metadata(topic)
