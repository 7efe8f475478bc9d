"""Schemas in a real registry: registered, found by id, refused where they can't read older ones."""

import json
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient

from deploy.parts import SchemaRegistry
from schemas.decoding.decode import Decoder
from schemas.derive import AvroSchema, avro_schema
from schemas.errors import IncompatibleSchemaError, RegistryError, UnknownSchemaError
from schemas.events import Kind
from schemas.registry import registry as registry_module
from schemas.registry.registry import Registry, wire_header
from schemas.tables import AttributeDefinition, AttributeType, Catalog, DatabaseDefinition
from schemas.topics import Topic
from tests.shop.events import CATALOG, written

NO_SUCH_ID = 2_000_000_000
JSON_SCHEMA = {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"}


@pytest.fixture
def topic() -> Topic:
    """The shop's profiles under a prefix of the test's own."""
    return Topic(Kind.PROFILE, "shop", prefix=f"registry-{uuid.uuid4().hex}")


def catalog_with(*attributes: AttributeDefinition) -> Catalog:
    shop = CATALOG.databases["shop"]
    changed = shop.model_copy(update={"attributes": attributes, "business_key": None})
    assert isinstance(changed, DatabaseDefinition)
    return Catalog({"shop": changed}, CATALOG.tables)


def test_a_registered_schema_is_found_by_its_id(registry: SchemaRegistry, topic: Topic) -> None:
    schema = avro_schema(topic, CATALOG)
    schema_id = Registry(registry.url).register(topic, schema)
    found = Registry(registry.url).schema(schema_id)
    assert [field["name"] for field in found["fields"]] == [f["name"] for f in schema["fields"]]


def test_registering_again_gives_the_same_id(registry: SchemaRegistry, topic: Topic) -> None:
    schema = avro_schema(topic, CATALOG)
    first = Registry(registry.url).register(topic, schema)
    assert Registry(registry.url).register(topic, schema) == first


def test_the_subject_is_backward_compatible(registry: SchemaRegistry, topic: Topic) -> None:
    Registry(registry.url).register(topic, avro_schema(topic, CATALOG))
    with SchemaRegistryClient({"url": registry.url}) as client:
        assert client.get_compatibility(topic.subject) == "BACKWARD"


def test_events_from_before_and_after_a_new_attribute_are_read_together(
    registry: SchemaRegistry, topic: Topic
) -> None:
    known = Registry(registry.url)
    old_id = known.register(topic, avro_schema(topic, CATALOG))
    nickname = AttributeDefinition(name="nickname", type=AttributeType.STRING)
    grown = catalog_with(nickname, *CATALOG.databases["shop"].attributes)
    new_id = known.register(topic, avro_schema(topic, grown))
    assert new_id != old_id
    value = wire_header(old_id) + written(Kind.PROFILE, "CREATED", attributes={"city": "Liège"})[5:]
    decoded = Decoder(known, topic, grown).decode([value], [b"33"])
    attributes = decoded.batch.column("attributes").to_pylist()[0]
    assert (attributes["city"], attributes["nickname"]) == ("Liège", None)


def test_a_change_of_type_is_refused_with_the_reason(
    registry: SchemaRegistry, topic: Topic
) -> None:
    known = Registry(registry.url)
    known.register(topic, avro_schema(topic, CATALOG))
    city = AttributeDefinition(name="city", type=AttributeType.INTEGER)
    with pytest.raises(IncompatibleSchemaError) as refused:
        known.register(topic, avro_schema(topic, catalog_with(city)))
    assert topic.subject in str(refused.value)
    assert "the schema isn't compatible:" in str(refused.value)
    assert refused.value.exit_code == 2


def test_an_unknown_id_is_unknown_and_asked_for_again_later(
    registry: SchemaRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = Registry(registry.url)
    with pytest.raises(UnknownSchemaError):
        known.schema(NO_SUCH_ID)
    asked: list[int] = []

    def answered(schema_id: int) -> AvroSchema:
        asked.append(schema_id)
        return {"type": "record", "name": "R", "fields": []}

    monkeypatch.setattr(known, "_fetched", answered)
    with pytest.raises(UnknownSchemaError):
        known.schema(NO_SUCH_ID)
    assert not asked
    later = registry_module.time.monotonic() + 31
    monkeypatch.setattr(registry_module.time, "monotonic", lambda: later)
    assert known.schema(NO_SUCH_ID)["name"] == "R"
    assert asked == [NO_SUCH_ID]


def test_a_registry_that_cant_be_reached_decides_nothing(topic: Topic) -> None:
    nowhere = Registry("http://127.0.0.1:1")
    with pytest.raises(RegistryError, match="can't be reached") as failed:
        nowhere.schema(1)
    assert not isinstance(failed.value, UnknownSchemaError)
    with pytest.raises(RegistryError, match="can't be reached"):
        Decoder(nowhere, topic, CATALOG).decode([written(Kind.PROFILE, "CREATED")], [b"33"])


class _NotFound(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def other_server() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _NotFound)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_wrong_address_that_answers_not_found_isnt_an_unknown_schema(other_server: str) -> None:
    with pytest.raises(RegistryError) as failed:
        Registry(other_server).schema(1)
    assert not isinstance(failed.value, UnknownSchemaError)


def registered(registry: SchemaRegistry, subject: str, schema: str, **more: Any) -> int:
    """Register a schema with all that may be said of one; its id."""
    told = {"schema": schema, "schemaType": "AVRO", **more}
    answer = httpx.post(f"{registry.url}/subjects/{subject}/versions", json=told, timeout=30)
    answer.raise_for_status()
    return int(answer.json()["id"])


def test_a_schema_with_references_is_read_with_what_it_refers_to(
    registry: SchemaRegistry, topic: Topic
) -> None:
    whole = avro_schema(topic, CATALOG)
    apart = next(
        field["type"]
        for field in whole["fields"]
        if isinstance(field["type"], dict) and field["type"].get("type") == "enum"
    )
    name = f"{whole.get('namespace', '')}.{apart['name']}".lstrip(".")
    alone = {"namespace": whole.get("namespace", ""), **apart}
    fields = [
        {**field, "type": name} if field["type"] is apart else field for field in whole["fields"]
    ]
    subject = f"{topic.subject}-part"
    whole_text = json.dumps({**whole, "fields": fields})
    refers = [{"name": name, "subject": subject, "version": 1}]
    registered(registry, subject, json.dumps(alone))
    schema_id = registered(registry, f"{topic.subject}-whole", whole_text, references=refers)
    other = registered(
        registry, f"{topic.subject}-json", json.dumps(JSON_SCHEMA), schemaType="JSON"
    )
    value = written(Kind.PROFILE, "CREATED", attributes={"city": "Liège"})[5:]

    decoder = Decoder(Registry(registry.url), topic, CATALOG)
    values = [wire_header(schema_id) + value, wire_header(other) + value]
    decoded = decoder.decode(values, [b"33"] * 2)

    assert decoded.batch.column("attributes").to_pylist()[0]["city"] == "Liège"
    assert [one.reason for one in decoded.refused] == [f"schema {other} is JSON, not Avro"]


def test_many_unknown_ids_are_asked_for_together(registry: SchemaRegistry) -> None:
    known = Registry(registry.url)

    known.look_up(range(NO_SUCH_ID, NO_SUCH_ID + 50))

    with pytest.raises(UnknownSchemaError):
        known.schema(NO_SUCH_ID + 7)
