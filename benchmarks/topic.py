"""Fill the topic that all systems read: a seeded mix of e-mail activities, in wire format."""

from __future__ import annotations

import datetime as dt
import io
import random
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import fastavro
from confluent_kafka import Producer
from kafka.admin import KafkaAdminClient, NewTopic

from benchmarks.job import DATABASE, EVENT_TYPES, PARTITIONS, SOURCES
from schemas.derive import avro_schema
from schemas.events import EventType, Source
from schemas.registry.registry import Registry, wire_header
from schemas.tables import Catalog, load_catalog
from schemas.topics import Topic

_TABLES: Final = Path(__file__).parent.parent / "deploy" / "demo" / "tables"
_SEED: Final = 20
_DISTINCT: Final = 100_000  # events made in full; beyond them only the eventId is new
_MIX: Final = {  # how an ordinary day of a shop looks, in percent
    EventType.SENT: 48,
    EventType.OPENED: 30,
    EventType.CLICKED: 12,
    EventType.NOT_SENT: 4,
    EventType.BOUNCED: 4,
    EventType.UNSUBSCRIBED: 2,
}
_SOURCES: Final = {
    Source.AUTOMATION: 60,
    Source.API: 20,
    Source.FORM: 10,
    Source.MANUAL_EDIT: 10,
}
_MORNING: Final = dt.datetime(2026, 3, 2, 6, tzinfo=dt.UTC)
_UUID_AT: Final = 6  # behind magic byte, schema id (4 bytes) and the length of the text
_UUID_CHARACTERS: Final = 36


def wanted_share() -> float:
    """What share of the topic's events the job keeps."""
    of_types = sum(percent for kind, percent in _MIX.items() if kind in EVENT_TYPES)
    of_sources = sum(percent for source, percent in _SOURCES.items() if source in SOURCES)
    return of_types * of_sources / 10_000


def catalog() -> Catalog:
    """The table definitions of the demonstration's shop."""
    return load_catalog(_TABLES)


def fill(topic: Topic, bootstrap_servers: str, registry_url: str, events: int) -> float:
    """Create the topic and publish events; return the mean bytes of a record (key and value)."""
    admin = KafkaAdminClient(bootstrap_servers=bootstrap_servers)
    configs = {"message.timestamp.type": "LogAppendTime", "retention.ms": "-1"}
    try:
        admin.create_topics([NewTopic(topic.name, PARTITIONS, 1, topic_configs=configs)])
    finally:
        admin.close()
    schema = avro_schema(topic, catalog())
    schema_id = Registry(registry_url).register(topic, schema)
    producer = Producer(
        {
            "bootstrap.servers": bootstrap_servers,
            "linger.ms": 50,
            "batch.size": 1_000_000,
            "queue.buffering.max.messages": 500_000,
        }
    )
    nbytes = 0
    for key, value, partition in _records(wire_header(schema_id), schema, events):
        nbytes += len(key) + len(value)
        while True:
            try:
                producer.produce(topic.name, value, key, partition)
                break
            except BufferError:
                producer.poll(0.1)
    if producer.flush(120):
        sys.exit("the broker didn't take all events within two minutes")
    return nbytes / events


def remove(topic: Topic, bootstrap_servers: str) -> None:
    """Remove the topic."""
    admin = KafkaAdminClient(bootstrap_servers=bootstrap_servers)
    try:
        admin.delete_topics([topic.name])
    finally:
        admin.close()


def _records(
    header: bytes, schema: dict[str, object], events: int
) -> Iterator[tuple[bytes, bytes, int]]:
    """Key, value and partition of each record."""
    randomness = random.Random(_SEED)
    distinct = []
    parsed = fastavro.parse_schema(schema)
    for event in _events(randomness, min(events, _DISTINCT)):
        datum = io.BytesIO()
        fastavro.schemaless_writer(datum, parsed, event)
        value = header + datum.getvalue()
        key = str(event["interactionId"]).encode()
        tail = value[_UUID_AT + _UUID_CHARACTERS :]
        distinct.append((key, tail, int(key) % PARTITIONS))
    head = header + bytes([2 * _UUID_CHARACTERS])
    for number in range(events):
        key, tail, partition = distinct[number % len(distinct)]
        event_id = str(uuid.UUID(int=randomness.getrandbits(128), version=4))
        yield key, head + event_id.encode() + tail, partition


def _events(randomness: random.Random, count: int) -> Iterator[dict[str, object]]:
    event_types = randomness.choices(list(_MIX), list(_MIX.values()), k=count)
    sources = randomness.choices(list(_SOURCES), list(_SOURCES.values()), k=count)
    for number, (event_type, source) in enumerate(zip(event_types, sources, strict=True)):
        profile = randomness.randrange(1, 300_000)
        yield {
            "eventId": uuid.UUID(int=0),
            "eventType": event_type.value,
            "database": DATABASE,
            "source": source.value,
            "occurredAt": _MORNING + dt.timedelta(milliseconds=250 * number),
            "interactionId": 40_000_000 + randomness.randrange(4 * count),
            "campaignId": randomness.randrange(1, 201),
            "profileId": profile,
            "emailAddress": f"customer.{profile}@example.com",
            "abVersion": randomness.choice([None, None, None, "A", "B"]),
            "subscription": randomness.choice(["newsletter", "offers", None]),
            **_payload(event_type, randomness),
        }


def _payload(event_type: EventType, randomness: random.Random) -> dict[str, str]:
    match event_type:
        case EventType.NOT_SENT:
            return {"statusCategory": "FILTERED", "status": "COMMERCIAL_PRESSURE"}
        case EventType.BOUNCED:
            return {"bounceStatusCategory": "HARD_BOUNCE", "bounceStatus": "UNKNOWN_USER"}
        case EventType.CLICKED:
            page = randomness.randrange(40)
            url = f"https://www.example.com/products/{page}?utm_source=newsletter"
            return {"clickedUrl": url, "clickedUrlName": f"product {page}"}
        case _:
            return {}
