"""Editions of the rules: what of SPEC §3 was mended after drops had been made by it.

An intent names the edition that it was decided by; a close that is finished later, and a drop whose
bytes are proven, keep to it. A redrop goes by today's: where that gives other bytes, it is a
revision whose reason names the mended rules.
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
    """A rule that was mended. edition: the first that has it as it is now; rule: where SPEC has it;
    sentence: what it says now.
    """

    edition: int
    rule: str
    sentence: str

    def __str__(self) -> str:
        """For manifests, reports and people."""
        return f"{self.sentence} ({self.rule})"


FIRST_EDITION: Final = 1
"""That of intents which name none."""

UPDATES_AT_CREATION: Final = Mended(
    2, "SPEC §3, Rows", "UPDATED at the creation's moment counts in a later window"
)
"""The first edition left out every UPDATED whose moment, or whose row's updateMoment, equals the
row's creationMoment: in no window, so that it was in no drop.
"""

LATEST_DELETIONS: Final = Mended(
    3, "SPEC §3, Readings settled", "a row's latest deletion is the one that occurred last"
)
"""Earlier editions took the one that was appended last: a deletion that was recorded late ended a
life that began after it, too.
"""

WAITED_ARE_LATE: Final = Mended(
    3, "SPEC §3, Readings settled", "facts that waited for their campaign count as late rows"
)
"""Earlier editions counted late rows among the records between the cuts only. It changes no drop's
bytes: its manifest alone.
"""

EDITION: Final = LATEST_DELETIONS.edition
"""Today's."""


def named(mended: Iterable[Mended]) -> str:
    """Why a drop was made again, where rules were mended since."""
    return f"made again by a mended rule: {'; '.join(map(str, mended))}"


def refuse_later(edition: int, drop: str) -> None:
    """Raise CloseError where a drop was decided by an edition that this release doesn't know."""
    if edition > EDITION:
        raise CloseError(
            what=f"was decided by edition {edition} of the rules, this release knows {EDITION}",
            where=drop,
            hint="a later release has begun it: go on with that one",
        )
