"""The example of docs/other-languages.md publishes what deltadrop reads."""

import os
import re
import subprocess
import sys
import uuid
from pathlib import Path

from confluent_kafka import Consumer, Message, TopicPartition

from deploy.parts import KafkaBroker, SchemaRegistry
from producers.event import Event
from producers.publisher import Publisher
from producers.topic_schemas import register_schemas, topic_schemas, write_schemas
from producers.topics import TopicKeeper, wanted_topics
from schemas.decoding.decode import Decoder
from schemas.events import Kind
from schemas.registry.registry import Registry
from schemas.settings.kafka import KafkaSettings
from schemas.settings.settings import RegistrySettings, Settings
from schemas.tables import load_catalog
from schemas.topics import Topic
from tests.shop.events import NOON

PAGE = (Path(__file__).parents[2] / "docs" / "other-languages.md").read_text(encoding="utf-8")
LIBRARY = """
database: library
attributes:
  - {name: cardNumber, type: string}
  - {name: name, type: string, personal: true}
business_key: cardNumber
"""


def messages(servers: str, topic: str) -> list[Message]:
    consumer = Consumer(
        {"bootstrap.servers": servers, "group.id": "-", "enable.partition.eof": True}
    )
    found: list[Message] = []
    try:
        for partition in consumer.list_topics(topic).topics[topic].partitions:
            consumer.assign([TopicPartition(topic, partition, 0)])
            while (message := consumer.poll(30)) is not None and message.error() is None:
                found.append(message)
    finally:
        consumer.close()
    return found


def test_the_example_in_python_publishes_what_our_own_publisher_would(
    kafka: KafkaBroker, registry: SchemaRegistry, tmp_path: Path
) -> None:
    prefix = f"other-{uuid.uuid4().hex[:12]}"
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "library.yaml").write_text(LIBRARY)
    settings = Settings(
        tables=tmp_path / "tables",
        kafka=KafkaSettings(
            bootstrap_servers=kafka.bootstrap_servers,
            topic_prefix=prefix,
            replication_factor=1,
            partitions=6,
        ),
        registry=RegistrySettings(url=registry.url),
    )
    catalog = load_catalog(settings.tables)
    with TopicKeeper(settings.kafka) as keeper:
        keeper.create(wanted_topics(catalog, settings.kafka)).raise_if_wrong()
    registered = register_schemas(settings)
    write_schemas(topic_schemas(settings), tmp_path / "schemas")
    example = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert example is not None
    program = example[1].replace('"deltadrop.library', f'"{prefix}.library')

    subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={
            **os.environ,
            "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "SCHEMA_REGISTRY_URL": registry.url,
        },
        check=True,
    )
    with Publisher(settings, registry.url, catalog) as publisher:
        attributes = {"cardNumber": "C-42", "name": "Cleo"}
        publisher.publish(
            Event(
                Kind.PROFILE,
                "CREATED",
                database="library",
                source="API",
                occurred_at=NOON,
                payload={"profileId": 42, "attributes": attributes},
            )
        )

    topic = Topic(Kind.PROFILE, "library", prefix=prefix)
    theirs, ours = messages(kafka.bootstrap_servers, topic.name)
    assert theirs.key() == ours.key() == b"42"
    assert theirs.partition() == ours.partition()
    ids = {done.topic: done.id for done in registered.registered}
    assert theirs.value()[:5] == ours.value()[:5] == b"\0" + ids[topic.name].to_bytes(4, "big")
    decoded = Decoder(Registry(registry.url), topic, catalog).decode(
        [theirs.value(), ours.value()], [theirs.key(), ours.key()]
    )
    assert not decoded.refused
    first, second = decoded.batch.drop_columns(["eventId", "occurredAt"]).to_pylist()
    assert first == second
