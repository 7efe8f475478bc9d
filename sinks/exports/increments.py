"""What export types are declared with: what a line stands for, and what makes one (SPEC §2).

The page of declarations is `sinks.exports.types`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from schemas.events import EventType, Kind
from schemas.tables import TableKind
from sinks.rules.columns import Offer
from sinks.rules.declared import FactRule, RowRule

__all__ = ["ExportType", "Increment", "Line"]


class Line(StrEnum):
    """What one line of an export stands for."""

    ROW = "row"
    """A row that is there at the cut, with its values as of then; lines come by id."""
    CHANGE = "change"
    """An event on a profile or a row; lines come by partition and offset."""
    ACTIVITY = "activity"
    """An event on an interaction of an active campaign; lines come by partition and offset."""


@dataclass(frozen=True, slots=True)
class Increment:
    """One event type of an export: what makes a line of it.

    kind, feeds: the events that are the input of its drops. rule: what becomes of them. meaning: a
    sentence for documentation and summaries. with_profile: whether `profile-` columns may be added.
    needs: a column that the database must have, or the export isn't offered.
    """

    meaning: str
    kind: Kind
    feeds: tuple[EventType, ...]
    columns: tuple[Offer, ...]
    rule: FactRule | RowRule = field(default_factory=FactRule)
    with_profile: bool = False
    source_filter: bool = False
    needs: str | None = None


@dataclass(frozen=True, slots=True)
class ExportType:
    """One export type: its event types by name, and the kind of custom table that it is of."""

    name: str
    line: Line
    increments: Mapping[str, Increment]
    table: TableKind | None = None
