"""Close the windows that are due, in order, for the command `close` and for the scheduler.

A policy says in what the two differ: when to continue, what to do after a failure, and whom to
inform.
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
    """Receives the results of closes; none of its methods raises."""

    def settle(self, exports: Iterable[Export]) -> None:
        """Find results of earlier closes that weren't reported yet."""

    def delivered(self, export: Export, instant: dt.datetime, outcome: CloseOutcome) -> None:
        """Note that a window was closed and its drop delivered."""

    def troubled(self, export: Export, instant: dt.datetime, error: DeltadropError) -> None:
        """Note that a close was held or failed."""

    def late(self, export: Export, instants: Sequence[dt.datetime]) -> None:
        """Note the windows of an export that aren't closed yet."""

    def revised(self, exports: Iterable[Export]) -> None:
        """Note that drops may have been made again, by this run or another one."""

    def revision_failed(
        self, exports: Iterable[Export], export: str, instant: dt.datetime, error: DeltadropError
    ) -> None:
        """Note that something begun of a drop can't be finished; it may be a revision."""

    def ended(self, exports: Iterable[Export]) -> None:
        """Note that troubles which were reported may be over."""

    def send(self) -> None:
        """Send the reports now."""


class ClosePolicy(Protocol):
    """Decides how a run of closes proceeds, and is called with its events."""

    @property
    def initial(self) -> bool:
        """Whether the closes are to be initial drops."""

    def goes_on(self) -> bool:
        """Whether the next close may begin; called before each close."""

    def tries(self, export: str) -> bool:
        """Whether an export may be tried now."""

    def begins_instant(self, instant: dt.datetime) -> None:
        """Prepare the closes of an instant; called before them."""

    def ends_instant(self, instant: dt.datetime) -> None:
        """Complete the closes of an instant; called after them."""

    def begins(self, due: Due) -> None:
        """Note that a close begins."""

    def waits(self, due: Due, lags: Sequence[Lag]) -> None:
        """Note that a close waits for workers."""

    def delivers(self, due: Due) -> None:
        """Note that a close still delivers while other closes run beside it."""

    def closed(self, export: Export, due: Due, outcome: CloseOutcome) -> None:
        """Note that a window was closed."""

    def failed(self, export: Export, due: Due, error: DeltadropError) -> None:
        """Note that a close didn't succeed."""


def close_in_order(
    sinks: Sinks, due: Iterable[Due], under_way: ClosesUnderWay, policy: ClosePolicy
) -> bool:
    """Close windows, oldest first. After a window that isn't done, the export's later windows are
    left.

    under_way: the caller holds its turn. Returns False if the policy stopped the run. What came of
    each window, only the policy is told: closes may still deliver.
    """
    exports = {export.name: export for export in sinks.exports}
    stopped = under_way.exports()  # the windows of an export are closed in order
    for instant, together in groupby(sorted(due), key=lambda window: window.instant):
        policy.begins_instant(instant)
        for window in together:
            if not policy.goes_on():
                return False
            if window.export not in stopped and policy.tries(window.export):
                work = partial(_close, sinks, exports[window.export], window, policy)
                done = under_way.run(window.export, work)
                if done:
                    continue
                if done is None:
                    policy.delivers(window)
            stopped.add(window.export)
        policy.ends_instant(instant)
    return True


def due_of(
    sinks: Sinks,
    export: Export,
    until: dt.datetime,
    unreadable: Callable[[dt.datetime, LedgerError], None],
    find: Callable[..., Iterable[Due]] = due_closes,
) -> Iterator[Due]:
    """Yield an export's windows that are due at `until`.

    unreadable: called if the export's ledger can't be read, with the end of its last window
    (`until` if it has none). Other exports aren't affected.
    """
    try:
        yield from find([export], sinks.ledger, until)
    except LedgerError as error:
        unreadable(closed_until(export, sinks.ledger) or until, error)


def reporting_sweeper(sinks: Sinks, listener: CloseListener) -> Sweeper:
    """Return a sweeper that reports to the listener each drop that it can't finish."""
    return replace(sinks.sweeper, failed=partial(listener.revision_failed, sinks.exports))


def waiting(settings: Settings, seconds: float) -> Settings:
    """Return settings by which a single close waits for workers at most `seconds`."""
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
