"""JSON Schemas of the definitions' files, by which editors complete and check them.

Shapes come from the pydantic models, and closed choices from their declarations. The choices that
depend on an export's type, event and table come from the export types. A schema refuses nothing
that deltadrop accepts as documented. Checks that need several files or a calendar are deltadrop's
own. The schemas are draft 7, which editors support.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from schemas.events import KINDS, Source, SourceGroup
from schemas.tables import (
    AttributeType,
    Catalog,
    DatabaseDefinition,
    SegmentationKind,
    TableDefinition,
)
from schemas.topics import topics_of
from sinks.authoring.reference import PLACEHOLDERS, any_subject
from sinks.exports.definition import ExportDefinition
from sinks.exports.types import EXPORT_TYPES, ExportType, Increment, columns_on_offer
from sinks.rendering.compress import Compression
from sinks.rendering.layout import MOMENT_FORMATS, Separator
from sinks.rendering.zones import zone_names
from sinks.rules.columns import WHY_MISSING, Column, Subject
from streams.definition import StreamDefinition

__all__ = ["KINDS_OF_FILES", "JsonSchema", "json_schemas", "schema_line", "written"]

JsonSchema: TypeAlias = dict[str, Any]
"""A JSON Schema, or a part of one."""

KINDS_OF_FILES: Final = ("table", "stream", "export")
"""The kinds of definitions' files; each has a schema of its own."""

_NAME: Final = "[A-Za-z_][A-Za-z0-9_]*"
_LABEL: Final = "[A-Za-z0-9_-]+"


def json_schemas(
    catalog: Catalog | None = None, locations: Collection[str] | None = None
) -> Mapping[str, JsonSchema]:
    """Return the schema of each kind of file.

    With a catalog, the schemas contain its databases, tables, attributes and topics; without one,
    they allow any. Locations are treated likewise.
    """
    return {
        "table": _table_schema(),
        "stream": _stream_schema(catalog),
        "export": _export_schema(catalog, locations),
    }


def written(schema: JsonSchema) -> str:
    """Return a schema as the text of its file."""
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def schema_line(path: str) -> str:
    """Return the first line of a definition's file: its schema's path, relative to the folder."""
    return f"# yaml-language-server: $schema={path}"


class _Generator(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: Any) -> bool:
        return False  # the title only repeats the key


def _of_models(*models: type[BaseModel]) -> tuple[list[JsonSchema], JsonSchema]:
    """Return a reference to each model's schema, and all definitions."""
    references, whole = models_json_schema(
        [(model, "validation") for model in models], by_alias=True, schema_generator=_Generator
    )
    return [references[model, "validation"] for model in models], whole["$defs"]


def _headed(title: str, definitions: JsonSchema, content: JsonSchema) -> JsonSchema:
    draft = "http://json-schema.org/draft-07/schema#"
    return {"$schema": draft, "title": title, **content, "$defs": definitions}


def _table_schema() -> JsonSchema:
    (database, table), defs = _of_models(DatabaseDefinition, TableDefinition)
    for model in ("DatabaseDefinition", "TableDefinition"):
        defs[model]["properties"]["attributes"]["minItems"] = 1
    defs["DatabaseDefinition"]["properties"]["subscriptions"]["uniqueItems"] = True
    number = {"precision": {"type": "integer"}, "scale": {"type": "integer"}}
    defs["AttributeDefinition"]["allOf"] = [
        _when(
            {"type": AttributeType.DECIMAL},
            {"required": [*number], "properties": number},
            {"properties": {key: {"type": "null"} for key in number}},
        ),
        {
            "if": {"properties": {"recency": {"const": True}}, "required": ["recency"]},
            "then": {"properties": {"type": {"const": str(AttributeType.MOMENT)}}},
        },
    ]
    defs["SegmentationDefinition"]["allOf"] = [
        _when(
            {"kind": SegmentationKind.EXCLUSIVE},
            {"required": ["segments"], "properties": {"segments": {"minItems": 1}}},
            {"properties": {"segments": {"maxItems": 0}}},
        )
    ]
    choice = {"if": {"required": ["table"]}, "then": table, "else": database}
    return _headed("A database or a custom table", defs, {"type": "object", **choice})


def _stream_schema(catalog: Catalog | None) -> JsonSchema:
    (reference,), defs = _of_models(StreamDefinition)
    topic = defs["StreamDefinition"]["properties"]["topic"]
    if catalog is not None:
        topic["enum"] = [known.local for known in topics_of(catalog)]
    rules = []
    for kind, spec in KINDS.items():
        ends = rf"(^|\.){re.escape(str(kind))}" + (r"\." if kind == "row" else "$")
        types = [str(event_type) for event_type in spec.event_types]
        rules.append(
            {
                "if": {"properties": {"topic": {"pattern": ends}}, "required": ["topic"]},
                "then": {"properties": {"event_types": {"items": {"enum": types}}}},
            }
        )
    return _headed("A stream", defs, {"allOf": [reference, *rules]})


def _export_schema(catalog: Catalog | None, locations: Collection[str] | None) -> JsonSchema:
    (reference,), defs = _of_models(ExportDefinition)
    _close_choices(defs, catalog)
    if locations is not None:
        deliver = defs["ExportDefinition"]["properties"]["deliver"]
        deliver["items"] = {"enum": sorted(locations)}
    rules = [
        rule
        for export_type in EXPORT_TYPES.values()
        for rule in _type_rules(export_type, catalog, defs)
    ]
    return _headed("An export", defs, {"allOf": [reference, *rules]})


def _close_choices(defs: JsonSchema, catalog: Catalog | None) -> None:
    """Add the closed choices that the models check by functions."""
    export = defs["ExportDefinition"]["properties"]
    export["type"] = {"enum": list(EXPORT_TYPES)}
    export["event"] = {
        "enum": _distinct(
            e for export_type in EXPORT_TYPES.values() for e in export_type.increments
        )
    }
    if catalog is not None:
        export["database"] = {"enum": sorted(catalog.databases)}
    sources = [str(source) for source in (*SourceGroup, *Source)]
    export["sources"] = _several({"enum": sources}, minItems=1)
    choice = {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/ColumnChoice"}]}
    export["columns"] = {"type": "array", "items": choice, "minItems": 1}
    for listed in ("deliver", "recipients"):
        export[listed]["uniqueItems"] = True
    defs["FormatsDefinition"]["properties"]["moment"]["enum"] = list(MOMENT_FORMATS)
    file = defs["FileDefinition"]
    file["properties"]["separator"]["enum"] = [separator.name.lower() for separator in Separator]
    archive = {"properties": {"compression": {"const": str(Compression.ZIP)}}}
    file["anyOf"] = [
        {"properties": {"inner_name": {"type": "null"}}},
        archive | {"required": ["compression"]},
    ]
    schedule = defs["ScheduleDefinition"]["properties"]
    schedule["at"]["pattern"] = "^([01][0-9]|2[0-3]):[0-5][0-9]$"
    schedule["time_zone"]["enum"] = sorted(zone_names())


def _type_rules(
    export_type: ExportType, catalog: Catalog | None, defs: JsonSchema
) -> Iterator[JsonSchema]:
    """Yield what a type allows: its event types, and a table or none; for each event type, the
    source filter and the columns.
    """
    subjects = (
        [({}, any_subject(export_type))] if catalog is None else _subjects(export_type, catalog)
    )
    events: JsonSchema = {"event": {"enum": list(export_type.increments)}}
    if export_type.table is None:
        yield _when(
            {"type": export_type.name}, {"properties": events | {"table": {"type": "null"}}}
        )
    else:
        tables = _distinct(names["table"] for names, _ in subjects if names)
        table = {"table": {"type": "string"} if catalog is None else {"enum": tables}}
        yield _when(
            {"type": export_type.name}, {"required": [*table], "properties": events | table}
        )
    for event, increment in export_type.increments.items():
        given = {"type": export_type.name, "event": event}
        if not increment.source_filter:
            yield _when(given, {"properties": {"sources": {"type": "null"}}})
        for names, subject in subjects:
            if _lacks(subject, increment):
                yield _when(given | names, {"properties": {"event": {"not": {"const": event}}}})
                continue
            columns = _names_of(columns_on_offer(export_type, increment, subject))
            label = "-".join([*given.values(), *names.values()])
            items = _choice_of(_place(defs, f"columns-{label}", columns))
            yield _when(given | names, {"properties": {"columns": {"items": items}}})


def _lacks(subject: Subject, increment: Increment) -> bool:
    """Whether a database lacks what an event type needs."""
    return increment.needs is not None and not WHY_MISSING[increment.needs][0](subject)


def _subjects(export_type: ExportType, catalog: Catalog) -> list[tuple[dict[str, str], Subject]]:
    """Return what exports of a type can be about in a catalog, each with the fields that name it in
    a definition.
    """
    if export_type.table is None:
        return [({"database": d.name}, Subject(d)) for d in catalog.databases.values()]
    return [
        ({"database": table.database, "table": table.name}, Subject(database, table))
        for table in catalog.tables.values()
        if table.kind is export_type.table
        for database in [catalog.databases[table.database]]
    ]


def _names_of(columns: Iterable[Column]) -> JsonSchema:
    """Return the names that a definition may use for columns: their own, and their headers."""
    names = _distinct(name for column in columns for name in (column.name, column.header))
    patterns = [_pattern(name) for name in names if any(part in name for part in PLACEHOLDERS)]
    closed: JsonSchema = {
        "enum": [name for name in names if not any(part in name for part in PLACEHOLDERS)]
    }
    if not patterns:
        return closed
    return {"anyOf": [closed, *({"type": "string", "pattern": pattern} for pattern in patterns)]}


def _pattern(name: str) -> str:
    attribute, label = PLACEHOLDERS
    return "^" + re.escape(name).replace(attribute, _NAME).replace(label, _LABEL) + "$"


def _choice_of(names: JsonSchema) -> JsonSchema:
    mapping = {"type": "object", "properties": {"column": names}}
    return {"anyOf": [names, mapping]}


def _place(defs: JsonSchema, name: str, schema: JsonSchema) -> JsonSchema:
    """Put a schema among the definitions, once, and return a reference to it."""
    name = next((known for known, definition in defs.items() if definition == schema), name)
    defs[name] = schema
    return {"$ref": f"#/$defs/{name}"}


def _when(
    given: Mapping[str, str], then: JsonSchema, otherwise: JsonSchema | None = None
) -> JsonSchema:
    consts = {key: {"const": str(value)} for key, value in given.items()}
    rule: JsonSchema = {"if": {"properties": consts, "required": [*consts]}, "then": then}
    return rule if otherwise is None else rule | {"else": otherwise}


def _several(items: JsonSchema, **more: int) -> JsonSchema:
    return {"type": "array", "items": items, "uniqueItems": True, **more}


def _distinct(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
