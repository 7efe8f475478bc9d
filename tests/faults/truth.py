"""What the topics really hold: read by a plain consumer and fastavro, with nothing of the product.

The kill tests hold the drops against this reading, judged by the naive model in `tests/model`.
"""

import io
import json
import struct
import urllib.request
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any
from uuid import UUID

import fastavro
from kafka import KafkaConsumer, TopicPartition

from tests.model.history import Cut, Recorded

MAGIC = 0


class Truth:
    """Reads topics whole, from the first offset to the last stable one."""

    def __init__(self, bootstrap_servers: str, registry_url: str, prefix: str) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._registry_url = registry_url
        self._prefix = prefix
        self._schema = lru_cache(self._fetch_schema)

    def records(self, topics: list[str]) -> list[Recorded]:
        consumer = KafkaConsumer(
            bootstrap_servers=self._bootstrap_servers,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_records=10_000,
        )
        try:
            return [record for topic in topics for record in self._topic(consumer, topic)]
        finally:
            consumer.close()

    def _topic(self, consumer: KafkaConsumer, topic: str) -> Iterator[Recorded]:
        partitions = [
            TopicPartition(topic, p) for p in sorted(consumer.partitions_for_topic(topic))
        ]
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        ends = consumer.end_offsets(partitions)
        while any(consumer.position(partition) < ends[partition] for partition in partitions):
            for records in consumer.poll(timeout_ms=1000).values():
                for record in records:
                    event = self._event(topic, record.value)
                    yield Recorded(topic, record.partition, record.offset, record.timestamp, event)

    def _event(self, topic: str, value: bytes | None) -> dict[str, Any] | None:
        """The event as SPEC §8 writes it; None where it can't be read (all poison is such)."""
        if value is None or len(value) < 5 or value[0] != MAGIC:
            return None
        (schema_id,) = struct.unpack(">I", value[1:5])
        schema = self._schema(schema_id)
        if schema is None:
            return None
        body = io.BytesIO(value[5:])
        try:
            datum = fastavro.schemaless_reader(body, schema)
        except Exception:
            return None
        if body.read(1):
            return None
        return event_of(topic.removeprefix(f"{self._prefix}."), datum)

    def _fetch_schema(self, schema_id: int) -> Any:
        try:
            with urllib.request.urlopen(f"{self._registry_url}/schemas/ids/{schema_id}") as answer:
                return fastavro.parse_schema(json.loads(json.load(answer)["schema"]))
        except urllib.error.HTTPError:
            return None


def cut_at(records: list[Recorded], instant: datetime) -> Cut:
    """The naive cut: of each partition the first offset appended at or after the instant."""
    at = int(instant.timestamp() * 1000)
    offsets: dict[tuple[str, int], int] = {}
    for record in sorted(records, key=lambda record: record.offset):
        key = (record.topic, record.partition)
        if record.appended_at < at:
            offsets[key] = record.offset + 1
    return Cut(at, offsets)


def event_of(topic: str, datum: Any) -> dict[str, Any]:
    """An event as SPEC §8 writes it. topic: its name without the prefix; datum: as fastavro reads
    it.
    """
    kind = topic.split(".")
    return {"kind": kind[0] if kind[0] == "campaign" else kind[1], **plain(datum)}


def plain(value: Any) -> Any:
    """A decoded value as JSON: moments and dates in ISO 8601, decimals and UUIDs as text."""
    match value:
        case dict():
            return {name: plain(inner) for name, inner in value.items()}
        case list():
            return [plain(inner) for inner in value]
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="milliseconds")
        case date():
            return value.isoformat()
        case UUID() | Decimal():
            return str(value)
        case _:
            return value
