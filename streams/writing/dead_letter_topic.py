"""The dead letter topic: it takes events that can't be used, with their origin and the reason.

A dead letter's key is its origin, so that readers recognise a letter that was sent again after a
crash. The letter has the whole event if the topic accepts its size; else it has the event's size,
SHA-256 and first part (SPEC §6).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final, Protocol

from kafka import KafkaProducer
from kafka.errors import MessageSizeTooLargeError, RecordListTooLargeError

from schemas.errors import PartitionError
from schemas.reasons import reason_text
from schemas.settings.kafka import KafkaSettings
from schemas.settings.kafka_access import client_options, largest_batch_bytes
from schemas.settings.reachable import errors_as
from streams.reading.record_stream import FIRST_BYTES
from streams.reading.records import Part

__all__ = [
    "DeadLetterTopic",
    "DeadLetters",
    "Poison",
    "headers_of",
    "letter_within",
    "origin_of",
    "part_in",
]

_SEND_SECONDS: Final = 30
_TOGETHER: Final = 1_000
_TOGETHER_BYTES: Final = 16 << 20
"""Letters that are sent before their acknowledgements are awaited, and their bytes."""

_SIZES: Final = (64 << 10, 8 << 10, 2 << 10)
"""Sizes in bytes to which letters are cut, if the topic accepts less than its settings say."""

_BATCH_BYTES: Final = 16 << 10  # of a record batch: the client's default
_NO_LIMIT: Final = 1 << 31
_KEY_BYTES: Final = 1 << 10  # a cut letter leaves a longer key out
_SHORT_REASON: Final = 60
_FRAME_BYTES: Final = 100  # around a record: its batch's header, lengths and times
_HEADER_BYTES: Final = 10  # around a header: its lengths

_SIZE: Final = "value-size"
_SHA256: Final = "value-sha256"


@dataclass(frozen=True, slots=True)
class Poison:
    """An event as it is in Kafka, and the reason why it can't be used.

    part: None if `value` is whole. Otherwise `value` is the first part of the event's value, and
    `part` has the size and hash of the whole; the key may be missing then.
    """

    topic: str
    partition: int
    offset: int
    appended_at: int  # UTC milliseconds
    key: bytes | None
    value: bytes | None
    reason: str
    part: Part | None = None

    @property
    def origin(self) -> str:
        """The event's place in Kafka as text: topic/partition/offset."""
        return f"{self.topic}/{self.partition}/{self.offset}"

    @property
    def whole(self) -> Part:
        """Size and SHA-256 of the whole value."""
        value = self.value or b""
        return self.part or Part(len(value), hashlib.sha256(value).hexdigest())


class DeadLetters(Protocol):
    """A destination for events that can't be used."""

    def send(self, events: Iterable[Poison]) -> None:
        """Send events; return when all are acknowledged. Raises PartitionError if one isn't."""


class DeadLetterTopic:
    """The dead letter topic, written by an idempotent producer."""

    def __init__(self, topic: str, kafka: KafkaSettings) -> None:
        self.topic = topic
        self._kafka = kafka
        self._producer: KafkaProducer | None = None
        self._most = _NO_LIMIT

    def send(self, events: Iterable[Poison]) -> None:
        """See DeadLetters.send."""
        what, hint = "a dead letter was not taken", "nothing is lost: the batch is tried again"
        hint = f"{hint}; check the topic and the broker"
        with errors_as(PartitionError, what, where=f"topic {self.topic}", hint=hint):
            for together in _together(events):
                self._deliver(together)

    def close(self) -> None:
        """Close the producer, if there is one."""
        if self._producer is not None:
            self._producer.close(timeout=_SEND_SECONDS)
            self._producer = None

    def _deliver(self, events: list[Poison]) -> None:
        """Send letters of up to the size in the topic's settings; cut refused ones smaller.

        Raises MessageSizeTooLargeError if the topic refuses the smallest size.
        """
        left = self._refused(events)
        for size in _SIZES:
            if left and size < self._most:
                self._most = size
                left = self._refused(left)
        if left:
            raise MessageSizeTooLargeError(f"it takes no records of {self._most} bytes")

    def _refused(self, events: list[Poison]) -> list[Poison]:
        """Send letters; return the events whose letters were too large."""
        producer = self._connected()
        sent = [
            (
                event,
                producer.send(
                    self.topic,
                    key=letter.origin.encode(),
                    value=letter.value,
                    headers=headers_of(letter),
                ),
            )
            for event in events
            for letter in (letter_within(event, self._most),)
        ]
        producer.flush(timeout=_SEND_SECONDS)
        too_large = []
        for event, future in sent:
            try:
                future.get(timeout=_SEND_SECONDS)
            except (MessageSizeTooLargeError, RecordListTooLargeError):
                too_large.append(event)
        if too_large:
            self.close()  # a refused record leaves a gap in the idempotent producer's sequence
        return too_large

    def _connected(self) -> KafkaProducer:
        if self._producer is None:
            self._most = min(self._most, largest_batch_bytes(self._kafka, self.topic))
            self._producer = KafkaProducer(
                **client_options(self._kafka),
                acks="all",
                enable_idempotence=True,
                max_request_size=self._most + _FRAME_BYTES,
                batch_size=min(_BATCH_BYTES, self._most),
            )
        return self._producer


def letter_within(event: Poison, most: int) -> Poison:
    """The whole event if its letter fits `most` bytes, else a copy with as much as fits."""
    if _letter_bytes(event) <= most:
        return event
    short = replace(event, part=event.whole, value=b"")
    if len(event.key or b"") > _KEY_BYTES:
        short = replace(short, key=None)
    if _letter_bytes(short) > most:
        short = replace(short, key=None, reason=reason_text(event.reason, _SHORT_REASON))
    room = max(most - _letter_bytes(short), 0)
    return replace(short, value=(event.value or b"")[: min(room, FIRST_BYTES)])


def headers_of(event: Poison) -> list[tuple[str, bytes]]:
    """The headers of an event's letter: its origin, reason, and key; size and hash if it is cut."""
    headers = [*origin_of(event), ("reason", event.reason.encode())]
    if event.part is not None:
        headers.append((_SIZE, str(event.part.size).encode()))
        headers.append((_SHA256, event.part.sha256.encode()))
    return headers if event.key is None else [*headers, ("origin-key", event.key)]


def origin_of(event: Poison) -> list[tuple[str, bytes]]:
    """The headers for an event's origin: topic, partition, offset and append time."""
    headers = {
        "origin-topic": event.topic,
        "origin-partition": str(event.partition),
        "origin-offset": str(event.offset),
        "origin-appended-at": str(event.appended_at),
    }
    return [(name, value.encode()) for name, value in headers.items()]


def part_in(headers: dict[str, bytes]) -> Part | None:
    """Size and hash of the whole value from a letter's headers; None if the letter is whole."""
    return Part(int(headers[_SIZE]), headers[_SHA256].decode()) if _SIZE in headers else None


def _letter_bytes(event: Poison) -> int:
    """Upper bound of the bytes of a record batch that has only this event's letter."""
    headers = sum(len(name) + len(value) + _HEADER_BYTES for name, value in headers_of(event))
    return _FRAME_BYTES + len(event.origin) + len(event.value or b"") + headers


def _together(events: Iterable[Poison]) -> Iterator[list[Poison]]:
    together: list[Poison] = []
    size = 0
    for event in events:
        together.append(event)
        size += len(event.value or b"") + len(event.key or b"")
        if len(together) >= _TOGETHER or size >= _TOGETHER_BYTES:
            yield together
            together, size = [], 0
    if together:
        yield together
