"""The scheduler: run closes as they fall due, missed ones first (SPEC §9, `schedule`).

Several schedulers may run: the one that holds the lease works, the others stand by. An export that
is held or fails is tried again, after longer pauses each time, and doesn't stop the others. If a
partner's server hangs, that export's close continues beside the others (`sinks.service.under_way`).
The scheduler needs no state of its own: what is due is read from the ledger.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final, Protocol

import structlog

from schemas.errors import DeltadropError, HeldError, LedgerError, WaitingError
from schemas.settings.settings import Settings
from sinks.closing.completeness import Lag
from sinks.closing.deliveries import Deliveries
from sinks.exports.export import Export
from sinks.exports.schedule import next_close
from sinks.ledger.due import Due
from sinks.ledger.lease import Keeper
from sinks.ledger.outcome import CloseOutcome
from sinks.night.reload import Installed
from sinks.night.retries import Retries
from sinks.repair.sweep import Sweeper
from sinks.service.due_windows import (
    CloseListener,
    close_in_order,
    due_of,
    reporting_sweeper,
)
from sinks.service.under_way import ClosesUnderWay
from sinks.setup import Sinks

__all__ = ["Scheduler", "Stop"]

log = structlog.get_logger(__name__)
_SWEEP_PAUSE: Final = dt.timedelta(minutes=15)
"""Pause between two searches for unfinished steps of earlier runs."""
_LONGEST_PAUSE: Final = 30.0  # seconds, to see changes by others (definitions, a close by hand)
_SHORTEST_PAUSE: Final = 0.05  # seconds
_STANDBY_PAUSE: Final = 1.0  # seconds
_PAUSE_BESIDE_CLOSES: Final = 1.0  # seconds


class Stop(Protocol):
    """Asks a scheduler to stop, and lets it wait until then."""

    @property
    def requested(self) -> bool:
        """Whether the scheduler has to stop."""

    def wait(self, seconds: float) -> None:
        """Wait for some seconds, or until the scheduler has to stop."""


class Scheduler:
    """Runs closes as they fall due; a `ClosePolicy`.

    keeper: holds the lease `SCHEDULERS`. now: returns the time in UTC.
    """

    def __init__(
        self,
        settings: Settings,
        installed: Installed,
        keeper: Keeper,
        stop: Stop,
        listener: CloseListener,
        now: Callable[[], dt.datetime],
        under_way: ClosesUnderWay | None = None,
    ) -> None:
        self._under_way = under_way or ClosesUnderWay()
        self._closed: list[dt.datetime] = []
        self._settings = settings
        self._installed = installed
        self._keeper = keeper
        self._stop = stop
        self._listener = listener
        self._now = now
        self._retries = Retries(settings.schedule)
        self._swept_at: dt.datetime | None = None

    def run(self) -> None:
        """Work while the lease is held, stand by while another process holds it, until asked to
        stop.

        Closes that have begun are finished first.
        """
        log.info("scheduler started")
        working: bool | None = None
        while not self._stop.requested:
            if working != self._keeper.held:
                working = self._keeper.held
                log.info("scheduler works" if working else "scheduler stands by")
            self._stop.wait(self.round() if working else _STANDBY_PAUSE)
        self._under_way.join()
        log.info("scheduler stopped")

    def round(self) -> float:
        """Close everything that is due, oldest first, each export's closes in order.

        Returns the seconds to wait before the next round.
        """
        with self._under_way:
            sinks = self._installed.latest()
            self._listener.settle(sinks.exports)
            if not self._close_what_is_due(sinks):
                return _SHORTEST_PAUSE
            self._finish_what_was_begun(sinks)
            self._report_what_is_late(sinks)
            self._listener.ended(sinks.exports)
            self._listener.send()
            self._remake_bases(sinks)
            return self._pause(sinks)

    def _close_what_is_due(self, sinks: Sinks) -> bool:
        """Run the due closes; return False if the scheduler has to stop before the end."""
        due = self._due(sinks)
        self._retries.keep({window.export for window in due})
        return close_in_order(sinks, due, self._under_way, self)

    @property
    def initial(self) -> bool:
        """See ClosePolicy.initial."""
        return False

    def goes_on(self) -> bool:
        """See ClosePolicy.goes_on: False once it is asked to stop, or has lost the lease."""
        return not self._stop.requested and self._keeper.held

    def tries(self, export: str) -> bool:
        """See ClosePolicy.tries: False while the pause after a failure lasts."""
        return self._retries.is_due(export, self._now())

    def begins_instant(self, instant: dt.datetime) -> None:
        """See ClosePolicy.begins_instant."""

    def ends_instant(self, instant: dt.datetime) -> None:
        """See ClosePolicy.ends_instant."""

    def begins(self, due: Due) -> None:
        """See ClosePolicy.begins."""
        log.info("closing", **_fields(due))

    def waits(self, due: Due, lags: Sequence[Lag]) -> None:
        """See ClosePolicy.waits."""
        log.info("waiting for workers", **_fields(due), lags=[str(lag) for lag in lags])

    def delivers(self, due: Due) -> None:
        """See ClosePolicy.delivers."""
        log.info("still delivering", **_fields(due))

    def closed(self, export: Export, due: Due, outcome: CloseOutcome) -> None:
        """See ClosePolicy.closed."""
        self._retries.succeeded(export.name)
        self._closed.append(due.instant)
        self._listener.delivered(export, due.instant, outcome)
        self._listener.send()

    def failed(self, export: Export, due: Due, error: DeltadropError) -> None:
        """See ClosePolicy.failed: the close is tried again, after longer pauses each time."""
        now, name = self._now(), export.name
        known = {**_fields(due), "error": str(error)}
        waits = isinstance(error, WaitingError)
        if waits and self._retries.waited(name, now) < self._settings.close.wait_seconds:
            log.info("close waits", **known, again_at=self._retries.waits(name, now).isoformat())
            return
        again_at = self._retries.failed(name, now).isoformat()
        what = "close held" if isinstance(error, HeldError) else "close failed"
        log.error(what, **known, again_at=again_at)
        self._listener.troubled(export, due.instant, error)

    def _finish_what_was_begun(self, sinks: Sinks) -> None:
        """Finish unfinished steps of earlier runs, at most once per `_SWEEP_PAUSE`.

        These are revisions, and closes of exports that are no longer defined; the closes of defined
        exports are due anyway. Each export's work runs beside that of the others.
        """
        now = self._now()
        if self._swept_at is not None and abs(now - self._swept_at) < _SWEEP_PAUSE:
            return
        self._swept_at = now
        defined = {export.name for export in sinks.exports}
        sweeper = reporting_sweeper(sinks, self._listener)
        for export, instant in list(sinks.ledger.begun()):
            if not self.goes_on():
                return
            if export not in self._under_way.exports():
                self._finish(sweeper, export, instant, closes=export not in defined)
        self._listener.revised(sinks.exports)

    def _finish(self, sweeper: Sweeper, export: str, instant: dt.datetime, *, closes: bool) -> None:
        def work(beside: Callable[[Deliveries], Deliveries]) -> bool:
            reviser = sweeper.reviser
            closer = replace(reviser.closer, deliveries=beside(reviser.closer.deliveries))
            own = replace(sweeper, reviser=replace(reviser, closer=closer))
            return not own.finish(export, instant, closes=closes).left

        self._under_way.run(export, work)

    def _due(self, sinks: Sinks) -> list[Due]:
        """Return the due closes: all events appended before their instant are readable by now."""
        passed = self._now() - dt.timedelta(seconds=self._settings.close.delay_seconds)
        return sorted(
            due for export in sinks.exports for due in self._due_of(sinks, export, passed)
        )

    def _due_of(self, sinks: Sinks, export: Export, until: dt.datetime) -> Iterator[Due]:
        def unreadable(last: dt.datetime, error: LedgerError) -> None:
            log.error("can't tell what is due", export=export.name, error=str(error))
            self._listener.troubled(export, last, error)

        try:
            yield from due_of(sinks, export, until, unreadable)
        except Exception:  # an unforeseen error in one export must not stop the others
            log.exception("can't tell what is due", export=export.name)

    def _report_what_is_late(self, sinks: Sinks) -> None:
        for export in sinks.exports:
            still = [due.instant for due in self._due_of(sinks, export, self._now())]
            if still:
                self._listener.late(export, still)

    def _remake_bases(self, sinks: Sinks) -> None:
        closed, self._closed = self._closed, []
        for instant in sorted(set(closed)):
            if self._stop.requested:
                return
            sinks.rebase.remake_where_due(sinks.streams.topics.values(), instant)
        if closed:
            sinks.retention.sweep()

    def _pause(self, sinks: Sinks) -> float:
        now = self._now()
        delay = dt.timedelta(seconds=self._settings.close.delay_seconds)
        passed = now - delay
        moments = [next_close(export, passed) + delay for export in sinks.exports]
        retry = self._retries.next()
        wakes = min([*moments, *([retry] if retry else [])], default=now)
        longest = _PAUSE_BESIDE_CLOSES if self._under_way.exports() else _LONGEST_PAUSE
        return min(max((wakes - now).total_seconds(), _SHORTEST_PAUSE), longest)


def _fields(due: Due) -> dict[str, str]:
    """Return the fields that identify a close in the log."""
    return {"export": due.export, "instant": due.instant.isoformat()}
