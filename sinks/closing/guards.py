"""Guard rails: a drop that breaks one isn't sent until a person releases it. A held drop is
complete.

Guard rails apply to deltas. An initial drop, which a person closes, has none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from sinks.drops.manifest import Manifest
from sinks.exports.definition import GuardRailsDefinition
from sinks.exports.export import Export
from sinks.exports.schedule import first_start
from sinks.instants import close_instant
from sinks.ledger.intent import Intent
from sinks.ledger.ledger import Ledger
from sinks.rendering.zones import zone
from sinks.rules.outcome import Outcome
from sinks.wording import counted

__all__ = ["Figures", "broken", "rows_of_weekday"]

_USUAL_DROPS: Final = 4
"""Earlier drops of a weekday to compare with, if the definition has no number."""
_FEWEST_DROPS: Final = 2
"""Fewest earlier drops of a weekday to compare with: a single one says little."""


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures that guard rails check.

    unknown_campaigns: activities whose campaign isn't known, including those that still wait
    for it.
    """

    rows: int
    unknown_campaigns: int
    late_rows: int
    dead_letters: int

    @classmethod
    def of(cls, manifest: Manifest) -> Figures:
        """Take the figures from a drop's manifest."""
        outcomes = manifest.balance.outcomes
        unknown = (Outcome.WAITING, Outcome.UNKNOWN_CAMPAIGN)
        return cls(
            rows=outcomes.get(Outcome.EXPORTED.label, 0),
            unknown_campaigns=sum(outcomes.get(outcome.label, 0) for outcome in unknown),
            late_rows=sum(manifest.late_rows.values()),
            dead_letters=outcomes.get(Outcome.DEAD_LETTER.label, 0),
        )


def broken(
    rails: GuardRailsDefinition, figures: Figures, earlier: Callable[[int], Sequence[int]]
) -> tuple[str, ...]:
    """Return a sentence for each guard rail that a drop breaks; empty if it breaks none.

    earlier: returns the rows of up to that many earlier drops of the same weekday.
    """
    found = [*_rows(rails, figures.rows), *_at_most(rails, figures)]
    if rails.weekday_percent is not None:
        drops = earlier(rails.weekday_drops or _USUAL_DROPS)
        found += _weekday(figures.rows, rails.weekday_percent, drops)
    return tuple(found)


def rows_of_weekday(ledger: Ledger, export: Export, intent: Intent, drops: int) -> list[int]:
    """Return the rows of earlier drops that closed on the same weekday, latest first.

    Only drops of a whole regular window at the export's hour count. Empty if the window of this
    intent doesn't end at the export's hour. drops: how many at most.
    """
    own, hour = zone(export.zone_name), export.definition.schedule.hour
    local = intent.instant.astimezone(own)
    if close_instant(local.date(), hour, own) != intent.instant:
        return []
    rows: list[int] = []
    for instant in reversed(list(ledger.closes(export.name))):
        then = instant.astimezone(own)
        at_its_hour = close_instant(then.date(), hour, own) == instant
        if instant >= intent.instant or then.weekday() != local.weekday() or not at_its_hour:
            continue
        before, outcome = ledger.intent(export.name, instant), ledger.outcome(export.name, instant)
        of_a_day = before is not None and before.window_start == first_start(export, instant)
        if outcome is not None and of_a_day:
            rows.append(outcome.rows)
        if len(rows) == drops:
            break
    return rows


def _rows(rails: GuardRailsDefinition, rows: int) -> Iterator[str]:
    if rails.rows_at_least is not None and rows < rails.rows_at_least:
        yield f"{counted(rows, 'row')}, at least {rails.rows_at_least} are expected"
    if rails.rows_at_most is not None and rows > rails.rows_at_most:
        yield f"{counted(rows, 'row')}, at most {rails.rows_at_most} are expected"


def _at_most(rails: GuardRailsDefinition, figures: Figures) -> Iterator[str]:
    for limit, number, singular, plural in (
        (
            rails.unknown_campaigns_at_most,
            figures.unknown_campaigns,
            "activity of a campaign that isn't known",
            "activities of campaigns that aren't known",
        ),
        (rails.late_rows_at_most, figures.late_rows, "late row", "late rows"),
        (rails.dead_letters_at_most, figures.dead_letters, "dead letter", "dead letters"),
    ):
        if limit is not None and number > limit:
            yield f"{counted(number, singular, plural)}, at most {limit} are expected"


def _weekday(rows: int, percent: int, earlier: Sequence[int]) -> Iterator[str]:
    usual = median(earlier) if len(earlier) >= _FEWEST_DROPS else 0
    if not usual:
        return  # nothing to compare with
    low = max(math.floor(usual * (100 - percent) / 100), 0)
    high = math.ceil(usual * (100 + percent) / 100)
    if not low <= rows <= high:
        what = f"{counted(rows, 'row')}, {low} to {high} are expected"
        yield f"{what} ({percent} % around {usual:g}, the median of this weekday's last drops)"
