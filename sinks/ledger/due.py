"""The closes that are due: of each export, the instants that have passed and aren't closed yet."""

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

__all__ = ["Due", "close_of_window", "closed_until", "due_closes", "initial_closes", "window_begin"]


@dataclass(frozen=True, slots=True, order=True)
class Due:
    """A close that can run: its instant, and the name of the export."""

    instant: dt.datetime
    export: str


def due_closes(exports: Iterable[Export], ledger: Ledger, now: dt.datetime) -> list[Due]:
    """Return the closes that are due at `now`, oldest first, and by export name at the same
    instant.

    A close that was begun and not finished comes before the export's later closes. A new export's
    first close is at the last instant that has passed.
    """
    return sorted(
        Due(instant, export.name) for export in exports for instant in _due(export, ledger, now)
    )


def initial_closes(exports: Iterable[Export], ledger: Ledger, now: dt.datetime) -> list[Due]:
    """Return a close for the initial drop of each export.

    It is the close that was begun and not finished, if there is one; otherwise a close at `now`, to
    the second.
    """
    second = now.replace(microsecond=0)
    return sorted(
        Due(_begun(export, ledger, list(ledger.closes(export.name))) or second, export.name)
        for export in exports
    )


def closed_until(export: Export, ledger: Ledger) -> dt.datetime | None:
    """Return the end of the last window that an export began to close; None if there is none.

    An instant in the future means that a clock was ahead.
    """
    return max(ledger.closes(export.name), default=None)


def close_of_window(export: str, ledger: Ledger, instant: dt.datetime) -> dt.datetime | None:
    """Return the close that has the events of the window that ends at `instant`: the first one that
    ends at or after it. None if it hasn't begun.
    """
    return next((close for close in ledger.closes(export) if close >= instant), None)


def window_begin(
    export: Export, ledger: Ledger, instant: dt.datetime, intent: Intent | None
) -> dt.datetime:
    """Return the beginning of the window that ends at `instant`.

    intent: the close's intent, which has the beginning; None: the beginning that a close would
    choose now.
    """
    if intent is not None:
        return intent.window_start
    earlier = [close for close in ledger.closes(export.name) if close < instant]
    return earlier[-1] if earlier else first_start(export, instant)


def _begun(export: Export, ledger: Ledger, closes: list[dt.datetime]) -> dt.datetime | None:
    """Return the close that was begun and not finished; it may not have an intent yet."""
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
