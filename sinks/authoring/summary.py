"""The summary of an export before it starts (SPEC §4 "Summary"; the reference page's step 5).

Four sections: general data, target group (with the reminder that activities are of active campaigns
only), data, parameters. Only the definition and its table are read.
"""

from __future__ import annotations

import datetime as dt
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from schemas.events import CAMPAIGN_CHANNELS_OF_KIND, FILE_CHANNELS, CampaignKind, Channel, Kind
from schemas.json_result import JsonResult
from schemas.one_line import joined
from schemas.tables import AttributeType
from sinks.exports.export import Export
from sinks.exports.schedule import next_close
from sinks.exports.types import Line
from sinks.exports.withheld import withheld_columns
from sinks.rendering.zones import zone
from sinks.rules.campaigns import CAMPAIGN_LIFE
from sinks.rules.columns import HeadedColumn

__all__ = [
    "Field",
    "Format",
    "General",
    "Parameters",
    "Summary",
    "SummarySection",
    "Target",
    "summary_of",
]

_KIND_NAMES = {
    CampaignKind.SCENARIZED: "scenarized",
    CampaignKind.TRANSACTIONAL: "transactional",
    CampaignKind.ONE_SHOT: "one-shot",
    CampaignKind.AB_TEST: "A/B test",
}
_WIDTH: Final = 100
"""Characters of a plain line; a longer text continues indented on the next line."""
_RUNNING = (CampaignKind.SCENARIZED, CampaignKind.TRANSACTIONAL)
"""Campaign kinds that are active until they are finished; others count from their sending."""


@dataclass(frozen=True, slots=True)
class General(JsonResult):
    """The export, and its tables."""

    name: str
    """The export."""
    suffix: str
    """The suffix of its files' names."""
    entity: str
    """The entity that it belongs to."""
    tables: tuple[str, ...]
    """The tables that it is about."""
    type: str
    """Its type."""
    event: str
    """Its event type."""


@dataclass(frozen=True, slots=True)
class Target(JsonResult):
    """What makes a line."""

    increment: str
    """What makes a line."""
    sources: tuple[str, ...] | None
    """The sources that its filter accepts; null for all of them."""
    reminder: str | None
    """For exports of activities: which campaigns count."""


@dataclass(frozen=True, slots=True)
class Field(JsonResult):
    """A field of the file."""

    header: str
    """Its header."""
    column: str
    """The column that it is."""
    type: str
    """Its type."""
    origin: str
    """The origin of its value."""
    personal: bool
    """Whether it is personal."""


@dataclass(frozen=True, slots=True)
class Format(JsonResult):
    """How values of a type are written."""

    values: str
    """Which values."""
    format: str
    """How they are written."""
    headers: tuple[str, ...]
    """The fields that have such values."""


@dataclass(frozen=True, slots=True)
class Parameters(JsonResult):
    """Formats, file, places, schedule and recipients."""

    formats: tuple[Format, ...]
    """How values are written."""
    separator: str
    """The text between two fields."""
    compression: str
    """The compression of the file."""
    file_name: str
    """The pattern of the file's name."""
    next_file: str
    """The name of the next file."""
    next_inner_file: str | None
    """The name of the file in the next archive; null without one."""
    locations: tuple[str, ...]
    """The locations that it is delivered to."""
    folder: str
    """The folder at these locations."""
    at: str
    """The local hour of its closes."""
    time_zone: str
    """The time zone of that hour."""
    next_close: str
    """When it closes next."""
    when_empty: str
    """What is delivered for a window without rows: a file with its header, or none."""
    recipients: tuple[str, ...]
    """The mail addresses that get its reports."""
    deliver_by: str | None = None
    """The local hour at which its drop is late, if it has one."""
    guard_rails: dict[str, int] | None = None
    """Bounds beyond which a drop is held, by their names in the definition; null without any."""


@dataclass(frozen=True, slots=True)
class SummarySection:
    """A section as text: its title, and lines. A line has a label and a text, or several cells."""

    title: str
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Summary(JsonResult):
    """The summary of one export."""

    general: General
    """Which export it is."""
    target: Target
    """What makes a line."""
    fields: tuple[Field, ...]
    """The fields of the file."""
    parameters: Parameters
    """Formats, file, places, schedule and recipients."""
    warnings: tuple[str, ...] = ()
    """Faults that stop nothing, as a column that is always empty."""

    @property
    def sections(self) -> tuple[SummarySection, ...]:
        """The four sections, for people, and one for warnings where there are any."""
        warnings = tuple(("warning", warning) for warning in self.warnings)
        return (
            SummarySection("General data", tuple(_general_rows(self.general))),
            SummarySection("Target group", tuple(_target_rows(self.target))),
            SummarySection("Data", tuple(_field_rows(self.fields))),
            SummarySection("Parameters", tuple(_parameter_rows(self.parameters))),
            *([SummarySection("Warnings", warnings)] if warnings else []),
        )

    def __str__(self) -> str:
        """Plain lines, for people."""
        return "\n\n".join(
            joined([section.title, *_aligned(section.rows)]) for section in self.sections
        )


def summary_of(export: Export, now: dt.datetime) -> Summary:
    """Return an export's summary; `now` decides which close and which file are the next."""
    definition = export.definition
    return Summary(
        General(
            definition.name,
            definition.suffix,
            definition.entity,
            _tables(export),
            definition.type,
            definition.event,
        ),
        Target(export.increment.meaning, definition.sources, _reminder(export)),
        tuple(_field(headed) for headed in export.columns),
        _parameters(export, next_close(export, now)),
        tuple(str(warning) for warning in withheld_columns(export)),
    )


def _tables(export: Export) -> tuple[str, ...]:
    database, table = export.subject.database, export.subject.table
    profiles = (f"{database.name} (profiles)",)
    return profiles if table is None else (f"{table.name} ({table.kind})", *profiles)


def _field(headed: HeadedColumn) -> Field:
    column = headed.column
    return Field(headed.header, column.name, str(column.type), str(column.origin), column.personal)


def _parameters(export: Export, close: dt.datetime) -> Parameters:
    definition = export.definition
    return Parameters(
        formats=tuple(_formats(export)),
        separator=definition.file.separator,
        compression=str(definition.file.compression),
        file_name=definition.file.name,
        next_file=str(export.file_name(close)),
        next_inner_file=export.inner_name(close),
        locations=definition.deliver,
        folder=f"{definition.entity}/{definition.name}/",
        at=definition.schedule.at,
        time_zone=export.zone_name,
        next_close=close.astimezone(zone(export.zone_name)).isoformat(),
        when_empty=str(definition.when_empty),
        recipients=definition.recipients,
        deliver_by=definition.schedule.deliver_by,
        guard_rails=definition.guard_rails.model_dump(exclude_none=True)
        if definition.guard_rails
        else None,
    )


def _formats(export: Export) -> Iterator[Format]:
    """Yield the formats in use: those of the fields' types (the reference page's step 4)."""
    formats = export.definition.formats
    written = {
        AttributeType.BOOLEAN: ("booleans", str(formats.boolean)),
        AttributeType.DATE: ("dates", str(formats.date)),
        AttributeType.MOMENT: ("moments", formats.moment),
        AttributeType.STRINGS: ("several values", f"with {formats.values_separator} between"),
    }
    for kind, (values, text) in written.items():
        headers = tuple(column.header for column in export.columns if column.column.type is kind)
        if headers:
            yield Format(values, text, headers)
    escaped = tuple(each.header for each in export.columns if export.escapes(each.column))
    if escaped:
        yield Format("formulas", "escaped by an apostrophe", escaped)


def _reminder(export: Export) -> str | None:
    """Return which campaigns count, for exports of activities (SPEC §3 "Active campaigns only")."""
    if export.type.line is not Line.ACTIVITY:
        return None
    kinds = [
        kind for kind, channels in CAMPAIGN_CHANNELS_OF_KIND.items() if _channel(export) in channels
    ]
    running, sent = (
        " and ".join(_KIND_NAMES[kind] for kind in kinds if (kind in _RUNNING) is is_running)
        for is_running in (True, False)
    )
    days = CAMPAIGN_LIFE.days
    return (
        f"only active campaigns: {running} ones that are active, or finished less than {days} days "
        f"before the close, and {sent} ones sent less than {days} days before it; never drafts, "
        "nor campaigns of the deprecated engine"
    )


def _channel(export: Export) -> Channel:
    """Return a channel by which the possible kinds of campaigns are known."""
    own = {Kind.EMAIL_ACTIVITY: Channel.EMAIL, Kind.SMS_ACTIVITY: Channel.SMS}
    return own.get(export.increment.kind, FILE_CHANNELS[0])


def _general_rows(general: General) -> Iterator[tuple[str, ...]]:
    yield "name", general.name
    yield "name suffix", general.suffix
    yield ("tables" if len(general.tables) > 1 else "table"), ", ".join(general.tables)
    yield "entity", general.entity
    yield "type", general.type
    yield "event type", general.event


def _target_rows(target: Target) -> Iterator[tuple[str, ...]]:
    yield "increment", target.increment
    if target.sources is None:
        yield "filter", "none: all that was recorded since the previous close"
    else:
        yield "filter", f"only from the sources {', '.join(target.sources)}"
    if target.reminder is not None:
        yield "reminder", target.reminder


def _field_rows(fields: tuple[Field, ...]) -> Iterator[tuple[str, ...]]:
    yield "header", "column", "type", "taken from", ""
    for field in fields:
        personal = "personal" if field.personal else ""
        yield field.header, field.column, field.type, field.origin, personal


def _parameter_rows(parameters: Parameters) -> Iterator[tuple[str, ...]]:
    for form in parameters.formats:
        yield form.values, f"{form.format}  ({', '.join(form.headers)})"
    compression = "not compressed" if parameters.compression == "none" else parameters.compression
    yield "file", f"CSV in UTF-8, {parameters.separator} between fields, {compression}"
    yield "file name", f"{parameters.file_name}, next {parameters.next_file}"
    if parameters.next_inner_file is not None:
        yield "file in it", f"next {parameters.next_inner_file}"
    yield "delivered to", f"{', '.join(parameters.locations)}, in {parameters.folder}"
    schedule = f"every day at {parameters.at} {parameters.time_zone}"
    yield "schedule", f"{schedule}, next {parameters.next_close}"
    if parameters.deliver_by is not None:
        yield "late", f"after {parameters.deliver_by}"
    empty = {"header": "a file with its header only", "skip": "no file, the manifest only"}
    yield "empty window", empty[parameters.when_empty]
    if parameters.guard_rails:
        rails = (f"{name} {limit}" for name, limit in parameters.guard_rails.items())
        yield "guard rails", ", ".join(rails)
    yield "report to", ", ".join(parameters.recipients) or "nobody"


def _aligned(rows: tuple[tuple[str, ...], ...]) -> Iterator[str]:
    *widths, _ = (max(len(row[place]) for row in rows) for place in range(len(rows[0])))
    margin = 2 + sum(width + 2 for width in widths)
    for *cells, last in rows:
        begin = "".join(f"{cell:{width}}  " for cell, width in zip(cells, widths, strict=True))
        first, *more = textwrap.wrap(last, _WIDTH - margin, break_on_hyphens=False) or [""]
        yield f"  {begin}{first}".rstrip()
        yield from (f"{'':{margin}}{line}" for line in more)
