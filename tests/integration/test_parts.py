"""The real parts do what the rest of the tests build on."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic

from deploy.parts import KafkaBroker, SchemaRegistry, registry_on_java


def create_topic(broker: KafkaBroker, name: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
    try:
        admin.create_topics([NewTopic(name, num_partitions=1, replication_factor=1)])
    finally:
        admin.close()


def produce(broker: KafkaBroker, topic: str, *values: bytes) -> None:
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap_servers, acks="all")
    try:
        for value in values:
            producer.send(topic, value).get(timeout=30)
    finally:
        producer.close()


def consume(broker: KafkaBroker, topic: str, count: int) -> list[bytes]:
    consumer = KafkaConsumer(
        bootstrap_servers=broker.bootstrap_servers,
        auto_offset_reset="earliest",
        consumer_timeout_ms=30_000,
    )
    try:
        consumer.assign([TopicPartition(topic, 0)])
        return [record.value for _, record in zip(range(count), consumer, strict=False)]
    finally:
        consumer.close()


def test_what_is_produced_is_consumed(kafka: KafkaBroker) -> None:
    create_topic(kafka, "parts-round-trip")

    produce(kafka, "parts-round-trip", b"one", b"two")

    assert consume(kafka, "parts-round-trip", 2) == [b"one", b"two"]


@pytest.mark.parametrize("end", [KafkaBroker.stop, KafkaBroker.kill])
def test_a_broker_comes_back_on_its_port_with_its_data(own_kafka: KafkaBroker, end) -> None:
    create_topic(own_kafka, "parts-kept")
    produce(own_kafka, "parts-kept", b"before")

    end(own_kafka)
    assert own_kafka.pid is None
    own_kafka.start()
    produce(own_kafka, "parts-kept", b"after")

    assert consume(own_kafka, "parts-kept", 2) == [b"before", b"after"]


ID = {"name": "id", "type": "long"}
OPTIONAL = {"name": "note", "type": ["null", "string"], "default": None}
REQUIRED = {"name": "note", "type": "string"}


def record(*fields: dict[str, object]) -> Schema:
    return Schema(json.dumps({"type": "record", "name": "Part", "fields": fields}), "AVRO")


@pytest.mark.parametrize("end", [SchemaRegistry.stop, SchemaRegistry.kill])
def test_a_registry_comes_back_on_its_port_with_its_schemas(tmp_path: Path, end) -> None:
    with registry_on_java(tmp_path) as own:
        with SchemaRegistryClient({"url": own.url}) as client:
            kept = client.register_schema("parts-kept", record(ID))

        end(own)
        assert own.pid is None
        own.start()

        with SchemaRegistryClient({"url": own.url}) as client:
            assert json.loads(client.get_schema(kept).schema_str)["fields"] == [ID]
            assert client.get_compatibility() == "BACKWARD"


@pytest.fixture
def client(registry: SchemaRegistry) -> Iterator[SchemaRegistryClient]:
    with SchemaRegistryClient({"url": registry.url}) as client:
        yield client


@pytest.fixture
def subject() -> str:
    return f"parts-{uuid.uuid4()}-value"


def test_a_schema_is_found_again_by_its_id(client: SchemaRegistryClient, subject: str) -> None:
    first = client.register_schema(subject, record(ID))
    second = client.register_schema(subject, record(ID, OPTIONAL))

    client.clear_caches()
    assert json.loads(client.get_schema(first).schema_str)["fields"] == [ID]
    assert json.loads(client.get_schema(second).schema_str)["fields"] == [ID, OPTIONAL]
    assert client.get_latest_version(subject).schema_id == second
    assert client.get_versions(subject) == [1, 2]
    assert 0 < first < second < 2**31


def test_one_schema_has_one_id_under_all_its_subjects(
    client: SchemaRegistryClient, subject: str
) -> None:
    assert client.register_schema(subject, record(ID)) == client.register_schema(
        f"other-{subject}", record(ID)
    )


def test_an_incompatible_schema_is_refused_by_default(
    client: SchemaRegistryClient, subject: str
) -> None:
    client.register_schema(subject, record(ID))

    with pytest.raises(SchemaRegistryError) as refusal:
        client.register_schema(subject, record(ID, REQUIRED))

    assert refusal.value.http_status_code == 409
    assert client.get_versions(subject) == [1]


def test_a_subject_may_have_a_rule_of_its_own(client: SchemaRegistryClient, subject: str) -> None:
    client.register_schema(subject, record(ID))

    client.set_compatibility(subject, "NONE")
    client.register_schema(subject, record(ID, REQUIRED))

    assert client.get_versions(subject) == [1, 2]
