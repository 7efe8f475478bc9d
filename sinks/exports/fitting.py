"""Check that an export definition is consistent, and fits the customer's databases.

It works on the document as written, so that one refusal lists these faults together with those of
single fields. Values of a wrong type are ignored here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

from schemas.definitions.definitions import Document, Faults, Location, choices
from schemas.definitions.patterns import ADDRESS_PATTERN
from schemas.tables import Catalog
from sinks.exports.definition import (
    USUAL_NAME,
    USUAL_PLACES,
    ExportDefinition,
    FileDefinition,
    FormatsDefinition,
    WhenEmpty,
    placeholders,
)
from sinks.exports.types import EXPORT_TYPES, ExportType, Increment, Line, columns_on_offer
from sinks.locations import Terms
from sinks.rendering.compress import Compression
from sinks.rendering.layout import Separator
from sinks.rendering.names import FileName, NamePattern, PatternError
from sinks.rules.columns import WHY_MISSING, Column, HeadedColumn, Subject, profile_columns

__all__ = ["Fitted", "fit"]

Value = TypeVar("Value")

_LIKE_AN_ADDRESS: Final = re.compile(ADDRESS_PATTERN)
_ADDRESSES: Final = (
    "write it as somebody@shop.example (RFC 5322, dot-atom), a domain of other letters as xn--…"
)


@dataclass(frozen=True, slots=True)
class Fitted:
    """The subject of an export, and its columns there."""

    subject: Subject
    columns: tuple[HeadedColumn, ...]


def fit(
    document: Document, catalog: Catalog, locations: Mapping[str, Terms], faults: Faults
) -> Fitted | None:
    """Fit the export of `document` to the databases of `catalog`; add faults to `faults`.

    Returns None if its database, table, export type or event type isn't valid.
    """
    draft = _Draft(document, faults)
    _check_names(draft)
    _check_separators(draft)
    _check_deliveries(draft, locations)
    _check_recipients(draft)
    export_type = draft.one_of(("type",), EXPORT_TYPES, "an export type")
    subject = _subject(draft, catalog, export_type)
    if export_type is None:
        return None
    increment = draft.one_of(
        ("event",), export_type.increments, f"an event type of {export_type.name}"
    )
    if increment is None:
        return None
    if draft.value("sources") is not None and not increment.source_filter:
        draft.fault(("sources",), f"{_label(draft)} has no source filter", "remove it")
    _check_guard_rails(draft, export_type)
    if subject is None:
        return None
    _check_needs(draft, increment, subject)
    return Fitted(subject, _columns(draft, export_type, increment, subject))


class _Draft:
    """A document with its faults. Values are looked up by their path; a missing value, or one of
    another type, counts as empty.
    """

    def __init__(self, document: Document, faults: Faults) -> None:
        self.document = document
        self._faults = faults

    def value(self, *location: str) -> object:
        found: object = self.document.data
        for key in location:
            found = found.get(key) if isinstance(found, Mapping) else None
        return found

    def text(self, *location: str, default: str = "") -> str:
        found = self.value(*location)
        return default if found is None else found if isinstance(found, str) else ""

    def items(self, *location: str) -> Sequence[object]:
        found = self.value(*location)
        return found if isinstance(found, list) else ()

    def one_of(
        self, location: tuple[str, ...], known: Mapping[str, Value], what: str
    ) -> Value | None:
        """The value of `known` with the name at `location`; for another name, add a fault."""
        name = self.text(*location)
        if name and name not in known:
            self.fault(location, f"'{name}' isn't {what}", choices(name, known))
        return known.get(name)

    def fault(self, location: Location, what: str, hint: str = "") -> None:
        path = ".".join(str(part) for part in location if isinstance(part, str))
        self._faults.add(self.document.where(location), f"field '{path}': {what}", hint)


def _check_recipients(draft: _Draft) -> None:
    """Add a fault for each address to which no mail can be sent.

    The check isn't in the model, as that also reads old intents.
    """
    from email.errors import MessageError
    from email.headerregistry import Address

    for index, recipient in enumerate(draft.items("recipients")):
        if isinstance(recipient, str) and _LIKE_AN_ADDRESS.match(recipient):
            try:
                is_right = Address(addr_spec=recipient).domain.isascii()
            except (MessageError, ValueError):
                is_right = False
            if not is_right:
                what = f"no mail can be sent to {recipient!r}"
                draft.fault(("recipients", index), what, _ADDRESSES)


def _label(draft: _Draft) -> str:
    return f"{draft.text('type')}/{draft.text('event')}"


def _subject(draft: _Draft, catalog: Catalog, export_type: ExportType | None) -> Subject | None:
    database = draft.one_of(("database",), catalog.databases, "a database")
    if export_type is None or database is None:
        return None
    if export_type.table is None:
        if draft.value("table") is not None:
            draft.fault(
                ("table",), f"exports of type {export_type.name} aren't of a table", "remove it"
            )
        return Subject(database)
    tables = {
        name: table
        for (owner, name), table in catalog.tables.items()
        if owner == database.name and table.kind is export_type.table
    }
    if draft.value("table") is None:
        draft.fault(
            ("table",),
            f"is missing: exports of type {export_type.name} are of a table",
            choices("", tables),
        )
        return None
    table = draft.one_of(
        ("table",), tables, f"a table of kind {export_type.table} of database '{database.name}'"
    )
    return None if table is None else Subject(database, table)


def _columns(
    draft: _Draft, export_type: ExportType, increment: Increment, subject: Subject
) -> tuple[HeadedColumn, ...]:
    offered = columns_on_offer(export_type, increment, subject)
    if draft.value("columns") is None:
        headed = [HeadedColumn(column, column.header) for column in offered if column.chosen]
        _check_headers(draft, [((), column) for column in headed])
        return tuple(headed)
    known = _by_every_name(offered)
    found: list[tuple[Location, HeadedColumn]] = []
    for index, choice in enumerate(draft.items("columns")):
        name, header = _choice(choice)
        if name is None:
            continue
        if name not in known:
            _refuse_column(draft, index, name, increment, subject, known)
            continue
        column = known[name]
        found.append((("columns", index), HeadedColumn(column, header or column.header)))
    _check_headers(draft, found)
    return tuple(headed for _, headed in found)


def _choice(choice: object) -> tuple[str | None, str | None]:
    if isinstance(choice, Mapping):
        name, header = choice.get("column"), choice.get("header")
        return (name if isinstance(name, str) else None), (
            header if isinstance(header, str) else None
        )
    return (choice if isinstance(choice, str) else None), None


def _by_every_name(offered: Iterable[Column]) -> dict[str, Column]:
    """Columns by their names, and by headers that aren't the name of another column."""
    by_header = {column.header: column for column in offered}
    return by_header | {column.name: column for column in offered}


def _refuse_column(
    draft: _Draft,
    index: int,
    name: str,
    increment: Increment,
    subject: Subject,
    known: Mapping[str, Column],
) -> None:
    what = f"column '{name}' doesn't exist for {_label(draft)}"
    if why := _why_missing(name, increment, subject):
        what = f"{what}: {why}"
    # A profile has many columns: the hint lists them only if the name is one of a profile's.
    of_profile = name.startswith("profile-") and increment.with_profile
    near = [other for other in known if other.startswith("profile-") is of_profile]
    draft.fault(("columns", index), what, choices(name, near))


def _why_missing(name: str, increment: Increment, subject: Subject) -> str:
    """The reason why this export lacks a column that others have; empty if no export has it."""
    of_profile = name.startswith("profile-")
    if of_profile and not increment.with_profile:
        return "columns of the profile can't be added to it"
    offered = (profile_columns,) if of_profile else increment.columns
    group, reason = WHY_MISSING.get(name.removeprefix("profile-"), (None, ""))
    if not of_profile and group not in offered:
        return ""
    table = subject.table.name if subject.table else ""
    return reason.format(database=subject.database.name, table=table)


def _check_needs(draft: _Draft, increment: Increment, subject: Subject) -> None:
    if increment.needs is None:
        return
    group, reason = WHY_MISSING[increment.needs]
    if not group(subject):
        why = reason.format(database=subject.database.name, table="")
        draft.fault(("event",), f"{_label(draft)} isn't offered: {why}", "choose another event")


def _check_headers(draft: _Draft, found: Iterable[tuple[Location, HeadedColumn]]) -> None:
    first: dict[str, Column] = {}
    for location, header in found:
        if header.header in first:
            both = f"'{first[header.header].name}' and '{header.column.name}'"
            hint = f"rename one: {{column: {header.column.name}, header: …}}"
            draft.fault(
                location or ("columns",),
                f"two columns have the header '{header.header}': {both}",
                hint,
            )
        first.setdefault(header.header, header.column)


def _check_separators(draft: _Draft) -> None:
    defaults = FormatsDefinition(), FileDefinition()
    values = draft.text("formats", "values_separator", default=defaults[0].values_separator)
    named = draft.text("file", "separator", default=defaults[1].separator)
    separators = {separator.name.lower(): separator for separator in Separator}
    if values and separators.get(named) == values:
        what = f"'{values}' stands between the fields of the file already ({named})"
        draft.fault(("formats", "values_separator"), what, "choose another, as |")
    elif values in ('"', "\n", "\r"):
        draft.fault(
            ("formats", "values_separator"),
            "quotes and line breaks can't stand between values",
            "choose |",
        )


def _check_deliveries(draft: _Draft, locations: Mapping[str, Terms]) -> None:
    skips = draft.text("when_empty") == WhenEmpty.SKIP
    given = draft.value("deliver") is not None
    for index, name in enumerate(draft.items("deliver") if given else USUAL_PLACES):
        if isinstance(name, str) and name not in locations:
            draft.fault(
                ("deliver", index), f"'{name}' isn't a location", choices(name, sorted(locations))
            )
        elif isinstance(name, str) and skips and not locations[name].manifests:
            draft.fault(
                ("when_empty",),
                f"'{name}' gets no manifests, and would get nothing at all for an empty window",
                "choose when_empty: header, or turn the manifests of that location on",
            )


def _check_guard_rails(draft: _Draft, export_type: ExportType) -> None:
    rail = ("guard_rails", "unknown_campaigns_at_most")
    if draft.value(*rail) is not None and export_type.line is not Line.ACTIVITY:
        draft.fault(rail, f"exports of type {export_type.name} are of no campaigns", "remove it")


def _check_names(draft: _Draft) -> None:
    """Check the names of files: the pattern is valid, and gives two days different names (SPEC §7).

    The pattern for the file in an archive must be valid, too, and is allowed for archives only.
    """
    suffix = draft.text("suffix", default=str(ExportDefinition.model_fields["suffix"].default))
    try:
        named = placeholders(draft.text("export"), draft.text("entity"), suffix)
    except PatternError:
        return  # the check of the single field reports it
    given = draft.value("file", "name") is not None
    location = ("file", "name") if given else ("suffix",)
    pattern = _check_name(draft, location, draft.text("file", "name", default=USUAL_NAME), named)
    if pattern is not None and not pattern.names_each_day:
        what = f"two days could have the same file name ('{_sample(pattern)}')"
        draft.fault(location, what, "the name needs year, month and day: yyyy, MM and dd")
    if inner := draft.text("file", "inner_name"):
        _check_name(draft, ("file", "inner_name"), inner, named)
        _check_archive(draft)


def _check_name(
    draft: _Draft, location: tuple[str, ...], text: str, named: Mapping[str, NamePattern]
) -> NamePattern | None:
    """The pattern of a file's name; if it isn't valid, add a fault and return None."""
    try:
        pattern = NamePattern.of_file(text, named)
        _sample(pattern)
    except PatternError as error:
        draft.fault(location, str(error))
        return None
    return pattern


def _check_archive(draft: _Draft) -> None:
    compression = draft.text("file", "compression", default=Compression.NONE)
    if compression in (Compression.NONE, Compression.GZIP):
        what = f"there is no file in an archive with compression {compression}"
        draft.fault(("file", "inner_name"), what, "remove it, or choose compression: zip")


def _sample(pattern: NamePattern) -> FileName:
    return FileName(pattern.at(datetime(2026, 11, 25)))
