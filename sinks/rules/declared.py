"""What distinguishes one export from the others, as the page of export types declares it (SPEC §3).

This module doesn't import the engine, so definitions are read and checked without it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from schemas.events import EventType
from sinks.editions import LATEST_DELETIONS, UPDATES_AT_CREATION, Mended

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["FactRule", "FirstOf", "RowRule"]


class FirstOf(Enum):
    """The subject of which only the first fact is exported (SPEC §3, *Activities*)."""

    INTERACTION = "interaction"
    LINK = "link"
    """An interaction's link, identified by `clickedUrl`."""


@dataclass(frozen=True, slots=True)
class FactRule:
    """What distinguishes one export of facts from the others.

    filtered: which facts are never exported. filtered_by: the place in SPEC §3 that says so. reads:
    the fields that `filtered` and `first_of` read. until_downloaded: whether a fact is exported
    only while its interaction isn't downloaded.
    """

    filtered: Callable[[ir.Table], ir.BooleanValue] | None = None
    filtered_by: str = ""
    reads: tuple[str, ...] = ()
    first_of: FirstOf | None = None
    until_downloaded: bool = False

    @property
    def mended(self) -> tuple[Mended, ...]:
        """The parts of this rule that were corrected after drops had been made by it."""
        return (LATEST_DELETIONS,)


@dataclass(frozen=True, slots=True)
class RowRule:
    """What distinguishes one export of rows from the others: the events that make a line."""

    makes_lines: tuple[EventType, ...]

    @property
    def mended(self) -> tuple[Mended, ...]:
        """The parts of this rule that were corrected after drops had been made by it."""
        updates = (UPDATES_AT_CREATION,) if EventType.UPDATED in self.makes_lines else ()
        return (*updates, LATEST_DELETIONS)
