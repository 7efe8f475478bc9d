"""Kafka's record batch, version 2, as it was fetched: its header, and the bytes of its records.

The layout is in Kafka's documentation under "Record Batch" (KIP-98). Every fault of a batch is a
`CorruptBatchError`, which has the offset from which reading could continue.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from aiokafka.record.util import calc_crc32c

from streams.reading.inflate import ByteSource, InflateError, Payload, inflated_if_small, opened

__all__ = ["CorruptBatchError", "KafkaBatch", "KafkaBatches", "Payload"]

_HEADER: Final = struct.Struct(">qiibIhiqqqhii")
_LENGTH_ENDS: Final = 12  # bytes of base offset and length, which the length doesn't count
_CRC_FROM: Final = 21  # the checksum covers everything behind itself
_MAGIC_AT: Final = 16
_MAGIC: Final = 2
_CODEC_MASK: Final = 0x07
_LOG_APPEND_TIME: Final = 0x08  # KIP-32
_TRANSACTIONAL: Final = 0x10
_CONTROL: Final = 0x20


class CorruptBatchError(Exception):
    """A batch can't be read: `why`, its first offset, and the offset behind it."""

    def __init__(self, why: str, offset: int, next_offset: int, hint: str = "") -> None:
        super().__init__(why)
        self.why = why
        self.offset = offset
        self.next_offset = next_offset
        self.hint = hint


@dataclass(frozen=True, slots=True)
class KafkaBatch:
    """One record batch as fetched; aiokafka's transaction logic requires these names."""

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
        """The offset behind the batch, even if compaction removed its last records."""
        return self.base_offset + max(self.last_offset_delta, 0) + 1

    @property
    def has_append_time(self) -> bool:
        """Whether its time is the broker's append time; else it is the producers' time (KIP-32)."""
        return bool(self.attributes & _LOG_APPEND_TIME)

    @property
    def is_control_batch(self) -> bool:
        """Whether the batch has a transaction marker, and no event."""
        return bool(self.attributes & _CONTROL)

    @property
    def is_transactional(self) -> bool:
        """Whether the records belong to a transaction, and count only if that was committed."""
        return bool(self.attributes & _TRANSACTIONAL)

    def validate_crc(self) -> bool:
        """Whether the checksum (CRC-32C) fits the batch's bytes."""
        return bool(self.crc == calc_crc32c(self.data[_CRC_FROM:]))

    @property
    def has_records(self) -> bool:
        """Whether the batch has records; compaction may have removed all of them.

        Raises CorruptBatchError if its count is negative, or 0 although it has bytes of records.
        """
        if (self.count <= 0 and len(self.data) > _HEADER.size) or self.count < 0:
            raise self.corrupt(f"it says that it has {self.count} records, and has some")
        return self.count > 0

    def records_if_small(self, most: int) -> Payload | None:
        """Return the decompressed bytes of the records; None if they may be more than `most`.

        Raises CorruptBatchError if they can't be decompressed.
        """
        try:
            return inflated_if_small(self._codec, self._packed, most)
        except InflateError as error:
            raise self.corrupt(str(error)) from error

    def source(self) -> ByteSource:
        """The decompressed bytes of the records, piece by piece.

        Raises CorruptBatchError if the codec is unknown; the source's `read` raises InflateError.
        """
        try:
            return opened(self._codec, self._packed)
        except InflateError as error:
            raise self.corrupt(str(error)) from error

    @property
    def _packed(self) -> memoryview:
        return self.data[_HEADER.size :]

    @property
    def _codec(self) -> int:
        return self.attributes & _CODEC_MASK

    def corrupt(self, why: str, hint: str = "") -> CorruptBatchError:
        """The error that describes a fault of this batch."""
        return CorruptBatchError(why, self.base_offset, self.next_offset, hint)


class KafkaBatches:
    """The batches of one partition in a fetch response; stands in for aiokafka's MemoryRecords."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._at = 0

    def size_in_bytes(self) -> int:
        """Bytes fetched, including a batch that is cut off at the end."""
        return len(self._data)

    def has_next(self) -> bool:
        """Whether a complete batch is left; the last batch of a response may be cut off."""
        return self._end() <= len(self._data)

    def next_batch(self) -> KafkaBatch:
        """Return the next batch; raises CorruptBatchError, and then stays before this batch."""
        data = self._data[self._at : self._end()]
        base = int.from_bytes(data[:8], "big", signed=True)
        magic = data[_MAGIC_AT] if len(data) > _MAGIC_AT else -1
        if magic != _MAGIC:
            raise CorruptBatchError(
                f"its format is version {magic}; only version 2 can be read",
                base,
                base + 1,
                "raise the topic's message format to Kafka 0.11 or later",
            )
        if len(data) < _HEADER.size:
            raise CorruptBatchError("it is shorter than its header", base, base + 1)
        fields = _HEADER.unpack_from(data)
        self._at += len(data)
        base, _, _, _, crc, attributes, last_delta, _, newest, producer, _, _, count = fields
        return KafkaBatch(data, base, crc, attributes, last_delta, newest, producer, count)

    def _end(self) -> int:
        if self._at + _LENGTH_ENDS > len(self._data):
            return len(self._data) + 1
        length = int.from_bytes(self._data[self._at + 8 : self._at + _LENGTH_ENDS], "big")
        return self._at + _LENGTH_ENDS + length
