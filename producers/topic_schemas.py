"""The Avro schemas that events are written with, for publishers in other languages: each topic's,
with its subject in the registry and the field that its keys are made of.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from schemas.definitions.explaining import choices
from schemas.derive import AvroSchema, avro_schema, record_name
from schemas.errors import Fault, WrongInputError
from schemas.events import KINDS
from schemas.json_result import JsonResult
from schemas.registry.registry import Registry
from schemas.settings.settings import Settings
from schemas.tables import load_catalog
from schemas.topics import Topic, topics_of

__all__ = [
    "RegisteredSchema",
    "RegisteredSchemas",
    "SchemaList",
    "TopicSchema",
    "WrittenSchemas",
    "register_schemas",
    "topic_schemas",
    "write_schemas",
]


@dataclass(frozen=True, slots=True)
class TopicSchema(JsonResult):
    """The Avro schema of a topic's events."""

    topic: str
    """The topic."""
    subject: str
    """The subject in the schema registry (TopicNameStrategy)."""
    record: str
    """The full name of the record."""
    key_field: str
    """The field whose value, as decimal digits in UTF-8, is the key of an event in Kafka."""
    schema: AvroSchema
    """The Avro schema."""

    @property
    def text(self) -> str:
        """The schema as the text of an `.avsc` file."""
        return json.dumps(self.schema, indent=2, ensure_ascii=False) + "\n"

    def __str__(self) -> str:
        return f"{self.topic}  subject {self.subject}  record {self.record}  key {self.key_field}"


@dataclass(frozen=True, slots=True)
class SchemaList(JsonResult):
    """Schemas of topics, by the topics' names."""

    schemas: tuple[TopicSchema, ...]
    """The schemas."""

    def __str__(self) -> str:
        return "\n".join(str(schema) for schema in self.schemas)


@dataclass(frozen=True, slots=True)
class WrittenSchemas(JsonResult):
    """Schemas that were written as `.avsc` files."""

    files: tuple[str, ...]
    """The files; each has the name of its topic."""

    def __str__(self) -> str:
        return "\n".join(self.files)


@dataclass(frozen=True, slots=True)
class RegisteredSchema:
    """A schema that the registry has."""

    topic: str
    """The topic."""
    subject: str
    """The subject in the schema registry."""
    id: int
    """The id in the registry, which is in the first bytes of each value."""


@dataclass(frozen=True, slots=True)
class RegisteredSchemas(JsonResult):
    """Schemas that the registry has now, whether or not it had them before."""

    registered: tuple[RegisteredSchema, ...]
    """The schemas."""

    def __str__(self) -> str:
        return "\n".join(f"{done.subject}  id {done.id}" for done in self.registered)


def topic_schemas(settings: Settings, topics: Iterable[str] = ()) -> SchemaList:
    """Return the schemas of topics, of all without any.

    Raises DefinitionError if tables are wrong, WrongInputError if there is no such topic.
    """
    return SchemaList(tuple(schema for _, schema in _of_topics(settings, topics)))


def _of_topics(settings: Settings, topics: Iterable[str]) -> Iterator[tuple[Topic, TopicSchema]]:
    """Yield each topic with its schema; raises the errors of `topic_schemas` before the first."""
    catalog = load_catalog(settings.tables)
    known = {topic.name: topic for topic in topics_of(catalog, settings.kafka.topic_prefix)}
    wanted = tuple(topics) or tuple(known)
    wrong = [
        Fault("TOPIC", f"there is no topic '{name}'", choices(name, known))
        for name in wanted
        if name not in known
    ]
    if wrong:
        raise WrongInputError(wrong)
    for name in dict.fromkeys(wanted):
        topic = known[name]
        schema = avro_schema(topic, catalog)
        key = KINDS[topic.kind].key_field
        yield topic, TopicSchema(name, topic.subject, record_name(schema), key, schema)


def write_schemas(found: SchemaList, folder: Path) -> WrittenSchemas:
    """Write schemas to `<topic>.avsc` files of a folder, over those that are there.

    Raises OSError if a file can't be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for schema in found.schemas:
        file = folder / f"{schema.topic}.avsc"
        file.write_text(schema.text, encoding="utf-8")
        files.append(str(file))
    return WrittenSchemas(tuple(files))


def register_schemas(settings: Settings, topics: Iterable[str] = ()) -> RegisteredSchemas:
    """Register the schemas of topics, of all without any; their subjects become BACKWARD.

    Raises the errors of `topic_schemas`; IncompatibleSchemaError at the first schema that can't
    read what its topic holds, RegistryError if the registry can't be reached. Those before it are
    registered; running it again is safe.
    """
    found = list(_of_topics(settings, topics))
    registry = Registry(settings.registry)
    return RegisteredSchemas(
        tuple(
            RegisteredSchema(schema.topic, schema.subject, registry.register(topic, schema.schema))
            for topic, schema in found
        )
    )
