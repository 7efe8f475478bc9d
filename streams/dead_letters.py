"""Dead letters: events that can't be used go whole to a topic of their own, with where and why.

A dead letter's key is its origin, so that one sent again after a crash is seen as the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from kafka import KafkaProducer
from kafka.errors import KafkaError

from schemas.errors import PartitionError
from schemas.kafka_access import client_options
from schemas.kafka_settings import KafkaSettings

_SEND_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Poison:
    """An event as it stood in Kafka, and why it can't be used."""

    topic: str
    partition: int
    offset: int
    appended_at: int  # UTC milliseconds
    key: bytes | None
    value: bytes | None
    reason: str

    @property
    def origin(self) -> str:
        """Where it stood, as text."""
        return f"{self.topic}/{self.partition}/{self.offset}"


class DeadLetters(Protocol):
    """Where poison events go."""

    def send(self, events: Iterable[Poison]) -> None:
        """Send events and return when all are acknowledged; raises PartitionError otherwise."""


class DeadLetterTopic:
    """The dead-letter topic, by an idempotent producer."""

    def __init__(self, topic: str, kafka: KafkaSettings) -> None:
        self.topic = topic
        self._kafka = kafka
        self._producer: KafkaProducer | None = None

    def send(self, events: Iterable[Poison]) -> None:
        """See DeadLetters.send."""
        try:
            if self._producer is None:
                self._producer = KafkaProducer(
                    **client_options(self._kafka), acks="all", enable_idempotence=True
                )
            producer = self._producer
            sent = [
                producer.send(
                    self.topic,
                    key=event.origin.encode(),
                    value=event.value,
                    headers=headers_of(event),
                )
                for event in events
            ]
            producer.flush(timeout=_SEND_SECONDS)
            for future in sent:
                future.get(timeout=_SEND_SECONDS)
        except KafkaError as error:
            raise PartitionError(
                what=f"a dead letter was not taken: {error}",
                where=f"topic {self.topic}",
                hint="nothing is lost: the batch is tried again; check the topic and the broker",
            ) from error

    def close(self) -> None:
        """Close the producer, if one was ever needed."""
        if self._producer is not None:
            self._producer.close(timeout=_SEND_SECONDS)


def headers_of(event: Poison) -> list[tuple[str, bytes]]:
    """Where an event stood, and why it can't be used, as a record's headers."""
    headers = {
        "origin-topic": event.topic,
        "origin-partition": str(event.partition),
        "origin-offset": str(event.offset),
        "origin-appended-at": str(event.appended_at),
        "reason": event.reason,
    }
    pairs = [(name, value.encode()) for name, value in headers.items()]
    return pairs if event.key is None else [*pairs, ("origin-key", event.key)]
