"""The scheduler: closes run as they fall due, those that were missed first (SPEC §9, `schedule`).

Several may run: one has the lease and works, the others stand by. An export that is held or fails
is tried again, later each time, while the others go on. One whose partner's server hangs goes on
in a lane of its own (`sinks.night.lanes`). The scheduler remembers nothing that matters: what is
due is read from the ledger.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Final, Protocol

import structlog

from schemas.errors import DeltadropError, HeldError, LedgerError, WaitingError
from schemas.settings.settings import Settings
from sinks.closing.close import Closer
from sinks.closing.completeness import Lag
from sinks.closing.deliveries import Deliveries
from sinks.closing.running import attempt
from sinks.exports.export import Export
from sinks.exports.schedule import next_close
from sinks.ledger.due import Due, closed_until, due_closes
from sinks.ledger.lease import Keeper
from sinks.ledger.outcome import CloseOutcome
from sinks.night.lanes import Lanes
from sinks.night.reload import Installed
from sinks.night.retries import Retries
from sinks.repair.sweep import Sweeper
from sinks.setup import Sinks

__all__ = ["Scheduler", "Stop"]

log = structlog.get_logger(__name__)
_SWEEP_PAUSE: Final = dt.timedelta(minutes=15)
"""Between two looks for half steps of earlier runs."""
_LONGEST_PAUSE: Final = 30.0  # seconds; what others change (definitions, a close by hand) is seen
_SHORTEST_PAUSE: Final = 0.05  # seconds
_STANDBY_PAUSE: Final = 1.0  # seconds
_PAUSE_BESIDE_LANES: Final = 1.0  # seconds


class Stop(Protocol):
    """How a scheduler is asked to leave, and how it passes the time until then."""

    @property
    def asked(self) -> bool:
        """Whether it shall leave."""

    def wait(self, seconds: float) -> None:
        """Wait so long, or until it shall leave."""


class Listener(Protocol):
    """Who is told of what comes of closes; none of these raises."""

    def settle(self, exports: Iterable[Export]) -> None:
        """Find what came of earlier closes and wasn't told."""

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
        """Tell it now."""


class Scheduler:
    """Runs closes as they fall due.

    keeper: keeps the lease `SCHEDULERS`. now: the clock, which says UTC.
    """

    def __init__(
        self,
        settings: Settings,
        installed: Installed,
        keeper: Keeper,
        stop: Stop,
        listener: Listener,
        now: Callable[[], dt.datetime],
        lanes: Lanes | None = None,
    ) -> None:
        self._lanes = lanes or Lanes()
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
        """Work while the lease is held, stand by while another has it, until asked to leave.

        A close under way is finished first.
        """
        log.info("scheduler started")
        working: bool | None = None
        while not self._stop.asked:
            if working != self._keeper.held:
                working = self._keeper.held
                log.info("scheduler works" if working else "scheduler stands by")
            self._stop.wait(self.round() if working else _STANDBY_PAUSE)
        self._lanes.join()
        log.info("scheduler stopped")

    def round(self) -> float:
        """Close all that is due, oldest first, each export's in order; return seconds to wait."""
        with self._lanes:
            sinks = self._installed.latest()
            self._listener.settle(sinks.exports)
            if not self._close_what_is_due(sinks):
                return _SHORTEST_PAUSE
            self._finish_what_was_begun(sinks)
            self._tell_what_is_late(sinks)
            self._listener.send()
            self._remake_bases(sinks)
            return self._pause(sinks)

    def _close_what_is_due(self, sinks: Sinks) -> bool:
        """Close it; False where the scheduler has to leave before the end."""
        exports = {export.name: export for export in sinks.exports}
        dues = self._due(sinks)
        self._retries.keep({due.export for due in dues})
        passed_over = self._lanes.under_way()  # an export's windows are closed in order
        for due in dues:
            if self._stop.asked or not self._keeper.held:
                return False
            if due.export in passed_over:
                continue
            waits = not self._retries.is_due(due.export, self._now())
            if waits or not self._begin(sinks, exports[due.export], due.instant):
                passed_over.add(due.export)
        return True

    def _begin(self, sinks: Sinks, export: Export, instant: dt.datetime) -> bool:
        """Close a window in a lane of its own; return whether it is done."""

        def work(beside: Callable[[Deliveries], Deliveries]) -> bool:
            closer = replace(sinks.closer, deliveries=beside(sinks.closer.deliveries))
            return self._close(closer, export, instant)

        done = self._lanes.run(export.name, work)
        if done is None:
            log.info("still delivering", export=export.name, instant=instant.isoformat())
        return bool(done)

    def _finish_what_was_begun(self, sinks: Sinks) -> None:
        """Finish half steps of earlier runs now and then: revisions, each in the lane of its
        export, and closes of exports that aren't defined any more (the others are due).
        """
        now = self._now()
        if self._swept_at is not None and abs(now - self._swept_at) < _SWEEP_PAUSE:
            return
        self._swept_at = now
        defined = {export.name for export in sinks.exports}
        failed = partial(self._listener.revision_failed, sinks.exports)
        sweeper = replace(sinks.sweeper, failed=failed)
        for export, instant in list(sinks.ledger.begun()):
            if self._stop.asked or not self._keeper.held:
                return
            if export not in self._lanes.under_way():
                self._finish(sweeper, export, instant, closes=export not in defined)
        self._listener.revised(sinks.exports)

    def _finish(self, sweeper: Sweeper, export: str, instant: dt.datetime, *, closes: bool) -> None:
        def work(beside: Callable[[Deliveries], Deliveries]) -> bool:
            reviser = sweeper.reviser
            closer = replace(reviser.closer, deliveries=beside(reviser.closer.deliveries))
            own = replace(sweeper, reviser=replace(reviser, closer=closer))
            return not own.finish(export, instant, closes=closes).left

        self._lanes.run(export, work)

    def _due(self, sinks: Sinks) -> list[Due]:
        """All that is due: what was appended before its instant can be read by now."""
        passed = self._now() - dt.timedelta(seconds=self._settings.close.delay_seconds)
        return sorted(
            due for export in sinks.exports for due in self._due_of(sinks, export, passed)
        )

    def _due_of(self, sinks: Sinks, export: Export, until: dt.datetime) -> Iterator[Due]:
        try:
            yield from due_closes([export], sinks.ledger, until)
        except LedgerError as error:  # that of one export must not stop the others
            log.error("can't tell what is due", export=export.name, error=str(error))
            last = closed_until(export, sinks.ledger) or until
            self._listener.troubled(export, last, error)
        except Exception:  # nor anything else
            log.exception("can't tell what is due", export=export.name)

    def _close(self, closer: Closer, export: Export, instant: dt.datetime) -> bool:
        known = {"export": export.name, "instant": instant.isoformat()}
        log.info("closing", **known)

        def progress(lags: Sequence[Lag]) -> None:
            log.info("waiting for workers", **known, lags=[str(lag) for lag in lags])

        try:
            outcome = attempt(closer, export, instant, progress)
        except DeltadropError as error:
            self._note(export, instant, error)
            return False
        self._retries.succeeded(export.name)
        self._closed.append(instant)
        self._listener.delivered(export, instant, outcome)
        self._listener.send()
        return True

    def _note(self, export: Export, instant: dt.datetime, error: DeltadropError) -> None:
        now, name = self._now(), export.name
        known = {"export": name, "instant": instant.isoformat(), "error": str(error)}
        waits = isinstance(error, WaitingError)
        if waits and self._retries.waited(name, now) < self._settings.close.wait_seconds:
            log.info("close waits", **known, again_at=self._retries.waits(name, now).isoformat())
            return
        again_at = self._retries.failed(name, now).isoformat()
        what = "close held" if isinstance(error, HeldError) else "close failed"
        log.error(what, **known, again_at=again_at)
        self._listener.troubled(export, instant, error)

    def _tell_what_is_late(self, sinks: Sinks) -> None:
        for export in sinks.exports:
            still = [due.instant for due in self._due_of(sinks, export, self._now())]
            if still:
                self._listener.late(export, still)

    def _remake_bases(self, sinks: Sinks) -> None:
        closed, self._closed = self._closed, []
        for instant in sorted(set(closed)):
            if self._stop.asked:
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
        longest = _PAUSE_BESIDE_LANES if self._lanes.under_way() else _LONGEST_PAUSE
        return min(max((wakes - now).total_seconds(), _SHORTEST_PAUSE), longest)
