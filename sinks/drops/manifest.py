"""The manifest beside each drop: its content, its offsets, and its balance (SPEC §7).

Its JSON is a contract: fields may be added, but their meaning never changes. The same drop gives
the same bytes: fields are in the order declared here, and no clock is read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Final, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from schemas.errors import CloseError, HeldError
from schemas.tables import AttributeType
from sinks.exports.export import Export
from sinks.instants import close_instant
from sinks.rendering import zones
from sinks.rendering.compress import Compression
from sinks.rendering.layout import Rendered
from sinks.rules.columns import HeadedColumn
from sinks.wording import counted

__all__ = [
    "MANIFEST_ENDING",
    "Balance",
    "ColumnEntry",
    "Dialect",
    "ExportEntry",
    "FileEntry",
    "Instant",
    "LostEntry",
    "Manifest",
    "OffsetsEntry",
    "Released",
    "Window",
    "columns_of",
    "dialect_of",
    "export_of",
    "file_of",
]

MANIFEST_ENDING: Final = ".manifest.json"
"""The ending of a manifest's name, after the name of its drop."""

Count = Annotated[int, Field(ge=0, strict=True)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class ExportEntry(_Entry):
    """The export that made the drop."""

    name: str
    entity: str
    database: str
    table: str | None
    type: str
    event: str


class Instant(_Entry):
    """A moment in UTC and in the export's time zone, both in ISO 8601 with offset."""

    utc: str
    local: str

    @classmethod
    def of(cls, instant: datetime, time_zone: str) -> Self:
        """Make the entry for `instant`."""
        return cls(
            utc=instant.astimezone(UTC).isoformat(timespec="milliseconds"),
            local=instant.astimezone(zones.zone(time_zone)).isoformat(timespec="milliseconds"),
        )


class Window(_Entry):
    """The time between two closes; `remark` mentions a change of the clocks in it.

    An initial drop has no beginning: it has every living row as of the end.
    """

    begin: Instant | None
    end: Instant
    time_zone: str
    hours: float | None
    remark: str | None

    @classmethod
    def of(cls, begin: datetime | None, end: datetime, time_zone: str) -> Self:
        """The window between two instants; without a beginning, that of an initial drop."""
        if begin is None:
            return cls(
                begin=None,
                end=Instant.of(end, time_zone),
                time_zone=time_zone,
                hours=None,
                remark="initial: every living row as of the end",
            )
        return cls(
            begin=Instant.of(begin, time_zone),
            end=Instant.of(end, time_zone),
            time_zone=time_zone,
            hours=round((end - begin) / timedelta(hours=1), 6),
            remark=_of_clocks(begin, end, zones.zone(time_zone)),
        )


def _of_clocks(begin: datetime, end: datetime, zone: ZoneInfo) -> str | None:
    """The remark about a change of the clocks in a window, if any; for a whole day, its hours."""
    first, last = begin.astimezone(zone), end.astimezone(zone)
    if _is_a_day(begin, end, zone):
        hours = (end - begin) / timedelta(hours=1)
        return None if hours == 24 else f"a day of {hours:g} hours: the clocks were changed"
    changed = first.utcoffset() != last.utcoffset()
    return "the clocks were changed in this window" if changed else None


def _is_a_day(begin: datetime, end: datetime, zone: ZoneInfo) -> bool:
    """Whether a window is one local day: from an hour to the same hour of the next day.

    If a clock change skips one of these hours, the end of the gap stands for it.
    """
    first, last = begin.astimezone(zone), end.astimezone(zone)
    if last.date() - first.date() != timedelta(days=1):
        return False
    return (
        close_instant(last.date(), first.time().replace(fold=0), zone) == end
        or close_instant(first.date(), last.time().replace(fold=0), zone) == begin
    )


class OffsetsEntry(_Entry):
    """The offsets `[first, next)` of a topic's partition in the window."""

    topic: str
    topic_id: str
    partition: Count
    first: Count
    next: Count


class FileEntry(_Entry):
    """The file as delivered.

    rows: lines below the header. inner_name: the name of the file in a zip archive; without an
    archive it isn't written, so that manifests from before there were archives stay the same.
    """

    name: str
    revision: Count = 0
    rows: Count
    bytes: Count
    sha256: Sha256
    compression: Compression
    inner_name: str | None = Field(default=None, exclude_if=lambda name: name is None)

    @model_validator(mode="after")
    def _archives_name_their_file(self) -> Self:
        if (self.compression is Compression.ZIP) != (self.inner_name is not None):
            raise ValueError("inner_name is there for zip, and only for zip")
        return self


class Dialect(_Entry):
    """The dialect of the CSV file."""

    encoding: Literal["UTF-8"] = "UTF-8"
    separator: str
    quote: Literal['"'] = '"'
    escape: Literal['"'] = '"'
    line_end: Literal["\n"] = "\n"
    header: Literal[True] = True
    decimal_point: Literal["."] = "."
    null: Literal[""] = ""
    empty: Literal['""'] = '""'


class ColumnEntry(_Entry):
    """A column: its header, its name in the product, its type, and the format of its values.

    formulas: present if texts that a spreadsheet would take for a formula have an apostrophe before
    them.
    """

    header: str
    name: str
    type: AttributeType
    format: str | None
    formulas: Literal["escape"] | None = Field(default=None, exclude_if=lambda given: given is None)


class Balance(_Entry):
    """The balance: the number of input records with each outcome, in the order of SPEC §3."""

    input: Count
    outcomes: Mapping[str, Count]

    def check(self, export: str, *, exported: int) -> None:
        """Raise HeldError if the outcomes don't add up to the input, or if `exported`, the number
        of lines in the file, isn't the balance's.
        """
        total = sum(self.outcomes.values())
        if total != self.input:
            listed = " + ".join(f"{count} {name}" for name, count in self.outcomes.items() if count)
            raise HeldError(
                f"the balance doesn't add up: {counted(self.input, 'record')} came in, "
                f"{counted(total, 'is', 'are')} accounted for ({listed or 'none'})",
                where=f"export '{export}'",
                hint="nothing was delivered; the close can be run again",
            )
        balanced = self.outcomes.get("exported", 0)
        if balanced != exported:
            raise HeldError(
                f"the balance counts {balanced} exported, the file has {counted(exported, 'line')}",
                where=f"export '{export}'",
                hint="nothing was delivered; the close can be run again",
            )


class LostEntry(_Entry):
    """Offsets that are missing in the drop, as they were lost or passed over.

    reason: why the drop was sent without them.
    """

    offsets: tuple[OffsetsEntry, ...]
    reason: str


class Released(_Entry):
    """Why a guard rail held the drop, and the reason why a person released it."""

    held_because: tuple[str, ...]
    reason: str


class Manifest(_Entry):
    """A whole manifest.

    file: null if the file of an empty window was skipped. reason: why the drop was made again; only
    a revision has it. released: present if a guard rail held the drop. lost: the offsets without
    which a person released the drop, of its window or its state, and those of its window that were
    passed over; None without any.
    """

    format: Literal[1] = 1
    drop: str
    previous_drop: str | None
    export: ExportEntry
    window: Window
    file: FileEntry | None
    dialect: Dialect
    columns: tuple[ColumnEntry, ...]
    offsets: tuple[OffsetsEntry, ...]
    balance: Balance
    late_rows: Mapping[date, Count]
    warnings: tuple[str, ...]
    reason: str | None = None
    released: Released | None = None
    lost: LostEntry | None = None

    def to_json(self) -> bytes:
        """Serialise with one field per line and a final line break, so that people can read it."""
        fields = self.model_dump(mode="json")
        for only_where_it_is in ("reason", "released", "lost"):
            if fields[only_where_it_is] is None:
                del fields[only_where_it_is]
        fields["late_rows"] = dict(sorted(fields["late_rows"].items()))
        return (json.dumps(fields, indent=2, ensure_ascii=False) + "\n").encode()

    @classmethod
    def from_json(cls, content: bytes, where: str = "manifest") -> Self:
        """Parse the output of `to_json`; unknown fields of later versions are ignored.

        Raises CloseError if the content isn't a manifest; where: its place, for the error.
        """
        try:
            return cls.model_validate_json(content)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            path = ".".join(str(part) for part in first["loc"])
            what = f"isn't a manifest: {path + ': ' if path else ''}{first['msg']}"
            raise CloseError(what, where=where) from error


def export_of(export: Export) -> ExportEntry:
    """The manifest's entry for an export."""
    definition = export.definition
    return ExportEntry(
        name=definition.name,
        entity=definition.entity,
        database=definition.database,
        table=definition.table,
        type=definition.type,
        event=definition.event,
    )


def file_of(name: str, revision: int, rendered: Rendered, compression: Compression) -> FileEntry:
    """The manifest's entry for a rendered file."""
    return FileEntry(
        name=name,
        revision=revision,
        rows=rendered.rows,
        bytes=rendered.bytes,
        sha256=rendered.sha256,
        compression=compression,
        inner_name=rendered.inner_name,
    )


def dialect_of(export: Export) -> Dialect:
    """The manifest's entry for an export's CSV dialect."""
    return Dialect(separator=export.layout.separator)


def columns_of(export: Export) -> tuple[ColumnEntry, ...]:
    """The manifest's entries for an export's columns, with the formats of their values."""
    return tuple(_column(headed, export) for headed in export.columns)


def _column(headed: HeadedColumn, export: Export) -> ColumnEntry:
    formats = export.definition.formats
    column = headed.column
    written: dict[AttributeType, str] = {
        AttributeType.BOOLEAN: formats.boolean,
        AttributeType.DATE: formats.date,
        AttributeType.MOMENT: formats.moment,
        AttributeType.STRINGS: formats.values_separator,
        AttributeType.DECIMAL: f"{column.precision},{column.scale}",
    }
    return ColumnEntry(
        header=headed.header,
        name=column.name,
        type=column.type,
        format=written.get(column.type),
        formulas="escape" if export.escapes(column) else None,
    )
