"""Events as keys and Avro datums; events that break their schema or contract are refused.

First each field is checked, with messages for people. Then the datums are decoded again and checked
against the contract by the same code that the workers use (`schemas/decoding/decode.py`), so that
no event is sent that would become a dead letter.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn, cast
from uuid import uuid4

import fastavro

from producers.event import Event
from producers.leaves import PYTHON_LEAVES, Leaves, decimal_leaf
from schemas.avro_types import (
    ArrayType,
    AvroType,
    EnumType,
    Primitive,
    RecordType,
    parse_type,
    split_nullable,
)
from schemas.decoding.contract import closed_lists
from schemas.decoding.decode import Decoder
from schemas.definitions.definitions import choices
from schemas.derive import AvroSchema, avro_schema
from schemas.errors import DeltadropError
from schemas.events import HEADER_FIELDS, KINDS, EventType, Kind
from schemas.registry.registry import wire_header
from schemas.tables import Catalog
from schemas.topics import Topic, topics_of

__all__ = ["Encoded", "EventEncoder", "WrongEventError"]


class WrongEventError(DeltadropError):
    """An event breaks its schema or its contract; it was not sent."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Encoded:
    """An event ready for sending; the datum has no wire header yet."""

    topic: Topic
    key: bytes
    datum: bytes
    event_id: str


class EventEncoder:
    """Encodes events of all topics of a catalog."""

    def __init__(self, catalog: Catalog, prefix: str, leaves: Leaves) -> None:
        """Set up the encoder. leaves: functions for the values of payloads (`PYTHON_LEAVES`,
        `JSON_LEAVES`).
        """
        self._catalog = catalog
        self._prefix = prefix
        self._leaves = leaves
        self._known = frozenset(topics_of(catalog, prefix))
        self._topics: dict[Topic, _TopicEncoder] = {}
        self._targets: dict[tuple[str, str, object], Topic] = {}

    def encode(self, event: Event) -> Encoded:
        """Encode one event; raises WrongEventError for a wrong field. Doesn't check the
        contract.
        """
        table = event.payload.get("table") if event.kind == Kind.ROW else None
        target = (event.kind, event.database, table)
        try:
            topic = self._targets[target]
        except (KeyError, TypeError):
            topic = self._topic(event, table)
            self._targets[target] = topic
        return self._of(topic).encode(event)

    def check(self, events: Sequence[Encoded]) -> dict[int, str]:
        """Return the events that break their contract, by index, with the reason."""
        if len(events) == 1 or all(event.topic is events[0].topic for event in events):
            return self._of(events[0].topic).check(events) if events else {}
        places: dict[Topic, list[int]] = {}
        for index, event in enumerate(events):
            places.setdefault(event.topic, []).append(index)
        wrong: dict[int, str] = {}
        for topic, indexes in places.items():
            found = self._of(topic).check([events[index] for index in indexes])
            wrong.update((indexes[place], reason) for place, reason in found.items())
        return wrong

    def _of(self, topic: Topic) -> _TopicEncoder:
        if topic not in self._topics:
            self._topics[topic] = _TopicEncoder(topic, self._catalog, self._leaves)
        return self._topics[topic]

    def hint(self, event: Encoded, reason: str) -> str:
        """Return the valid values for an event that `check` refused, if there is a closed list."""
        return closed_lists(event.topic, self._catalog).get(reason, "")

    def _topic(self, event: Event, table: object) -> Topic:
        databases = self._catalog.databases
        if event.kind not in tuple(Kind):
            _refuse("kind", f"'{event.kind}' isn't one of them", choices(str(event.kind), Kind))
        if event.database not in databases:
            what = f"'{event.database}' isn't defined"
            _refuse("database", what, choices(str(event.database), databases))
        kind = Kind(event.kind)
        if kind is Kind.CAMPAIGN:
            return Topic(kind, prefix=self._prefix)
        if kind is not Kind.ROW:
            topic = Topic(kind, event.database, prefix=self._prefix)
            if topic not in self._known:
                _refuse("kind", f"database '{event.database}' has no {kind}")
            return topic
        tables = [name for database, name in self._catalog.tables if database == event.database]
        if table is None:
            _refuse("table", "is missing", choices("", tables))
        if table not in tables:
            what = f"'{table}' isn't a table of database '{event.database}'"
            _refuse("table", what, choices(str(table), tables))
        return Topic(kind, event.database, str(table), self._prefix)


_Field = Callable[[object], object]


class _TopicEncoder:
    def __init__(self, topic: Topic, catalog: Catalog, leaves: Leaves) -> None:
        schema = avro_schema(topic, catalog)
        self._topic = topic
        self._spec = KINDS[topic.kind]
        self._schema = fastavro.parse_schema(schema)
        self._decoder = Decoder(_Own(schema), topic, catalog)
        record = parse_type(schema, most_values=None)
        assert isinstance(record, RecordType)
        types = {field.name: field.type for field in record.fields}
        self._header = {name: _field(types[name], name, PYTHON_LEAVES) for name in HEADER_FIELDS}
        self._payload = {
            event_type: {
                name: _field(types[name], name, leaves) for name in payload.fields if name in types
            }
            for event_type, payload in self._spec.payloads.items()
        }
        self._required = {
            name: None
            for name, avro_type in types.items()
            if name not in HEADER_FIELDS and split_nullable(avro_type) is None
        }

    def encode(self, event: Event) -> Encoded:
        fields = self._fields(event)
        event_id = str(event.event_id or uuid4())
        record: dict[str, object] = {**self._required, "eventId": event_id}
        header = self._header
        record["eventType"] = str(event.event_type)
        record["database"] = event.database
        record["source"] = header["source"](event.source)
        record["occurredAt"] = header["occurredAt"](event.occurred_at)
        for name, value in event.payload.items():
            if name not in fields:
                self._refuse_unknown(name, event, fields)
            record[name] = fields[name](value)
        for name in self._required:
            if record[name] is None:
                _refuse(name, "is missing")
        out = io.BytesIO()
        fastavro.schemaless_writer(out, self._schema, record)
        key = str(record[self._spec.key_field]).encode()
        return Encoded(self._topic, key, out.getvalue(), event_id)

    def _fields(self, event: Event) -> dict[str, _Field]:
        fields = self._payload.get(cast(EventType, event.event_type))
        if fields is None:
            what = f"'{event.event_type}' isn't an event type of {self._spec.kind}"
            _refuse("eventType", what, choices(str(event.event_type), self._spec.event_types))
        return fields

    def check(self, events: Sequence[Encoded]) -> dict[int, str]:
        values = [_OWN_HEADER + event.datum for event in events]
        refused = self._decoder.decode(values, [event.key for event in events]).refused
        return {datum.index: datum.reason for datum in refused}

    def _refuse_unknown(self, name: str, event: Event, fields: Iterable[str]) -> None:
        elsewhere = any(name in payload.fields for payload in self._spec.payloads.values())
        if elsewhere and name in self._spec.payloads[EventType(event.event_type)].fields:
            _refuse(name, f"the definition of '{self._topic.local}' has none")
        _refuse(
            name, f"{self._spec.kind} {event.event_type} has no such field", choices(name, fields)
        )


_OWN_HEADER = wire_header(1)


@dataclass(frozen=True, slots=True)
class _Own:
    """A registry with one schema, that of the topic."""

    own: AvroSchema

    def schema(self, schema_id: int) -> AvroSchema:
        return self.own


def _refuse(name: str, what: str, hint: str = "") -> NoReturn:
    raise WrongEventError(f"field '{name}': {what}", hint=hint)


def _field(avro_type: AvroType, name: str, leaves: Leaves) -> _Field:
    """Return the function that checks a field's value and converts it for Avro; null is left to the
    contract.
    """
    nullable = split_nullable(avro_type)
    convert = _converter(nullable[0] if nullable else avro_type, name, leaves)

    def checked(value: object) -> object:
        if value is None:
            return None
        try:
            return convert(value)
        except (ValueError, OverflowError) as error:
            raise WrongEventError(f"field '{name}': {error}") from error

    return checked


def _converter(avro_type: AvroType, name: str, leaves: Leaves) -> _Field:
    match avro_type:
        case RecordType(_, fields):
            inside = {
                field.name: _field(field.type, f"{name}.{field.name}", leaves) for field in fields
            }
            return lambda value: _record(value, name, inside)
        case ArrayType(items):
            item = _converter(items, name, leaves)
            return lambda value: _list(value, name, item)
        case EnumType(_, symbols):
            known = {symbol: symbol for symbol in symbols}
            return lambda value: _symbol(value, name, known)
        case Primitive(_, "decimal", precision, scale):
            return decimal_leaf(precision, scale)
        case Primitive(kind, logical):
            return leaves[logical or kind]
    raise TypeError(f"no schema of ours has {avro_type}")


def _record(value: object, name: str, inside: Mapping[str, _Field]) -> dict[str, object]:
    if not isinstance(value, Mapping):
        _refuse(name, "isn't a mapping of names to values")
    record: dict[str, object] = {}
    for key, item in value.items():
        if key not in inside:
            _refuse(f"{name}.{key}", "isn't defined", choices(str(key), inside))
        record[key] = inside[key](item)
    return record


def _list(value: object, name: str, item: _Field) -> list[object]:
    if not isinstance(value, list | tuple):
        _refuse(name, "isn't a list")
    return [item(member) for member in value]


def _symbol(value: object, name: str, known: Mapping[str, str]) -> str:
    if not isinstance(value, str) or value not in known:
        _refuse(name, f"'{value}' isn't one of them", choices(str(value), known))
    return known[value]
