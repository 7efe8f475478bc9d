"""The size of an event as Kafka counts it, computed before anything is sent.

A broker compares the size of an uncompressed record batch with the topic's `max.message.bytes` (or
its own `message.max.bytes`, if the topic has none). The client compares an upper bound of the
record with `max_request_size`, before any compression. An event must pass both, alone in its batch.
"""

from __future__ import annotations

from typing import Final

from kafka.record.default_records import DefaultRecordBatchBuilder

from schemas.settings.kafka import KafkaSettings
from schemas.settings.kafka_access import BATCH_BYTES_SETTING, largest_batch_bytes

__all__ = ["MAX_REQUEST_BYTES", "SizeLimits", "batch_bytes", "client_bytes"]

MAX_REQUEST_BYTES: Final = 16 << 20
"""Most bytes that the client sends for one event, whatever its topic takes: half of what may be in
flight.
"""
_BATCH_HEADER: Final = 61
"""Bytes of a record batch before its records (KIP-98)."""


def batch_bytes(key: bytes, value: bytes) -> int:
    """Bytes of an uncompressed batch, in format 2, of one record without headers (KIP-98)."""
    # One byte each: attributes, differences of time and offset, number of headers.
    record = 4 + _varint_bytes(len(key)) + len(key) + _varint_bytes(len(value)) + len(value)
    return _BATCH_HEADER + _varint_bytes(record) + record


def client_bytes(key: bytes, value: bytes) -> int:
    """Bytes that the client counts for a record."""
    return int(DefaultRecordBatchBuilder.estimate_size_in_bytes(key, value, []))


def _varint_bytes(length: int) -> int:
    """Bytes of a length, as a zigzag number in groups of seven bits."""
    return max(1, ((length << 1).bit_length() + 6) // 7)


class SizeLimits:
    """The limits of topics, read from Kafka once for each topic."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._most: dict[str, int] = {}

    def reason(self, topic: str, key: bytes, value: bytes) -> str:
        """Return why an event is too large for its topic; empty if it isn't."""
        size, most = batch_bytes(key, value), self.most(topic)
        if size > most:
            return (
                f"the event takes {size} bytes in Kafka,"
                f" topic {topic} up to {most} ({BATCH_BYTES_SETTING})"
            )
        size = client_bytes(key, value)
        if size > MAX_REQUEST_BYTES:
            return f"the event takes {size} bytes in Kafka, up to {MAX_REQUEST_BYTES} are sent"
        return ""

    def most(self, topic: str) -> int:
        """Return the most bytes that a batch may have; Kafka's default if the topic doesn't say."""
        if topic not in self._most:
            self._most[topic] = largest_batch_bytes(self._kafka, topic)
        return self._most[topic]
