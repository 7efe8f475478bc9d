"""The Avro schema of every topic, and the Arrow schema of its decoded batches.

Profile and row schemas are derived from the table definitions; those of the other kinds are the
fixed files in `schemas/avro/`. The Arrow schema always follows from the Avro schema, so that no
field list is written twice.

A record's name (`deltadrop.EmailActivity`, `deltadrop.shop.Profile`,
`deltadrop.shop.row.purchases`) identifies what a datum is. A topic accepts schemas of one record
name only.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any, TypeAlias, assert_never, cast

import pyarrow as pa

from schemas.avro_types import RecordType, arrow_of, full_name, parse_type
from schemas.events import KINDS, Kind, Source
from schemas.tables import (
    AttributeDefinition,
    AttributeType,
    Catalog,
    SegmentationDefinition,
    SegmentationKind,
    TableDefinition,
    TableKind,
)
from schemas.topics import Topic

__all__ = ["AvroSchema", "arrow_schema", "arrow_schema_of", "avro_schema", "record_name"]

AvroSchema: TypeAlias = dict[str, Any]
"""An Avro record schema as parsed JSON."""

_MOMENT: AvroSchema = {"type": "long", "logicalType": "timestamp-millis"}
_STRINGS: AvroSchema = {"type": "array", "items": "string"}


def avro_schema(topic: Topic, catalog: Catalog) -> AvroSchema:
    """The schema with which publishers write to `topic`.

    Raises KeyError if the catalog doesn't have the topic's database or table.
    """
    match topic.kind:
        case Kind.PROFILE:
            return _profile_schema(topic, catalog)
        case Kind.ROW:
            return _row_schema(topic, catalog)
        case (
            Kind.SUBSCRIPTION_UPDATE
            | Kind.SEGMENT_TRANSITION
            | Kind.MARKETING_CONSENT
            | Kind.EMAIL_ACTIVITY
            | Kind.SMS_ACTIVITY
            | Kind.FILE_ACTIVITY
            | Kind.CAMPAIGN
        ):
            return _fixed_schema(topic.kind)
        case _:
            assert_never(topic.kind)


def arrow_schema(topic: Topic, catalog: Catalog) -> pa.Schema:
    """The columns of a decoded batch of `topic`: its Avro schema's fields, in order."""
    return arrow_schema_of(avro_schema(topic, catalog))


def arrow_schema_of(schema: AvroSchema) -> pa.Schema:
    """The columns of a decoded batch of a record schema; ValueError if it isn't a record."""
    record = parse_type(schema, most_values=None)
    if not isinstance(record, RecordType):
        raise ValueError("only a record has columns")
    return pa.schema([pa.field(field.name, arrow_of(field.type)) for field in record.fields])


def record_name(schema: AvroSchema) -> str:
    """The full name of a record schema."""
    return full_name(schema)


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


def _segment_field(segmentation: SegmentationDefinition) -> AvroSchema:
    is_simple = segmentation.kind is SegmentationKind.SIMPLE
    return _optional(segmentation.name, "boolean" if is_simple else "string")


def _profile_schema(topic: Topic, catalog: Catalog) -> AvroSchema:
    database = catalog.databases[cast(str, topic.database)]
    fields = [
        *_header(Kind.PROFILE, "Profile"),
        {"name": "profileId", "type": "long"},
        _optional("attributes", _attributes_record("ProfileAttributes", database.attributes)),
        _optional("subscriptions", _STRINGS),
    ]
    if database.segmentations:
        segments = [_segment_field(segmentation) for segmentation in database.segmentations]
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
