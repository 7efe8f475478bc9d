# ruff: noqa: E501 - messages are read whole
"""Publishing to a real Kafka: what arrives is what was published, and what didn't arrive is said."""

import json
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from deploy.parts import KafkaBroker, SchemaRegistry
from producers.encode import Encoded, EventEncoder, WrongEventError
from producers.event import Event
from producers.leaves import PYTHON_LEAVES
from producers.publisher import Publisher
from producers.sizes import SizeLimits, batch_bytes
from producers.topics import TopicKeeper, wanted_topics
from schemas.decoding.decode import Decoder
from schemas.errors import IncompatibleSchemaError, PublishError, TopicError
from schemas.events import KINDS, Kind
from schemas.registry.registry import Registry
from schemas.settings.settings import KafkaSettings
from schemas.tables import AttributeDefinition, AttributeType, Catalog
from schemas.topics import Topic, topics_of
from tests.shop.events import CATALOG, EVERY_EVENT_TYPE, NOON, TABLES, event


@dataclass
class Site:
    """Topics of a test's own on the session's Kafka."""

    kafka: KafkaSettings
    registry: str

    def publisher(self, **options: Any) -> Publisher:
        return Publisher(self.kafka, self.registry, CATALOG, **options)

    def topic(self, kind: Kind, table: str | None = None) -> Topic:
        database = None if kind is Kind.CAMPAIGN else "shop"
        return Topic(kind, database, table, self.kafka.topic_prefix)


def settings_of(kafka: KafkaBroker, **changes: Any) -> KafkaSettings:
    return KafkaSettings(
        bootstrap_servers=kafka.bootstrap_servers,
        topic_prefix=f"pub-{uuid.uuid4().hex[:12]}",
        replication_factor=1,
        partitions=3,
        **changes,
    )


@pytest.fixture
def site(kafka: KafkaBroker, registry: SchemaRegistry) -> Site:
    settings = settings_of(kafka)
    with TopicKeeper(settings) as keeper:
        keeper.create(wanted_topics(CATALOG, settings)).raise_if_wrong()
    return Site(settings, registry.url)


def records(bootstrap: str, topic: str) -> Iterator[Any]:
    """Every message of a topic, partition after partition, in order."""
    options = {"bootstrap.servers": bootstrap, "group.id": "-", "enable.partition.eof": True}
    consumer = Consumer(options)
    try:
        for partition in consumer.list_topics(topic).topics[topic].partitions:
            consumer.assign([TopicPartition(topic, partition, 0)])
            while (message := consumer.poll(30)) is not None and message.error() is None:
                yield message
    finally:
        consumer.close()


FULL: dict[tuple[Kind, str], dict[str, Any]] = {
    (Kind.PROFILE, "SNAPSHOT"): {
        "attributes": {
            "customerId": "C",
            "birthDate": date(1980, 2, 29),
            "balance": Decimal("12.30"),
            "hobbies": ["a", "b"],
            "lastOpening": NOON,
        },
        "subscriptions": ["offers"],
        "segments": {"vip": True, "lifecycle": "new"},
        "marketingConsent": True,
        "creationMoment": NOON,
        "updateMoment": NOON,
    },
    (Kind.PROFILE, "DELETED"): {"businessKey": "C", "dataCollectionMoment": NOON},
    (Kind.ROW, "DELETED"): {"businessKey": "P-1", "profileId": 5},
    (Kind.SEGMENT_TRANSITION, "CHANGED"): {"previousValue": "true", "newValue": "false"},
    (Kind.CAMPAIGN, "UPDATED"): {"state": "FINISHED", "finishedAt": NOON, "sentAt": NOON},
    (Kind.EMAIL_ACTIVITY, "OPENED"): {"emailAddress": "zoë@example.com", "abVersion": "B"},
}


def test_what_is_published_is_what_is_decoded_for_every_event_type(site: Site) -> None:
    events = [event(k, t, uuid.uuid4(), **FULL.get((k, t), {})) for k, t in EVERY_EVENT_TYPE]
    with site.publisher() as publisher:
        for one in events:
            assert publisher.publish(one) == one.event_id
        assert publisher.flush() == len(events)
    found: dict[Any, dict[str, Any]] = {}
    for kind in KINDS:
        topic = site.topic(kind, "purchases" if kind is Kind.ROW else None)
        messages = list(records(site.kafka.bootstrap_servers, topic.name))
        decoder = Decoder(Registry(site.registry), topic, CATALOG)
        decoded = decoder.decode([m.value() for m in messages], [m.key() for m in messages])
        assert not decoded.refused
        for message, row in zip(messages, decoded.batch.to_pylist(), strict=True):
            assert message.key() == str(row[KINDS[kind].key_field]).encode()
            found[row["eventId"]] = row
    assert found.keys() == {one.event_id for one in events}
    for one in events:
        row = found[one.event_id]
        assert (row["eventType"], row["source"], row["occurredAt"]) == (one.event_type, "API", NOON)
        for name, value in one.payload.items():
            assert without_nulls(row[name]) == value


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: item for name, item in value.items() if item is not None}
    return value


def test_events_of_one_entity_stay_in_order_in_one_partition(site: Site) -> None:
    events = [
        event(Kind.PROFILE, "UPDATED", profileId=n % 50, attributes={"points": n})
        for n in range(3000)
    ]
    with site.publisher() as publisher:
        assert publisher.publish_many(events) == 3000
        assert publisher.flush() == 3000
    topic = site.topic(Kind.PROFILE)
    messages = list(records(site.kafka.bootstrap_servers, topic.name))
    decoder = Decoder(Registry(site.registry), topic, CATALOG)
    batch = decoder.decode([m.value() for m in messages], [m.key() for m in messages]).batch
    points = [one["points"] for one in batch.column("attributes").to_pylist()]
    seen: dict[int, list[int]] = {}
    places: dict[int, set[int]] = {}
    for message, profile, number in zip(
        messages, batch.column("profileId").to_pylist(), points, strict=True
    ):
        seen.setdefault(profile, []).append(number)
        places.setdefault(profile, set()).add(message.partition())
    assert all(numbers == sorted(numbers) for numbers in seen.values())
    assert all(len(partitions) == 1 for partitions in places.values())
    assert len(set.union(*places.values())) == 3


def test_a_wrong_event_in_a_bulk_is_named_and_its_chunk_not_sent(site: Site) -> None:
    events = [event(Kind.EMAIL_ACTIVITY, "OPENED") for _ in range(10)]
    events[7] = event(Kind.EMAIL_ACTIVITY, "CLICKED", clickedUrl=...)
    with site.publisher() as publisher:
        with pytest.raises(WrongEventError, match="event 7: field 'clickedUrl': is missing"):
            publisher.publish_many(events)
        assert publisher.flush() == 0


def opened_of(size: int, name: str = "x") -> Event:
    """An opening that takes so many bytes in Kafka, in a batch of its own."""

    def told(length: int) -> Event:
        letters = name * length
        one = event(Kind.EMAIL_ACTIVITY, "OPENED", uuid.UUID(int=7), emailAddress=letters)
        encoded.append(EventEncoder(CATALOG, "deltadrop", PYTHON_LEAVES).encode(one))
        return one

    encoded: list[Encoded] = []
    guess = told(size - 300)
    for _ in range(3):  # the lengths are numbers of one to four bytes themselves
        found = batch_bytes(encoded[-1].key, b"12345" + encoded[-1].datum)
        guess = told(len(guess.payload["emailAddress"]) + size - found)
    return guess


def limited(site: Site, most: int) -> None:
    """Let the topic of e-mail activities take so many bytes."""
    entry = ConfigEntry("max.message.bytes", str(most), incremental_operation=AlterConfigOpType.SET)
    topic = site.topic(Kind.EMAIL_ACTIVITY).name
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": site.kafka.bootstrap_servers})
    for done in admin.incremental_alter_configs([resource]).values():
        done.result(30)
    deadline = time.monotonic() + 20
    while SizeLimits(site.kafka).most(topic) != most and time.monotonic() < deadline:
        time.sleep(0.1)  # the broker knows of its own change a little later


@pytest.mark.parametrize("most", [None, 5_000, 3_000_000])
def test_an_event_is_sent_up_to_the_byte_that_its_topic_takes(site: Site, most: int | None) -> None:
    if most is not None:
        limited(site, most)
    limit = most or 1_048_588
    with site.publisher() as publisher:
        publisher.publish(opened_of(limit))
        assert publisher.flush() == 1
        with pytest.raises(WrongEventError) as refused:
            publisher.publish(opened_of(limit + 1))
        assert publisher.flush() == 0
        topic = site.topic(Kind.EMAIL_ACTIVITY).name
        assert str(refused.value) == (
            f"the event takes {limit + 1} bytes in Kafka, topic {topic} up to {limit}"
            " (max.message.bytes); shorten it, or let the topic take more"
        )


def test_kafka_counts_as_we_do(site: Site) -> None:
    limited(site, 5_000)
    with site.publisher() as publisher:
        publisher._limits._most[site.topic(Kind.EMAIL_ACTIVITY).name] = 10_000
        publisher.publish(opened_of(5_001))
        with pytest.raises(PublishError, match="MessageSizeTooLarge"):
            publisher.flush()


def test_nothing_is_sent_of_a_batch_with_an_event_that_is_too_large(site: Site) -> None:
    few = [event(Kind.EMAIL_ACTIVITY, "OPENED") for _ in range(3)]
    with site.publisher() as publisher:
        with pytest.raises(WrongEventError, match=r"event 2: the event takes 1048589 bytes"):
            publisher.publish_many([*few[:2], opened_of(1_048_589), few[2]])
        assert publisher.flush() == 0


def test_what_is_larger_than_the_client_sends_is_refused_before(site: Site) -> None:
    limited(site, 50_000_000)
    with site.publisher() as publisher:
        with pytest.raises(WrongEventError, match=r"up to 16777216 are sent"):
            publisher.publish(opened_of(16_777_300))
        assert publisher.flush() == 0


def test_a_topic_that_isnt_there_is_said_in_time(
    kafka: KafkaBroker, registry: SchemaRegistry
) -> None:
    site = Site(settings_of(kafka), registry.url)
    started = time.monotonic()
    expected = r"does it exist \(`deltadrop topics check`\)"
    with site.publisher() as publisher, pytest.raises(PublishError, match=expected):
        publisher.publish(event(Kind.CAMPAIGN, "CREATED"))
    assert time.monotonic() - started < 30


def test_a_kafka_that_isnt_there_is_said_in_time(registry: SchemaRegistry) -> None:
    started = time.monotonic()
    with pytest.raises(PublishError, match=r"check kafka\.bootstrap_servers"):
        Publisher("127.0.0.1:1", registry.url, CATALOG)
    assert time.monotonic() - started < 30


def test_an_incompatible_schema_is_refused_before_anything_is_sent(site: Site) -> None:
    with site.publisher() as publisher:
        publisher.publish(event(Kind.PROFILE, "CREATED"))
    city = AttributeDefinition(name="city", type=AttributeType.INTEGER)
    shop = CATALOG.databases["shop"].model_copy(
        update={"attributes": (city,), "business_key": None}
    )
    changed = Catalog({"shop": shop}, CATALOG.tables)
    publisher = Publisher(site.kafka, site.registry, changed)
    with pytest.raises(IncompatibleSchemaError):
        publisher.publish(event(Kind.PROFILE, "CREATED"))
    assert publisher.flush() == 0
    publisher.close()


def test_nothing_is_reported_as_sent_while_the_broker_is_gone(
    own_kafka: KafkaBroker, registry: SchemaRegistry
) -> None:
    settings = settings_of(own_kafka)
    with TopicKeeper(settings) as keeper:
        keeper.create(wanted_topics(CATALOG, settings)).raise_if_wrong()
    site = Site(settings, registry.url)
    publisher = site.publisher(delivery_seconds=15)
    first = event(Kind.EMAIL_ACTIVITY, "OPENED", uuid.uuid4())
    lost = event(Kind.EMAIL_ACTIVITY, "OPENED", uuid.uuid4())
    publisher.publish(first)
    assert publisher.flush() == 1
    own_kafka.kill()
    started = time.monotonic()
    publisher.publish(lost)
    with pytest.raises(PublishError, match=r"0 events were sent, (1 were not|of 1 it isn't known)"):
        publisher.flush()
    assert time.monotonic() - started < 40
    own_kafka.start()
    with suppress(PublishError):  # what isn't known yet may be told once more
        publisher.close()
    with site.publisher() as again:
        again.publish(lost)
        assert again.flush() == 1
    topic = site.topic(Kind.EMAIL_ACTIVITY)
    messages = list(records(own_kafka.bootstrap_servers, topic.name))
    decoder = Decoder(Registry(site.registry), topic, CATALOG)
    decoded = decoder.decode([m.value() for m in messages], [m.key() for m in messages])
    assert set(decoded.batch.column("eventId").to_pylist()) == {first.event_id, lost.event_id}


def test_topics_are_created_once_and_then_checked(kafka: KafkaBroker) -> None:
    settings = settings_of(kafka)
    names = wanted_topics(CATALOG, settings)
    assert len(names) == len(topics_of(CATALOG)) + 1
    with TopicKeeper(settings) as keeper:
        missing = keeper.check(names)
        assert [one.what for one in missing.wrong] == ["doesn't exist"] * len(names)
        with pytest.raises(TopicError, match="run `deltadrop topics create`"):
            missing.raise_if_wrong()
        assert keeper.create(names).created == names
        again = keeper.create(names)
    assert (again.created, again.present, again.wrong) == ((), names, ())
    assert len(again.warnings()) == 2
    assert "3 survive the loss of a broker" in again.warnings()[0]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (
            {"message.timestamp.type": "CreateTime"},
            "message.timestamp.type is CreateTime; it should be LogAppendTime",
        ),
        (
            {"unclean.leader.election.enable": "true"},
            "unclean.leader.election.enable is true; it should be false",
        ),
        (
            {"cleanup.policy": "compact"},
            "cleanup.policy is compact; it should be delete: compaction removes facts",
        ),
        (
            {"retention.ms": "1000"},
            "retention.ms is 1000; it should be 1209600000 (kafka.retention_ms) or more",
        ),
    ],
)
def test_a_topic_that_isnt_safe_is_refused_with_what_would_be_right(
    kafka: KafkaBroker, config: dict[str, str], expected: str
) -> None:
    settings = settings_of(kafka)
    (name, *_) = names = wanted_topics(CATALOG, settings)
    with TopicKeeper(settings) as keeper:
        keeper.create(names)
        entries = [
            ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
            for key, value in config.items()
        ]
        resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries)
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
        for done in admin.incremental_alter_configs([resource]).values():
            done.result(30)
        deadline = time.monotonic() + 20
        while not (wrong := keeper.check(names).wrong) and time.monotonic() < deadline:
            time.sleep(0.1)  # the broker knows of its own change a little later
    assert [str(one) for one in wrong] == [f"topic {name}: {expected}"]


def test_more_replicas_than_brokers_are_refused_in_one_line(kafka: KafkaBroker) -> None:
    settings = settings_of(kafka).model_copy(update={"replication_factor": 99})
    with TopicKeeper(settings) as keeper, pytest.raises(TopicError) as refused:
        keeper.create(wanted_topics(CATALOG, settings))
    assert "than a topic should have replicas (99)" in str(refused.value)
    assert "set kafka.replication_factor to" in str(refused.value)
    assert len(str(refused.value)) < 200


def test_fewer_partitions_than_asked_for_are_refused(kafka: KafkaBroker) -> None:
    settings = settings_of(kafka)
    names = wanted_topics(CATALOG, settings)[:1]
    with TopicKeeper(settings) as keeper:
        keeper.create(names)
    with TopicKeeper(settings.model_copy(update={"partitions": 4})) as keeper:
        (finding,) = keeper.check(names).wrong
    assert str(finding).endswith("has 3 partitions; it should have 4 (kafka.partitions) or more")


def run(folder: Path, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "deltadrop", *arguments, "--config", "deltadrop.yaml"]
    return subprocess.run(
        command, cwd=folder, input=text, capture_output=True, text=True, check=False
    )


def test_the_commands_create_topics_and_publish_a_file_whole_or_not_at_all(
    kafka: KafkaBroker, registry: SchemaRegistry, tmp_path: Path
) -> None:
    site = Site(settings_of(kafka), registry.url)
    config = {
        "tables": str(TABLES),
        "kafka": {
            "bootstrap_servers": kafka.bootstrap_servers,
            "topic_prefix": site.kafka.topic_prefix,
            "replication_factor": 1,
            "partitions": 1,
        },
        "registry": {"url": registry.url},
    }
    (tmp_path / "deltadrop.yaml").write_text(yaml.safe_dump(config))
    opened = {
        "kind": "email-activity",
        "eventType": "OPENED",
        "database": "shop",
        "source": "API",
        "occurredAt": datetime(2026, 3, 28, tzinfo=UTC).isoformat(),
        "interactionId": 1,
        "campaignId": 2,
        "profileId": 3,
    }
    right = json.dumps(opened)
    wrong = json.dumps({**opened, "eventType": "CLICKED"})

    checked = run(tmp_path, "topics", "check")
    assert (checked.returncode, checked.stdout) == (1, "")
    assert "doesn't exist; run `deltadrop topics create`" in checked.stderr
    assert run(tmp_path, "topics", "create").returncode == 0
    assert json.loads(run(tmp_path, "topics", "check", "--json").stdout)["right"] is True

    (tmp_path / "day.jsonl").write_text(f"{right}\n{wrong}\n{right}\n")
    refused = run(tmp_path, "publish", "day.jsonl")
    assert refused.returncode == 2
    assert refused.stderr.endswith("day.jsonl:2: field 'clickedUrl': is missing in CLICKED\n")
    told = run(tmp_path, "publish", "day.jsonl", "--json")
    assert (told.returncode, json.loads(told.stdout)["refused"]) == (2, 1)
    assert not list(records(kafka.bootstrap_servers, site.topic(Kind.EMAIL_ACTIVITY).name))

    partly = run(tmp_path, "publish", "day.jsonl", "--keep-going")
    assert (partly.returncode, partly.stdout) == (2, "2 events sent\n")
    whole = run(tmp_path, "publish", "-", text=f"{right}\n" * 3)
    assert (whole.returncode, whole.stdout) == (0, "3 events sent\n")
    assert len(list(records(kafka.bootstrap_servers, site.topic(Kind.EMAIL_ACTIVITY).name))) == 5


def test_the_ten_lines_of_the_docs_run(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {
        "tables": str(TABLES),
        "kafka": {
            "bootstrap_servers": site.kafka.bootstrap_servers,
            "topic_prefix": site.kafka.topic_prefix,
        },
        "registry": {"url": site.registry},
    }
    file = tmp_path / "deltadrop.yaml"
    file.write_text(yaml.safe_dump(config))
    monkeypatch.setenv("DELTADROP_CONFIG", str(file))
    page = (Path(__file__).parents[2] / "docs" / "publishing.md").read_text(encoding="utf-8")
    exec(page.split("```python")[1].split("```")[0], {})
    topic = site.topic(Kind.EMAIL_ACTIVITY)
    assert len(list(records(site.kafka.bootstrap_servers, topic.name))) == 1
