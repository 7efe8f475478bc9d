"""Classes for the declaration of export types: what a line stands for, and which events make it
(SPEC §2).

`sinks.exports.types` has the declarations.
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
    """A row that exists at the cut, with its values at the cut; lines sorted by id."""
    CHANGE = "change"
    """An event on a profile or a row; lines sorted by partition and offset."""
    ACTIVITY = "activity"
    """An event on an interaction of an active campaign; lines sorted by partition and offset."""


@dataclass(frozen=True, slots=True)
class Increment:
    """One event type of an export, and what makes its lines.

    kind, feeds: the kind and event types of the input of its drops. rule: decides the outcome of
    each event. meaning: a phrase for documentation and summaries. with_profile: whether `profile-`
    columns may be added. source_filter: whether definitions may filter by source. needs: a column
    that the database must have; without it the event type isn't offered.
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
    """One export type: its event types by name, and the kind of custom table it needs, if any."""

    name: str
    line: Line
    increments: Mapping[str, Increment]
    table: TableKind | None = None
