"""Close windows that are due, in order: what the command `close` and the scheduler share.

What differs between them is a policy: when to go on, what to do with a close that doesn't succeed,
whom to tell.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import Protocol

from schemas.errors import DeltadropError, LedgerError
from schemas.settings.settings import Settings
from sinks.closing.completeness import Lag
from sinks.closing.deliveries import Deliveries
from sinks.closing.running import attempt
from sinks.exports.export import Export
from sinks.ledger.due import Due, closed_until, due_closes
from sinks.ledger.outcome import CloseOutcome
from sinks.repair.sweep import Sweeper
from sinks.service.under_way import ClosesUnderWay
from sinks.setup import Sinks

__all__ = [
    "CloseListener",
    "ClosePolicy",
    "close_in_order",
    "due_of",
    "reporting_sweeper",
    "waiting",
]


class CloseListener(Protocol):
    """Is called with what comes of closes; none of these raises."""

    def settle(self, exports: Iterable[Export]) -> None:
        """Find what came of earlier closes and wasn't reported."""

    def delivered(self, export: Export, instant: dt.datetime, outcome: CloseOutcome) -> None:
        """A window was closed and its drop delivered."""

    def troubled(self, export: Export, instant: dt.datetime, error: DeltadropError) -> None:
        """A close was held, or failed."""

    def late(self, export: Export, instants: Sequence[dt.datetime]) -> None:
        """These windows of an export aren't closed yet."""

    def revised(self, exports: Iterable[Export]) -> None:
        """Drops may have been made again, by this run or another."""

    def revision_failed(
        self, exports: Iterable[Export], export: str, instant: dt.datetime, error: DeltadropError
    ) -> None:
        """What was begun of a drop can't be finished: it may be a revision."""

    def send(self) -> None:
        """Send the reports now."""


class ClosePolicy(Protocol):
    """How a run of closes goes about it."""

    @property
    def initial(self) -> bool:
        """Whether the closes are to be initial drops."""

    def goes_on(self) -> bool:
        """Whether the next close may begin; asked before each."""

    def tries(self, export: str) -> bool:
        """Whether an export may be tried now."""

    def begins_instant(self, instant: dt.datetime) -> None:
        """Is called before the closes of an instant."""

    def ends_instant(self, instant: dt.datetime) -> None:
        """Is called after them."""

    def begins(self, due: Due) -> None:
        """A close begins."""

    def waits(self, due: Due, lags: Sequence[Lag]) -> None:
        """A close waits for workers."""

    def delivers(self, due: Due) -> None:
        """A close is still delivering; others go on beside it."""

    def closed(self, export: Export, due: Due, outcome: CloseOutcome) -> None:
        """A window was closed."""

    def failed(self, export: Export, due: Due, error: DeltadropError) -> None:
        """A close didn't succeed."""


def close_in_order(
    sinks: Sinks, due: Iterable[Due], under_way: ClosesUnderWay, policy: ClosePolicy
) -> list[Due] | None:
    """Close windows, oldest first; an export whose window isn't done isn't closed at later ones.

    under_way: has the turn. Returns what wasn't tried or didn't succeed; None where the policy
    ended it before the end.
    """
    exports = {export.name: export for export in sinks.exports}
    stopped = under_way.exports()  # an export's windows are closed in order
    left: list[Due] = []
    for instant, together in groupby(sorted(due), key=lambda window: window.instant):
        policy.begins_instant(instant)
        for window in together:
            if not policy.goes_on():
                return None
            if window.export in stopped or not policy.tries(window.export):
                left.append(window)
            else:
                work = partial(_close, sinks, exports[window.export], window, policy)
                done = under_way.run(window.export, work)
                if done:
                    continue
                if done is None:
                    policy.delivers(window)
                else:
                    left.append(window)
            stopped.add(window.export)
        policy.ends_instant(instant)
    return left


def due_of(
    sinks: Sinks,
    export: Export,
    until: dt.datetime,
    unreadable: Callable[[dt.datetime, LedgerError], None],
    find: Callable[..., Iterable[Due]] = due_closes,
) -> Iterator[Due]:
    """Yield an export's windows that are due at a moment. unreadable: is called with the end of its
    last window where its ledger can't be read: the others don't wait for it.
    """
    try:
        yield from find([export], sinks.ledger, until)
    except LedgerError as error:
        unreadable(closed_until(export, sinks.ledger) or until, error)


def reporting_sweeper(sinks: Sinks, listener: CloseListener) -> Sweeper:
    """Return what finishes revisions that were begun, and reports those that it can't."""
    return replace(sinks.sweeper, failed=partial(listener.revision_failed, sinks.exports))


def waiting(settings: Settings, seconds: float) -> Settings:
    """Return settings by which a close itself waits for workers so long at most."""
    return settings.model_copy(
        update={"close": settings.close.model_copy(update={"wait_seconds": seconds})}
    )


def _close(
    sinks: Sinks,
    export: Export,
    due: Due,
    policy: ClosePolicy,
    beside: Callable[[Deliveries], Deliveries],
) -> bool:
    """Try one close; return whether it succeeded."""
    closer = replace(sinks.closer, deliveries=beside(sinks.closer.deliveries))
    policy.begins(due)
    try:
        progress = partial(policy.waits, due)
        outcome = attempt(closer, export, due.instant, progress, initial=policy.initial)
    except DeltadropError as error:
        policy.failed(export, due, error)
        return False
    policy.closed(export, due, outcome)
    return True
