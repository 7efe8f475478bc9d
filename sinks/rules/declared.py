"""What sets one export apart from the others, as the page of export types declares it (SPEC §3).

Nothing here knows the engine: a definition is read and checked without it.
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
    """Of what only the first fact is exported (SPEC §3, *Activities*)."""

    INTERACTION = "interaction"
    LINK = "link"
    """Of an interaction's link: see `clickedUrl`."""


@dataclass(frozen=True, slots=True)
class FactRule:
    """What sets one export of facts apart from the others.

    filtered: which facts are never exported, and filtered_by: where SPEC §3 says so; reads: the
    fields that this and `first_of` look at. until_downloaded: whether a fact is exported only as
    long as its interaction wasn't downloaded.
    """

    filtered: Callable[[ir.Table], ir.BooleanValue] | None = None
    filtered_by: str = ""
    reads: tuple[str, ...] = ()
    first_of: FirstOf | None = None
    until_downloaded: bool = False

    @property
    def mended(self) -> tuple[Mended, ...]:
        """The rules of it that were mended since there are drops by it."""
        return (LATEST_DELETIONS,)


@dataclass(frozen=True, slots=True)
class RowRule:
    """What sets one export of rows apart from the others: the events that make a line."""

    makes_lines: tuple[EventType, ...]

    @property
    def mended(self) -> tuple[Mended, ...]:
        """The rules of it that were mended since there are drops by it."""
        updates = (UPDATES_AT_CREATION,) if EventType.UPDATED in self.makes_lines else ()
        return (*updates, LATEST_DELETIONS)
