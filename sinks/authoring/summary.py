"""What an export is, told back before it starts (SPEC §4 "Summary"; the reference page's step 5).

Four sections: general data, target group (with the reminder that activities are of active campaigns
only), data, parameters. Nothing is looked up but the definition and the table it is about.
"""

from __future__ import annotations

import datetime as dt
import json
import textwrap
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Final

from schemas.events import CAMPAIGN_CHANNELS_OF_KIND, FILE_CHANNELS, CampaignKind, Channel, Kind
from schemas.tables import AttributeType
from sinks.exports.export import Export
from sinks.exports.schedule import next_close
from sinks.exports.types import Line
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
"""Characters of a plain line; a text that needs more goes on below itself."""
_RUNNING = (CampaignKind.SCENARIZED, CampaignKind.TRANSACTIONAL)
"""Kinds that are active until they are finished; the others count from when they were sent."""


@dataclass(frozen=True, slots=True)
class General:
    """Which export it is, and of which tables."""

    name: str
    suffix: str
    entity: str
    tables: tuple[str, ...]
    type: str
    event: str


@dataclass(frozen=True, slots=True)
class Target:
    """What makes a line. `sources`: those that its filter lets pass, None for all of them;
    `reminder`: of activities only.
    """

    increment: str
    sources: tuple[str, ...] | None
    reminder: str | None


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the file: its header, the column it is, its type, and whose value it has."""

    header: str
    column: str
    type: str
    origin: str
    personal: bool


@dataclass(frozen=True, slots=True)
class Format:
    """How values of a type are written, and which fields have it."""

    values: str
    format: str
    headers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Parameters:
    """Formats, file (`next_inner_file`: in an archive), places, schedule and recipients."""

    formats: tuple[Format, ...]
    separator: str
    compression: str
    file_name: str
    next_file: str
    next_inner_file: str | None
    locations: tuple[str, ...]
    folder: str
    at: str
    time_zone: str
    next_close: str
    when_empty: str
    recipients: tuple[str, ...]
    deliver_by: str | None = None
    guard_rails: dict[str, int] | None = None


@dataclass(frozen=True, slots=True)
class SummarySection:
    """A section as text: its title, and lines of a label and a text, or of several cells."""

    title: str
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Summary:
    """The summary of one export."""

    general: General
    target: Target
    fields: tuple[Field, ...]
    parameters: Parameters

    def to_json(self) -> str:
        """Serialise, for scripts."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False)

    @property
    def sections(self) -> tuple[SummarySection, ...]:
        """The four sections, for people."""
        return (
            SummarySection("General data", tuple(_general_rows(self.general))),
            SummarySection("Target group", tuple(_target_rows(self.target))),
            SummarySection("Data", tuple(_field_rows(self.fields))),
            SummarySection("Parameters", tuple(_parameter_rows(self.parameters))),
        )

    def __str__(self) -> str:
        """Plain lines, for people."""
        return "\n\n".join(
            "\n".join([section.title, *_aligned(section.rows)]) for section in self.sections
        )


def summary_of(export: Export, now: dt.datetime) -> Summary:
    """Sum an export up; `now` decides which close and which file is its next."""
    one = export.definition
    return Summary(
        General(one.name, one.suffix, one.entity, _tables(export), one.type, one.event),
        Target(export.increment.meaning, one.sources, _reminder(export)),
        tuple(_field(headed) for headed in export.columns),
        _parameters(export, next_close(export, now)),
    )


def _tables(export: Export) -> tuple[str, ...]:
    database, table = export.subject.database, export.subject.table
    profiles = (f"{database.name} (profiles)",)
    return profiles if table is None else (f"{table.name} ({table.kind})", *profiles)


def _field(headed: HeadedColumn) -> Field:
    column = headed.column
    return Field(headed.header, column.name, str(column.type), str(column.origin), column.personal)


def _parameters(export: Export, close: dt.datetime) -> Parameters:
    one = export.definition
    return Parameters(
        formats=tuple(_formats(export)),
        separator=one.file.separator,
        compression=str(one.file.compression),
        file_name=one.file.name,
        next_file=str(export.file_name(close)),
        next_inner_file=export.inner_name(close),
        locations=one.deliver,
        folder=f"{one.entity}/{one.name}/",
        at=one.schedule.at,
        time_zone=export.zone_name,
        next_close=close.astimezone(zone(export.zone_name)).isoformat(),
        when_empty=str(one.when_empty),
        recipients=one.recipients,
        deliver_by=one.schedule.deliver_by,
        guard_rails=one.guard_rails.model_dump(exclude_none=True) if one.guard_rails else None,
    )


def _formats(export: Export) -> Iterator[Format]:
    """The formats that count: of types that some field has (the reference page's step 4)."""
    formats = export.definition.formats
    written = {
        AttributeType.BOOLEAN: ("booleans", str(formats.boolean)),
        AttributeType.DATE: ("dates", str(formats.date)),
        AttributeType.MOMENT: ("moments", formats.moment),
        AttributeType.STRINGS: ("several values", f"with {formats.values_separator} between"),
    }
    for kind, (values, text) in written.items():
        headers = tuple(one.header for one in export.columns if one.column.type is kind)
        if headers:
            yield Format(values, text, headers)


def _reminder(export: Export) -> str | None:
    """Which campaigns count for exports of activities (SPEC §3 "Active campaigns only")."""
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
    """The channel, as far as it tells which kinds of campaigns there are."""
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
    for one in parameters.formats:
        yield one.values, f"{one.format}  ({', '.join(one.headers)})"
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
