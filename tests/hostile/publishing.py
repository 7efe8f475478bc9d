"""Publishes cases to a real Kafka, with their schemas in a real registry."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final
from urllib.parse import quote

from confluent_kafka import Message as Delivered
from confluent_kafka import Producer

from tests.hostile.cases import USABLE, Case, Message
from tests.hostile.record_batches import batch_of, produce
from tests.hostile.site import own_schema

__all__ = ["HostilePublisher", "Origin", "Sent", "right_case"]

Origin = tuple[str, int, int]
"""Topic, partition and offset of a record."""

_BATCH_BYTES: Final = 900_000
"""Of values in one batch: with their headers they are less than a broker takes."""

_CONTENT: Final = "application/vnd.schemaregistry.v1+json"


@dataclass(frozen=True, slots=True)
class Sent:
    """A message of a case that lies in Kafka; reason: why it must be refused, if it must."""

    case: Case
    message: Message
    origin: Origin
    reason: str


def right_case(topic: str, number: int = 1) -> Case:
    """A right event of a topic; number: makes its ids."""
    told = {"what": "A right event", "rule": "SPEC §8", "topic": topic}
    return Case(f"right-{number}", number, topic, USABLE, {}, "", None, told)


class HostilePublisher:
    """Sends the messages of cases, each to a partition by chance."""

    def __init__(
        self,
        bootstrap_servers: str,
        registry_url: str,
        prefix: str,
        random: Random,
        partitions: int,
    ) -> None:
        self._servers = bootstrap_servers
        self._registry = registry_url
        self._prefix = prefix
        self._random = random
        self._partitions = partitions
        self._ids: dict[str, int] = {}

    def publish(self, case: Case, partition: int | None = None) -> list[Sent]:
        """Send all messages of a case, from a partition on, else from one by chance."""
        own, topic = own_schema(case.topic), f"{self._prefix}.{case.topic}"
        schema_id = self._register(case, own)
        messages = (
            (message, reason.replace("{schema}", str(schema_id)))
            for message, reason in case.messages(own, schema_id)
        )
        first = self._random.randrange(self._partitions) if partition is None else partition
        if case.batch.transaction:
            told = list(messages)
            origins = self._transaction(case, topic, first, [one for one, _ in told])
        elif case.is_plain:
            told = list(messages)
            origins = self._spread(topic, first, [message for message, _ in told])
        else:
            told, origins = self._batch(case, topic, first, messages)
        return [
            Sent(case, message, origin, reason)
            for (message, reason), origin in zip(told, origins, strict=True)
        ]

    def _spread(self, topic: str, first: int, messages: Sequence[Message]) -> list[Origin]:
        """Send the messages to one partition after the other."""
        origins: dict[int, Origin] = {}
        for step in range(min(self._partitions, len(messages))):
            partition = (first + step) % self._partitions
            indexes = range(step, len(messages), self._partitions)
            for piece in _pieces(indexes, messages):
                offset = self._produce(topic, partition, [messages[index] for index in piece])
                origins |= {index: (topic, partition, offset + n) for n, index in enumerate(piece)}
        return [origins[index] for index in range(len(messages))]

    def _produce(
        self, topic: str, partition: int, messages: Sequence[Message], codec: str = "none"
    ) -> int:
        batch = batch_of(messages, codec, int(time.time() * 1000))
        return produce(self._servers, topic, partition, batch)

    def _batch(
        self, case: Case, topic: str, partition: int, messages: Iterator[tuple[Message, str]]
    ) -> tuple[list[tuple[Message, str]], list[Origin]]:
        """Send all messages in one batch; of what was sent, large values aren't kept."""
        told: list[tuple[Message, str]] = []

        def passing() -> Iterator[Message]:
            for message, reason in messages:
                kept = message if len(message.value or b"") < _BATCH_BYTES else Message(None, None)
                told.append((kept, reason))
                yield message

        batch = batch_of(passing(), case.batch.codec, int(time.time() * 1000))
        offset = produce(self._servers, topic, partition, batch)
        return told, [(topic, partition, offset + n) for n in range(len(told))]

    def _transaction(
        self, case: Case, topic: str, partition: int, messages: Sequence[Message]
    ) -> list[Origin]:
        sender = Producer(
            {"bootstrap.servers": self._servers, "transactional.id": f"{self._prefix}-{case.name}"}
        )
        origins: list[Origin] = []

        def delivered(_: object, message: Delivered) -> None:
            origins.append((topic, partition, int(message.offset() or 0)))

        sender.init_transactions()
        sender.begin_transaction()
        for one in messages:
            sender.produce(topic, one.value, one.key, partition, on_delivery=delivered)
        sender.flush()
        if case.batch.transaction == "aborted":
            sender.abort_transaction()
        else:
            sender.commit_transaction()
        return origins

    def refuses(self, case: Case) -> bool:
        """Whether the registry refuses the case's schema."""
        try:
            self._register(case, own_schema(case.topic))
        except urllib.error.HTTPError as error:
            return error.code < 500
        return False

    def _register(self, case: Case, own: Any) -> int:
        """The id of a case's schema, under a subject of its own."""
        subject = f"{self._prefix}.{case.topic}-{case.name if case.has_schema else 'own'}"
        if subject not in self._ids:
            self._ids[subject] = self._registered(subject, case, own)
        return self._ids[subject]

    def _registered(self, subject: str, case: Case, own: Any) -> int:
        named = []
        for number, one in enumerate(case.references):
            of_reference = f"{subject}-reference-{number}"
            self._posted(of_reference, {"schema": json.dumps(one.schema)})
            named.append({"name": one.name, "subject": of_reference, "version": 1})
        told = {"schema": case.schema_text(own), "schemaType": case.schema_type}
        return self._posted(subject, told | ({"references": named} if named else {}))

    def _posted(self, subject: str, told: dict[str, Any]) -> int:
        request = urllib.request.Request(
            f"{self._registry}/subjects/{quote(subject, safe='')}/versions",
            json.dumps(told).encode(),
            {"Content-Type": _CONTENT},
        )
        with urllib.request.urlopen(request) as answer:
            return int(json.load(answer)["id"])


def _pieces(indexes: Sequence[int], messages: Sequence[Message]) -> Iterator[list[int]]:
    """Indexes of messages that fit into one batch."""
    piece: list[int] = []
    size = 0
    for index in indexes:
        message = messages[index]
        more = len(message.value or b"") + len(message.key or b"") + 100
        if piece and size + more > _BATCH_BYTES:
            yield piece
            piece, size = [], 0
        piece.append(index)
        size += more
    yield piece
