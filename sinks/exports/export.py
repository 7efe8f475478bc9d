"""Exports: definitions together with what they mean on the customer's databases.

`load_exports` reads a folder of definitions and refuses it whole, with every fault of every file,
if anything is wrong: nothing half-runs.
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
from sinks.rendering.formats import ValueFormats
from sinks.rendering.names import FileName
from sinks.rendering.render import Layout, RenderedColumn, Separator
from sinks.rules.columns import HeadedColumn, Subject

__all__ = ["LOCATIONS", "Export", "Identity", "load_exports"]

LOCATIONS: Final[Mapping[str, Terms]] = {TRANSFERBOX: Terms()}
"""Where drops can go before any other location is set up."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes an export the same one: a change of any of these is a new export (SPEC §4)."""

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
    """A definition and what it means: all that a close needs to know, also when it is run again
    years later.
    """

    definition: ExportDefinition
    subject: Subject
    columns: tuple[HeadedColumn, ...]

    @property
    def name(self) -> str:
        """The export's name, which is its file prefix."""
        return self.definition.name

    @property
    def type(self) -> ExportType:
        """Its declaration among the export types."""
        return EXPORT_TYPES[self.definition.type]

    @property
    def increment(self) -> Increment:
        """The declaration of its event type."""
        return self.type.increments[self.definition.event]

    @property
    def identity(self) -> Identity:
        """What makes it another export if it changes."""
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
        """The rules of it that were mended after an edition of the rules."""
        return tuple(rule for rule in self.increment.rule.mended if rule.edition > edition)

    def topic(self, prefix: str) -> Topic:
        """The topic whose events make its lines."""
        return Topic(self.increment.kind, self.definition.database, self.definition.table, prefix)

    def topics_read(self, prefix: str) -> tuple[Topic, ...]:
        """Return the topics that its closes read: its own first, then those of its state."""
        own = self.topic(prefix)
        topics = [own]
        if self.type.table is not TableKind.REPOSITORY:
            topics.append(Topic(Kind.PROFILE, own.database, prefix=prefix))
        if self.type.line is Line.ACTIVITY:
            topics.append(Topic(Kind.CAMPAIGN, prefix=prefix))
        return tuple(dict.fromkeys(topics))

    @property
    def layout(self) -> Layout:
        """How its rows become bytes."""
        formats, file = self.definition.formats, self.definition.file
        return Layout(
            columns=[RenderedColumn(headed.column.name, headed.header) for headed in self.columns],
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

    def file_name(self, close: datetime, revision: int = 0) -> FileName:
        """The name of the file of the window that ends at `close` (a moment with a zone)."""
        stem = self.definition.name_pattern.at(self._local(close))
        return FileName(stem, revision, self.definition.file.compression)

    def inner_name(self, close: datetime, revision: int = 0) -> str | None:
        """The name of the file in the archive of that window; None where none is made."""
        pattern = self.definition.inner_name_pattern
        return None if pattern is None else str(FileName(pattern.at(self._local(close)), revision))

    def delivered_to(self, locations: Sequence[str]) -> Export:
        """The same, delivered to these locations."""
        definition = self.definition.model_copy(update={"deliver": tuple(locations)})
        return replace(self, definition=definition)

    def _local(self, moment: datetime) -> datetime:
        return moment.astimezone(zones.zone(self.zone_name))

    def to_json(self) -> str:
        """The whole of it in one line, keys sorted: what the ledger keeps of a close."""
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
        """Read `to_json`'s text back, whatever the definitions and databases are today."""
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
    """A file that says it defines an export, whatever else is in it."""


def load_exports(
    folder: Path, catalog: Catalog, locations: Mapping[str, Terms] = LOCATIONS
) -> tuple[Export, ...]:
    """All exports of `folder`, by name; raises DefinitionError with every fault of every file.

    locations: the places that drops can be delivered to, and what a receiver gets there.
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
    """One export; None, and all reasons by line, if there is a fault in it."""
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
    """Two exports of different names whose files could have one name: they may be delivered to one
    folder.
    """
    for (first, at), (other, other_at) in combinations(loaded, 2):
        if first.name.lower() == other.name.lower():
            continue
        if first.definition.name_pattern.could_equal(other.definition.name_pattern):
            what = f"field 'export': files of '{other.name}' and '{first.name}' could have one name"
            hint = f"change name, suffix or file name here or at {at.where(('export',))}"
            faults.add(other_at.where(("export",)), what, hint)
