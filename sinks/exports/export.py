"""Exports: definitions together with their meaning on the customer's databases.

`load_exports` reads a folder of definitions. If anything is wrong, it refuses the whole folder with
every fault of every file, so that nothing runs by half.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import combinations
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from schemas.definitions.definitions import Document, Faults, build, read_models
from schemas.errors import Fault
from schemas.events import Kind
from schemas.tables import Catalog, DatabaseDefinition, TableDefinition, TableKind
from schemas.topics import Topic
from sinks.editions import Mended
from sinks.exports.definition import ExportDefinition
from sinks.exports.fitting import fit
from sinks.exports.types import EXPORT_TYPES, ExportType, Increment, Line
from sinks.locations import TRANSFERBOX, Terms
from sinks.rendering import zones
from sinks.rendering.layout import (
    FORMULA_BEGINNINGS,
    Formulas,
    Layout,
    RenderedColumn,
    Separator,
    ValueFormats,
)
from sinks.rendering.names import FileName
from sinks.rules.columns import Column, HeadedColumn, Subject

__all__ = ["LOCATIONS", "Export", "Identity", "load_exports"]

LOCATIONS: Final[Mapping[str, Terms]] = {TRANSFERBOX: Terms()}
"""The locations of an installation without any of its own: the transferbox."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The identity of an export: a change of any of these makes another export (SPEC §4)."""

    name: str
    database: str
    table: str | None
    type: str
    event: str

    def __str__(self) -> str:
        table = f", table {self.table}" if self.table else ""
        return f"{self.type}/{self.event} (database {self.database}{table})"


@dataclass(frozen=True, slots=True)
class Export:
    """A definition with its subject and columns: all that a close needs, even years later."""

    definition: ExportDefinition
    subject: Subject
    columns: tuple[HeadedColumn, ...]

    @property
    def name(self) -> str:
        """The export's name, with which its file names begin by default."""
        return self.definition.name

    @property
    def type(self) -> ExportType:
        """The declaration of its export type."""
        return EXPORT_TYPES[self.definition.type]

    @property
    def increment(self) -> Increment:
        """The declaration of its event type."""
        return self.type.increments[self.definition.event]

    @property
    def identity(self) -> Identity:
        """The export's identity."""
        definition = self.definition
        return Identity(
            definition.name,
            definition.database,
            definition.table,
            definition.type,
            definition.event,
        )

    @property
    def zone_name(self) -> str:
        """The time zone of its schedule, of its values and of its file names."""
        return self.definition.schedule.time_zone

    def mended_since(self, edition: int) -> tuple[Mended, ...]:
        """The export's rules that were mended after an edition."""
        return tuple(rule for rule in self.increment.rule.mended if rule.edition > edition)

    @property
    def catalog(self) -> Catalog:
        """The definitions that its closes read events by, whatever they are today."""
        database, table = self.subject.database, self.subject.table
        tables = {(database.name, table.name): table} if table is not None else {}
        return Catalog({database.name: database}, tables)

    def topic(self, prefix: str) -> Topic:
        """The topic whose events make its lines."""
        return Topic(self.increment.kind, self.definition.database, self.definition.table, prefix)

    def topics_read(self, prefix: str) -> tuple[Topic, ...]:
        """The topics that the export's closes read: its own first, then those of its state."""
        own = self.topic(prefix)
        topics = [own]
        if self.type.table is not TableKind.REPOSITORY:
            topics.append(Topic(Kind.PROFILE, own.database, prefix=prefix))
        if self.type.line is Line.ACTIVITY:
            topics.append(Topic(Kind.CAMPAIGN, prefix=prefix))
        return tuple(dict.fromkeys(topics))

    @property
    def layout(self) -> Layout:
        """The settings for rendering its rows."""
        formats, file = self.definition.formats, self.definition.file
        return Layout(
            columns=[
                RenderedColumn(headed.column.name, headed.header, self.escapes(headed.column))
                for headed in self.columns
            ],
            formats=ValueFormats(
                formats.boolean,
                formats.date,
                formats.moment,
                formats.values_separator,
                self.zone_name,
            ),
            separator=Separator[file.separator.upper()],
            compression=file.compression,
        )

    def escapes(self, column: Column) -> bool:
        """Whether formulas in a column's values are escaped: only in text attributes."""
        is_escaped = self.definition.formats.formulas is Formulas.ESCAPE
        return is_escaped and column.is_text_attribute

    @property
    def formula_headers(self) -> tuple[str, ...]:
        """The headers that a spreadsheet would take for a formula; they are never escaped."""
        headers = (headed.header for headed in self.columns)
        return tuple(header for header in headers if header.startswith(FORMULA_BEGINNINGS))

    def file_name(self, close: datetime, revision: int = 0) -> FileName:
        """The name of the file of the window that ends at `close` (a moment with a zone)."""
        stem = self.definition.name_pattern.at(self._local(close))
        return FileName(stem, revision, self.definition.file.compression)

    def inner_name(self, close: datetime, revision: int = 0) -> str | None:
        """The name of the file in that window's archive; None without an archive."""
        pattern = self.definition.inner_name_pattern
        return None if pattern is None else str(FileName(pattern.at(self._local(close)), revision))

    def delivered_to(self, locations: Sequence[str]) -> Export:
        """A copy of the export that is delivered to these locations."""
        definition = self.definition.model_copy(update={"deliver": tuple(locations)})
        return replace(self, definition=definition)

    def _local(self, moment: datetime) -> datetime:
        return moment.astimezone(zones.zone(self.zone_name))

    def to_json(self) -> str:
        """The whole export as one line of JSON with sorted keys, as the ledger stores it."""
        stored = _Stored(
            definition=self.definition,
            database=self.subject.database,
            table=self.subject.table,
            columns=self.columns,
        )
        return json.dumps(
            stored.model_dump(mode="json", by_alias=True), sort_keys=True, ensure_ascii=False
        )

    @classmethod
    def from_json(cls, text: str) -> Export:
        """Parse the output of `to_json`; today's definitions and databases don't matter."""
        stored = _Stored.model_validate_json(text)
        return cls(stored.definition, Subject(stored.database, stored.table), stored.columns)


class _Stored(BaseModel):
    """The form of an export in the ledger."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    definition: ExportDefinition
    database: DatabaseDefinition
    table: TableDefinition | None
    columns: tuple[HeadedColumn, ...]


class _AnyDefinition(BaseModel):
    """A file that defines an export, with any other content."""


def load_exports(
    folder: Path, catalog: Catalog, locations: Mapping[str, Terms] = LOCATIONS
) -> tuple[Export, ...]:
    """Load all exports of `folder`, sorted by name.

    locations: the locations of the installation, with what a receiver gets at each. Raises
    DefinitionError with every fault of every file.
    """
    faults = Faults()
    documents = [
        found.document for found in read_models(folder, {"export": _AnyDefinition}, faults)
    ]
    loaded = [
        found for document in documents if (found := _load(document, catalog, locations, faults))
    ]
    _refuse_double_names(documents, faults)
    _refuse_shared_files(loaded, faults)
    faults.raise_if_any()
    return tuple(sorted((export for export, _ in loaded), key=lambda export: export.name))


def _load(
    document: Document, catalog: Catalog, locations: Mapping[str, Terms], faults: Faults
) -> tuple[Export, Document] | None:
    """Load one export with its document; None if it has faults, which are added sorted by line."""
    own = Faults()
    definition = build(document, ExportDefinition, own)
    fitted = fit(document, catalog, locations, own)
    faults.found.extend(sorted(own.found, key=_line))
    if definition is None or fitted is None or own.found:
        return None
    return Export(definition, fitted.subject, fitted.columns), document


def _line(fault: Fault) -> int:
    return int(fault.where.rpartition(":")[2])


def _refuse_double_names(documents: list[Document], faults: Faults) -> None:
    first: dict[str, Document] = {}
    for document in documents:
        name = str(document.data["export"])
        known = first.setdefault(name.lower(), document)
        if known is not document:
            what = f"field 'export': '{name}' is defined twice (upper and lower case are the same)"
            faults.add(document.where(("export",)), what, f"first at {known.where(('export',))}")


def _refuse_shared_files(loaded: list[tuple[Export, Document]], faults: Faults) -> None:
    """Add a fault for each two exports whose files could have the same name, as a receiver may
    collect them in one folder.
    """
    for (first, at), (other, other_at) in combinations(loaded, 2):
        if first.name.lower() == other.name.lower():
            continue
        if first.definition.name_pattern.could_equal(other.definition.name_pattern):
            what = f"field 'export': files of '{other.name}' and '{first.name}' could have one name"
            hint = f"change name, suffix or file name here or at {at.where(('export',))}"
            faults.add(other_at.where(("export",)), what, hint)
