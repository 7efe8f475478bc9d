"""Export definitions as people write them (SPEC §4): one YAML file each, checked field by field.

`sinks.exports.export` combines a definition with a customer's databases: its columns, its file
names, and whether all of it fits together.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from datetime import time
from enum import StrEnum
from typing import Annotated, Final, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from schemas.definitions.definitions import AtError, choices
from schemas.definitions.patterns import ADDRESS_PATTERN, FOLDER_PATTERN
from schemas.events import SOURCE_GROUPS, Source, SourceGroup
from sinks.rendering import zones
from sinks.rendering.compress import Compression
from sinks.rendering.layout import (
    MOMENT_FORMATS,
    BooleanFormat,
    DatePattern,
    Formulas,
    Separator,
)
from sinks.rendering.names import NamePattern, PatternError

__all__ = [
    "ColumnChoice",
    "ExportDefinition",
    "FileDefinition",
    "FormatsDefinition",
    "GuardRailsDefinition",
    "ScheduleDefinition",
    "WhenEmpty",
    "placeholders",
]

T = TypeVar("T")

_BREAKS: Final = ("Cc", "Zl", "Zp")
"""Unicode's categories of control characters and of separators of lines and paragraphs."""


def _chosen_from(given: str, valid: Iterable[str], what: str) -> str:
    options = list(valid)
    if given not in options:
        raise ValueError(f"'{given}' isn't {what}; {choices(given, options)}")
    return given


def _moment_format(given: str) -> str:
    return _chosen_from(given, MOMENT_FORMATS, "a format of moments")


def _zone_name(given: str) -> str:
    if given not in zones.zone_names():
        near = choices(given, sorted(zones.zone_names())).rpartition("; ")[2]
        hint = near if near.startswith("nearest") else "use a name like Europe/Brussels"
        raise ValueError(f"'{given}' isn't a time zone; {hint}")
    return given


def _hour(given: str) -> str:
    try:
        read = time.fromisoformat(given)
    except ValueError:
        read = None
    if read is None or given != f"{read:%H:%M}":
        raise ValueError(f"'{given}' isn't an hour of the day; write it as \"06:00\"")
    return given


def _date_pattern(given: str) -> str:
    NamePattern.of_dates(given)
    return given


def _no_extension(given: str) -> str:
    if given.endswith((".csv", ".gz", ".zip")):
        raise PatternError(f"'{given}' has an extension; leave it off, it is added")
    return given


def _header(given: str) -> str:
    if any(unicodedata.category(character) in _BREAKS for character in given):
        raise ValueError("a header is one line of text, without tabs")
    if not given.strip():
        raise ValueError("a header can't be of blanks only")
    if given.startswith("\ufeff"):
        raise ValueError("a header can't begin with a byte order mark")
    return given


def _source(given: str) -> str:
    return _chosen_from(given, (*SourceGroup, *Source), "a source")


def _separator(given: str) -> str:
    return _chosen_from(
        given, (separator.name.lower() for separator in Separator), "a separator of fields"
    )


def _distinct(given: tuple[T, ...]) -> tuple[T, ...]:
    twice = next((item for index, item in enumerate(given) if item in given[:index]), None)
    if twice is not None:
        raise ValueError(f"'{twice}' is there twice")
    return given


def _column_choice(given: object) -> object:
    return {"column": given} if isinstance(given, str) else given


Text = Annotated[str, Field(strict=True)]
FolderName = Annotated[str, StringConstraints(pattern=FOLDER_PATTERN, max_length=80, strict=True)]
"""A name that is also used as the name of a folder."""
USUAL_NAME: Final = "<name><suffix>"
"""The default pattern of a file's name."""
USUAL_PLACES: Final = ("transferbox",)
"""The default locations of a drop."""
Number = Annotated[int, Field(strict=True, ge=0)]
Recipient = Annotated[str, StringConstraints(pattern=ADDRESS_PATTERN, strict=True)]


class WhenEmpty(StrEnum):
    """What is delivered for a window without lines: a file with only its header, or only the
    manifest.
    """

    HEADER = "header"
    SKIP = "skip"


class _Definition(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class ColumnChoice(_Definition):
    """A column of the file, and optionally its header. In YAML, a plain name stands for a column
    without one.
    """

    column: Text
    header: (
        Annotated[str, StringConstraints(min_length=1, strict=True), AfterValidator(_header)] | None
    ) = None


class FormatsDefinition(_Definition):
    """The formats of values."""

    boolean: BooleanFormat = BooleanFormat.LETTERS
    date: DatePattern = DatePattern.ISO
    moment: Annotated[Text, AfterValidator(_moment_format)] = "yyyy-MM-dd HH:mm:ss"
    values_separator: Annotated[str, StringConstraints(min_length=1, max_length=1, strict=True)] = (
        "|"
    )
    formulas: Formulas = Field(
        default=Formulas.KEEP,
        description="text attributes that a spreadsheet would compute",
        exclude_if=lambda formulas: formulas is Formulas.KEEP,  # as in definitions stored before
    )


class FileDefinition(_Definition):
    """The file: its dialect, compression and name.

    inner_name: the name of the file in a zip archive, `<name><suffix>` by default.
    """

    separator: Annotated[Text, AfterValidator(_separator)] = "comma"
    compression: Compression = Compression.NONE
    name: Annotated[Text, AfterValidator(_no_extension)] = USUAL_NAME
    inner_name: (
        Annotated[str, StringConstraints(min_length=1, strict=True), AfterValidator(_no_extension)]
        | None
    ) = None


class ScheduleDefinition(_Definition):
    """The local hour at which every day's window closes, and the time zone of moments and dates.

    deliver_by: a local hour; a drop is late after the first such hour that follows the close.
    """

    at: Annotated[Text, AfterValidator(_hour)]
    time_zone: Annotated[Text, AfterValidator(_zone_name)]
    deliver_by: Annotated[Text, AfterValidator(_hour)] | None = None

    @property
    def hour(self) -> time:
        """The local hour."""
        return time.fromisoformat(self.at)


class GuardRailsDefinition(_Definition):
    """Optional ranges that a drop has to be in. A drop outside any of them is held until a person
    releases it.
    """

    rows_at_least: Number | None = None
    rows_at_most: Number | None = None
    weekday_percent: Annotated[int, Field(strict=True, ge=1)] | None = None
    weekday_drops: Annotated[int, Field(strict=True, ge=2, le=52)] | None = None
    unknown_campaigns_at_most: Number | None = None
    late_rows_at_most: Number | None = None
    dead_letters_at_most: Number | None = None

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        least, most = self.rows_at_least, self.rows_at_most
        if least is not None and most is not None and least > most:
            raise AtError(("rows_at_most",), f"{most} is less than rows_at_least, {least}")
        if self.weekday_drops is not None and self.weekday_percent is None:
            raise AtError(("weekday_drops",), "means nothing without weekday_percent; add it")
        return self


class ExportDefinition(_Definition):
    """One export. Its YAML begins with `export: <name>`."""

    name: FolderName = Field(alias="export")
    suffix: Annotated[Text, AfterValidator(_date_pattern)] = "_yyyyMMdd"
    entity: FolderName
    database: Text
    table: Text | None = None
    type: Text
    event: Text
    sources: (
        Annotated[
            tuple[Annotated[Text, AfterValidator(_source)], ...],
            Field(min_length=1),
            AfterValidator(_distinct),
        ]
        | None
    ) = None
    columns: (
        Annotated[
            tuple[Annotated[ColumnChoice, BeforeValidator(_column_choice)], ...],
            Field(min_length=1),
        ]
        | None
    ) = None
    formats: FormatsDefinition = FormatsDefinition()
    file: FileDefinition = FileDefinition()
    schedule: ScheduleDefinition
    deliver: Annotated[tuple[FolderName, ...], Field(min_length=1), AfterValidator(_distinct)] = (
        USUAL_PLACES
    )
    when_empty: WhenEmpty = WhenEmpty.HEADER
    guard_rails: GuardRailsDefinition | None = None
    recipients: Annotated[tuple[Recipient, ...], AfterValidator(_distinct)] = ()

    @property
    def name_pattern(self) -> NamePattern:
        """The pattern of the names of the export's files, without their extension."""
        return self._pattern(self.file.name)

    @property
    def inner_name_pattern(self) -> NamePattern | None:
        """The pattern of the names of files in archives, without their extension; None without
        archives.
        """
        if self.file.compression is not Compression.ZIP:
            return None
        return self._pattern(self.file.inner_name or USUAL_NAME)

    def _pattern(self, name: str) -> NamePattern:
        return NamePattern.of_file(name, placeholders(self.name, self.entity, self.suffix))

    @property
    def accepted_sources(self) -> frozenset[Source] | None:
        """The sources that the filter accepts, with groups expanded; None without a filter."""
        if self.sources is None:
            return None
        groups = {str(group): members for group, members in SOURCE_GROUPS.items()}
        return frozenset(
            source for name in self.sources for source in groups.get(name) or (Source(name),)
        )


def placeholders(name: str, entity: str, suffix: str) -> dict[str, NamePattern]:
    """The placeholders `<…>` of file names, by name; PatternError if a file name can't have one."""
    return {
        "name": NamePattern.of_text(name),
        "suffix": NamePattern.of_dates(suffix),
        "entity": NamePattern.of_text(entity),
    }
