"""The Avro schema of every topic, and the Arrow schema of its decoded batches.

Profile and row schemas are derived from the table definitions; those of the other kinds are the
fixed files in `schemas/avro/`. The Arrow schema always follows from the Avro schema, so that no
field list is written twice.

Record names (`deltadrop.EmailActivity`, `deltadrop.shop.Profile`, `deltadrop.shop.row.purchases`)
identify what a datum is: a schema with another record name in a topic is foreign there.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any, TypeAlias, assert_never, cast

import pyarrow as pa

from schemas.events import KINDS, Kind, Source
from schemas.tables import (
    AttributeDefinition,
    AttributeType,
    Catalog,
    SegmentationKind,
    TableDefinition,
    TableKind,
)
from schemas.topics import Topic

__all__ = ["AvroSchema", "arrow_schema", "arrow_type", "avro_schema", "record_name"]

AvroSchema: TypeAlias = dict[str, Any]
"""An Avro record schema as parsed JSON."""

_MOMENT: AvroSchema = {"type": "long", "logicalType": "timestamp-millis"}
_STRINGS: AvroSchema = {"type": "array", "items": "string"}
_SMALL_ENUM = 127
"""An enum of up to so many symbols has one byte for an index in Arrow."""


def avro_schema(topic: Topic, catalog: Catalog) -> AvroSchema:
    """The schema that publishers write to `topic`; KeyError if the catalog has no such database or
    table.
    """
    match topic.kind:
        case Kind.PROFILE:
            return _profile_schema(topic, catalog)
        case Kind.ROW:
            return _row_schema(topic, catalog)
        case _:
            return _fixed_schema(topic.kind)


def arrow_schema(topic: Topic, catalog: Catalog) -> pa.Schema:
    """The columns of a decoded batch of `topic`: its Avro schema's fields, in order."""
    return pa.schema(
        [pa.field(f["name"], arrow_type(f["type"])) for f in avro_schema(topic, catalog)["fields"]]
    )


def record_name(schema: AvroSchema) -> str:
    """The full name of a record schema."""
    name = str(schema.get("name", ""))
    namespace = schema.get("namespace")
    return name if "." in name or not namespace else f"{namespace}.{name}"


@cache
def _fixed_schema(kind: Kind) -> AvroSchema:
    text = resources.files("schemas").joinpath("avro", f"{kind}.avsc").read_text(encoding="utf-8")
    return cast(AvroSchema, json.loads(text))


def _header(kind: Kind, record: str) -> list[AvroSchema]:
    event_type = {
        "type": "enum",
        "name": f"{record}Type",
        "symbols": [str(t) for t in KINDS[kind].event_types],
    }
    source = {
        "type": "enum",
        "name": "Source",
        "namespace": "deltadrop",
        "symbols": [str(s) for s in Source],
    }
    return [
        {"name": "eventId", "type": {"type": "string", "logicalType": "uuid"}},
        {"name": "eventType", "type": event_type},
        {"name": "database", "type": "string"},
        {"name": "source", "type": source},
        {"name": "occurredAt", "type": _MOMENT},
    ]


def _optional(name: str, avro_type: object) -> AvroSchema:
    return {"name": name, "type": ["null", avro_type], "default": None}


def _profile_schema(topic: Topic, catalog: Catalog) -> AvroSchema:
    database = catalog.databases[cast(str, topic.database)]
    fields = [
        *_header(Kind.PROFILE, "Profile"),
        {"name": "profileId", "type": "long"},
        _optional("attributes", _attributes_record("ProfileAttributes", database.attributes)),
        _optional("subscriptions", _STRINGS),
    ]
    if database.segmentations:
        of_kind = {
            SegmentationKind.SIMPLE: "boolean",
            SegmentationKind.EXCLUSIVE: "string",
        }
        segments = [_optional(one.name, of_kind[one.kind]) for one in database.segmentations]
        fields.append(
            _optional("segments", {"type": "record", "name": "Segments", "fields": segments})
        )
    if database.marketing_consent:
        fields.append(_optional("marketingConsent", "boolean"))
    fields += [_optional("creationMoment", _MOMENT), _optional("updateMoment", _MOMENT)]
    if database.business_key is not None:
        fields.append(
            _optional(
                "businessKey",
                _attribute_type(database.attribute(database.business_key)),
            )
        )
    fields += [
        _optional("dataCollectionMoment", _MOMENT),
        _optional("dataCollectionWay", "string"),
        _optional("dataCollectionSource", "string"),
    ]
    return {
        "type": "record",
        "name": "Profile",
        "namespace": f"deltadrop.{topic.database}",
        "fields": fields,
    }


def _row_schema(topic: Topic, catalog: Catalog) -> AvroSchema:
    table: TableDefinition = catalog.tables[cast(str, topic.database), cast(str, topic.table)]
    fields = [
        *_header(Kind.ROW, table.name),
        {"name": "table", "type": "string"},
        {"name": "id", "type": "long"},
    ]
    if table.kind is not TableKind.REPOSITORY:
        fields.append(_optional("profileId", "long"))
    fields += [
        _optional(
            "attributes",
            _attributes_record(f"{table.name}Attributes", table.attributes),
        ),
        _optional("creationMoment", _MOMENT),
        _optional("updateMoment", _MOMENT),
    ]
    if table.key_attribute is not None:
        fields.append(_optional("businessKey", _attribute_type(table.key_attribute)))
    return {
        "type": "record",
        "name": table.name,
        "namespace": f"deltadrop.{topic.database}.row",
        "fields": fields,
    }


def _attributes_record(name: str, attributes: tuple[AttributeDefinition, ...]) -> AvroSchema:
    fields = [_optional(attribute.name, _attribute_type(attribute)) for attribute in attributes]
    return {"type": "record", "name": name, "fields": fields}


def _attribute_type(attribute: AttributeDefinition) -> str | AvroSchema:
    match attribute.type:
        case AttributeType.STRING:
            return "string"
        case AttributeType.INTEGER:
            return "long"
        case AttributeType.BOOLEAN:
            return "boolean"
        case AttributeType.DATE:
            return {"type": "int", "logicalType": "date"}
        case AttributeType.MOMENT:
            return _MOMENT
        case AttributeType.STRINGS:
            return _STRINGS
        case AttributeType.DECIMAL:
            size = {"precision": attribute.precision, "scale": attribute.scale}
            return {"type": "bytes", "logicalType": "decimal", **size}
        case _:
            assert_never(attribute.type)


_PRIMITIVES: dict[str, pa.DataType] = {
    "null": pa.null(),
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "bytes": pa.binary(),
    "string": pa.string(),
}

_LOGICAL: dict[tuple[str, str | None], pa.DataType] = {
    ("string", "uuid"): pa.uuid(),
    ("int", "date"): pa.date32(),
    ("long", "timestamp-millis"): pa.timestamp("ms", tz="UTC"),
    ("long", "timestamp-micros"): pa.timestamp("us", tz="UTC"),
}


def arrow_type(avro_type: object) -> pa.DataType:
    """The Arrow type of an Avro type; ValueError where there is none (maps, wide unions)."""
    match avro_type:
        case str() if avro_type in _PRIMITIVES:
            return _PRIMITIVES[avro_type]
        case [inner, "null"] | ["null", inner]:
            return arrow_type(inner)
        case {"type": str()}:
            return _arrow_type_of(cast(AvroSchema, avro_type))
        case {"type": inner}:
            return arrow_type(inner)
    raise ValueError(f"no Arrow type for Avro {avro_type!r}")


def _arrow_type_of(schema: AvroSchema) -> pa.DataType:
    logical = schema.get("logicalType")
    match schema["type"]:
        case "record":
            fields = schema["fields"]
            return pa.struct([pa.field(one["name"], arrow_type(one["type"])) for one in fields])
        case "array":
            return pa.list_(arrow_type(schema["items"]))
        case "enum":
            index = pa.int8() if len(schema["symbols"]) <= _SMALL_ENUM else pa.int32()
            return pa.dictionary(index, pa.string())
        case "bytes" | "fixed" if logical == "decimal":
            return pa.decimal128(schema["precision"], schema.get("scale", 0))
        case "fixed":
            return pa.binary(schema["size"])
        case primitive:
            return _LOGICAL.get((primitive, logical)) or arrow_type(primitive)
