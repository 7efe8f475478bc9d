"""The columns of the export types on any database: the reference that documentation prints.

The declarations (`types`) give the columns of a given database. Here the database and its tables
have placeholders as names, so that columns come out as `<attribute>` or `subscription-<name>`.
Documentation and the editors' schemas are made from these columns.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Final

from schemas.tables import (
    AttributeDefinition,
    AttributeType,
    DatabaseDefinition,
    SegmentationDefinition,
    SegmentationKind,
    TableDefinition,
)
from sinks.exports.types import EXPORT_TYPES, ExportType, Increment, Line, columns_on_offer
from sinks.rules.columns import Column, Origin, Subject

__all__ = ["PLACEHOLDERS", "any_subject", "columns_of", "types_reference"]

PLACEHOLDERS: Final = ("<attribute>", "<name>")
"""Placeholders for the name of any attribute, and of any subscription or segmentation."""

_ATTRIBUTE, _NAME = PLACEHOLDERS


def any_subject(export_type: ExportType) -> Subject:
    """Return the subject of an export of this type, with everything that a database can have."""
    # Not validated: a definition can't have placeholders as names.
    attribute = AttributeDefinition.model_construct(name=_ATTRIBUTE, type=AttributeType.STRING)
    segmentation = SegmentationDefinition.model_construct(name=_NAME, kind=SegmentationKind.SIMPLE)
    database = DatabaseDefinition.model_construct(
        name="<database>",
        attributes=(attribute,),
        business_key=_ATTRIBUTE,
        subscriptions=(_NAME,),
        segmentations=(segmentation,),
        marketing_consent=True,
    )
    if export_type.table is None:
        return Subject(database)
    table = TableDefinition.model_construct(
        name="<table>",
        kind=export_type.table,
        database="<database>",
        attributes=(attribute,),
        business_key=_ATTRIBUTE,
    )
    return Subject(database, table)


def columns_of(export_type: ExportType, increment: Increment) -> tuple[Column, ...]:
    """Return the columns that any database can offer, with placeholders in their names."""
    return columns_on_offer(export_type, increment, any_subject(export_type))


def types_reference() -> str:
    """Return types, event types, columns and the meaning of each value, in Markdown."""
    alike: dict[str, list[str]] = defaultdict(list)
    for export_type in EXPORT_TYPES.values():
        alike["\n".join(_type_parts(export_type))].append(export_type.name)
    parts = [f"### {_codes(names)}\n\n{text}" for text, names in alike.items()]
    return "\n".join([*parts, *_column_parts()]) + "\n"


_FOUND_HOW: Final = {
    "creationMoment": "`occurredAt` of the `CREATED` event that began its life; of a life that a "
    "`SNAPSHOT` began, the snapshot's own `creationMoment`; empty if neither was seen",
    "updateMoment": "`occurredAt` of the `CREATED` or `UPDATED` event that was appended last; of "
    "a life that a `SNAPSHOT` began and nothing changed since, the snapshot's own `updateMoment`",
    "isFirstClick": "true on the interaction's first click on any of its links, false on its first "
    "clicks on other links; a second interaction with the same campaign has a first click of its "
    "own",
}
"""How a value comes about that no event carries as it is, by the last name of its path (SPEC §8,
§3).
"""

_LINES: Final = {
    Line.ROW: "A line is a row with its values at the close; lines come by id.",
    Line.CHANGE: "A line is a change; lines come as the changes were recorded.",
    Line.ACTIVITY: "A line is an event on an interaction of an active campaign; lines come as the "
    "events were recorded.",
}


def _type_parts(export_type: ExportType) -> Iterator[str]:
    of_table = f" `table` names a table of kind `{export_type.table}`." if export_type.table else ""
    yield f"{_LINES[export_type.line]}{of_table}\n"
    yield "| event type | what comes | made from | source filter |\n|---|---|---|---|"
    for name, increment in export_type.increments.items():
        needs = f" (only where the database has `{increment.needs}`)" if increment.needs else ""
        feeds = _codes(str(event_type) for event_type in increment.feeds)
        source = "yes" if increment.source_filter else "no"
        made_from = f"`{increment.kind}`: {feeds}"
        yield f"| `{name}` | {increment.meaning}{needs} | {made_from} | {source} |"
    yield "\n| event type | columns |\n|---|---|"
    for columns, events in _by_columns(export_type):
        yield f"| {_codes(events)} | {_names_of(columns)} |"
    yield ""


def _by_columns(export_type: ExportType) -> Iterator[tuple[tuple[Column, ...], list[str]]]:
    """Yield groups of event types with the same columns."""
    named = {
        event: columns_of(export_type, increment)
        for event, increment in export_type.increments.items()
    }
    orders = list(dict.fromkeys(named.values()))
    ordered = sorted(named, key=lambda event: orders.index(named[event]))
    for columns, events in groupby(ordered, key=lambda event: named[event]):
        yield columns, list(events)


def _names_of(columns: Iterable[Column]) -> str:
    own = [column for column in columns if not column.name.startswith("profile-")]
    chosen = _codes(column.name for column in own if column.chosen)
    more = [f"`{column.name}`" for column in own if not column.chosen]
    if len(own) < len(tuple(columns)):
        more.append("the `profile-` columns")
    return f"{chosen}; if chosen: {', '.join(more)}" if more else chosen


def _column_parts() -> Iterator[str]:
    yield "### What each column holds\n"
    yield "| column | type | value |\n|---|---|---|"
    values: dict[str, dict[str, None]] = defaultdict(dict)
    how: dict[str, str] = {}
    for export_type in EXPORT_TYPES.values():
        for increment in export_type.increments.values():
            for column in columns_of(export_type, increment):
                begin = f"| `{column.name}` | {_type_of(column)} |"
                values[begin][_value(column)] = None
                if found := _FOUND_HOW.get(column.path[-1]):
                    how[begin] = f": {found}"
    for begin in sorted(values, key=str.lower):
        yield f"{begin} {'; or '.join(values[begin])}{how.get(begin, '')} |"


def _type_of(column: Column) -> str:
    if column.path[0] == "segments":
        return "boolean (simple) or string (exclusive)"
    if column.name.endswith("usinessKey") or column.path[0] == "attributes":
        return "the attribute's"
    return str(column.type)


def _value(column: Column) -> str:
    whose = {
        Origin.EVENT: "of the event",
        Origin.CAMPAIGN: "of the campaign, as of the cut",
        Origin.PROFILE: "of the profile, as of the cut",
        Origin.ROW: "of the row, as of the cut",
        Origin.RULE: "found by the rule",
    }
    value = f"{_path(column)} {whose[column.origin]}"
    if column.fallback is not None:
        origin, field = column.fallback
        value += f", else `{field}` of the {origin}"
    return f"{value} (personal)" if column.personal else value


def _path(column: Column) -> str:
    match column.path:
        case ("attributes", _):
            return "the business key" if column.name.endswith("usinessKey") else "an attribute"
        case ("subscriptions", _):
            return "the subscription (there or not)"
        case ("segments", _):
            return "the segment"
        case (field, *_):
            return f"`{field}`"
    raise AssertionError(column)


def _codes(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
