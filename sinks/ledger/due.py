"""The closes that are due: every instant that has passed and isn't closed yet, oldest first."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sinks.exports.export import Export
from sinks.exports.schedule import first_start, next_close
from sinks.instants import day_before, due_instants
from sinks.ledger.intent import Intent
from sinks.ledger.ledger import Ledger
from sinks.rendering.zones import zone

__all__ = ["Due", "closed_until", "due_closes", "initial_closes", "window_begin"]


@dataclass(frozen=True, slots=True, order=True)
class Due:
    """A close that can run: its instant, and the name of the export."""

    instant: dt.datetime
    export: str


def due_closes(exports: Iterable[Export], ledger: Ledger, now: dt.datetime) -> list[Due]:
    """The closes that are due at `now`, oldest first; those at one instant by the export's name.

    A close that was begun and not finished comes before the export's later ones. A new export's
    first close is at the last instant that has passed.
    """
    return sorted(
        Due(instant, export.name) for export in exports for instant in _due(export, ledger, now)
    )


def initial_closes(exports: Iterable[Export], ledger: Ledger, now: dt.datetime) -> list[Due]:
    """The closes of initial drops without a given instant, one per export: the close that was begun
    and not finished, or else one at `now`, to the second.
    """
    second = now.replace(microsecond=0)
    return sorted(
        Due(_begun(export, ledger, list(ledger.closes(export.name))) or second, export.name)
        for export in exports
    )


def closed_until(export: Export, ledger: Ledger) -> dt.datetime | None:
    """The end of the last window that an export began to close; None if there is none.

    A moment in the future means that the clock was ahead.
    """
    return max(ledger.closes(export.name), default=None)


def window_begin(
    export: Export, ledger: Ledger, instant: dt.datetime, intent: Intent | None
) -> dt.datetime:
    """The beginning of the window that ends at `instant`.

    intent: the close's; it has the beginning. None: the beginning that a close would choose now.
    """
    if intent is not None:
        return intent.window_start
    earlier = [close for close in ledger.closes(export.name) if close < instant]
    return earlier[-1] if earlier else first_start(export, instant)


def _begun(export: Export, ledger: Ledger, closes: list[dt.datetime]) -> dt.datetime | None:
    """The close that was begun and not finished, with an intent or killed just before it."""
    last = closes[-1] if closes else None
    if last is not None and ledger.outcome(export.name, last) is None:
        return last
    return ledger.claimed(export.name, last)


def _due(export: Export, ledger: Ledger, now: dt.datetime) -> Iterator[dt.datetime]:
    schedule, own_zone = export.definition.schedule, zone(export.zone_name)
    closes = list(ledger.closes(export.name))
    begun = _begun(export, ledger, closes)
    if begun:
        yield begun
    elif not closes:
        last = day_before(next_close(export, now), schedule.hour, own_zone)
        yield from [last] if last <= now else []
        return
    yield from due_instants(begun or closes[-1], now, schedule.hour, own_zone)
