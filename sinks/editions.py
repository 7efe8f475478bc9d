"""Editions of the rules: the rules of SPEC §3 that were mended after drops had been made by them.

An intent names the edition that decided its drop. A close that is finished later uses that edition,
and so does the proof of a drop's bytes. A redrop uses today's edition. If that gives other bytes,
the redrop is a revision whose reason names the mended rules.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from schemas.errors import CloseError

__all__ = [
    "EDITION",
    "FIRST_EDITION",
    "LATEST_DELETIONS",
    "UPDATES_AT_CREATION",
    "WAITED_ARE_LATE",
    "Mended",
    "named",
    "refuse_later",
]


@dataclass(frozen=True, slots=True)
class Mended:
    """A rule that was mended.

    edition: the first edition with the current rule. rule: its place in SPEC. sentence: what it
    says now.
    """

    edition: int
    rule: str
    sentence: str

    def __str__(self) -> str:
        """The sentence and its place, for manifests, reports and people."""
        return f"{self.sentence} ({self.rule})"


FIRST_EDITION: Final = 1
"""The edition of intents that don't name one."""

UPDATES_AT_CREATION: Final = Mended(
    2, "SPEC §3, Rows", "UPDATED at the creation's moment counts in a later window"
)
"""The first edition left out every UPDATED whose moment, or whose row's updateMoment, equals the
row's creationMoment. It did so in every window, so that the update was in no drop.
"""

LATEST_DELETIONS: Final = Mended(
    3, "SPEC §3, Readings settled", "a row's latest deletion is the one that occurred last"
)
"""Earlier editions used the deletion that was appended last. So a deletion that was recorded late
also ended a life that began after it.
"""

WAITED_ARE_LATE: Final = Mended(
    3, "SPEC §3, Readings settled", "facts that waited for their campaign count as late rows"
)
"""Earlier editions counted late rows only among the records between the cuts. The change affects
manifests only, and no drop's bytes.
"""

EDITION: Final = LATEST_DELETIONS.edition
"""Today's edition."""


def named(mended: Iterable[Mended]) -> str:
    """The reason of a revision that was made because rules were mended."""
    return f"made again by a mended rule: {'; '.join(map(str, mended))}"


def refuse_later(edition: int, drop: str) -> None:
    """Raise CloseError if a drop was decided by an edition that this release doesn't have."""
    if edition > EDITION:
        raise CloseError(
            what=f"was decided by edition {edition} of the rules, this release knows {EDITION}",
            where=drop,
            hint="a later release has begun it: go on with that one",
        )
