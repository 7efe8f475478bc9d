"""The scheduler: closes run as they fall due, those that were missed first (SPEC §9, `schedule`).

Several may run: one has the lease and works, the others stand by. An export that is held or fails
is tried again, later each time, while the others go on. The scheduler remembers nothing that
matters: what is due is read from the ledger.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Protocol

import structlog

from schemas.errors import DeltadropError, HeldError, WaitingError
from schemas.settings import Settings
from sinks.completeness import Lag
from sinks.exports import Export
from sinks.installed import Installed
from sinks.lease import Keeper
from sinks.ledger import Outcome
from sinks.retries import Retries
from sinks.running import attempt
from sinks.schedule import Due, due_closes, next_close
from sinks.setup import Sinks

__all__ = ["LEASE", "Scheduler", "Stop"]

log = structlog.get_logger(__name__)

LEASE: Final = "schedule"
"""Name of the lease that the working scheduler has."""
_LONGEST_PAUSE: Final = 30.0  # seconds; what others change (definitions, a close by hand) is seen
_SHORTEST_PAUSE: Final = 0.05  # seconds
_STANDBY_PAUSE: Final = 1.0  # seconds


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

    def delivered(self, export: Export, instant: dt.datetime, outcome: Outcome) -> None:
        """A window was closed and its drop delivered."""

    def troubled(self, export: Export, instant: dt.datetime, error: DeltadropError) -> None:
        """A close was held, or failed."""

    def late(self, export: Export, instants: Sequence[dt.datetime]) -> None:
        """These windows of an export aren't closed yet."""

    def send(self) -> None:
        """Tell it now."""


class Scheduler:
    """Runs closes as they fall due.

    keeper: keeps the lease `LEASE`. now: the clock, which says UTC.
    """

    def __init__(
        self,
        settings: Settings,
        installed: Installed,
        keeper: Keeper,
        stop: Stop,
        listener: Listener,
        now: Callable[[], dt.datetime],
    ) -> None:
        self._settings = settings
        self._installed = installed
        self._keeper = keeper
        self._stop = stop
        self._listener = listener
        self._now = now
        self._retries = Retries(settings.schedule)

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
        log.info("scheduler stopped")

    def round(self) -> float:
        """Close all that is due, oldest first, each export's in order; return seconds to wait."""
        sinks = self._installed.latest()
        exports = {export.name: export for export in sinks.exports}
        self._listener.settle(sinks.exports)
        closed: list[dt.datetime] = []
        passed_over: set[str] = set()
        dues = self._due(sinks)
        self._retries.keep({due.export for due in dues})
        for due in dues:
            if self._stop.asked or not self._keeper.held:
                return _SHORTEST_PAUSE
            if due.export in passed_over or not self._retries.is_due(due.export, self._now()):
                passed_over.add(due.export)  # an export's windows are closed in order
            elif self._close(sinks, exports[due.export], due.instant):
                closed.append(due.instant)
            else:
                passed_over.add(due.export)
        self._tell_what_is_late(sinks)
        self._listener.send()
        self._remake_bases(sinks, closed)
        return self._pause(sinks)

    def _due(self, sinks: Sinks) -> list[Due]:
        """All that is due: what was appended before its instant can be read by now."""
        passed = self._now() - dt.timedelta(seconds=self._settings.close.delay_seconds)
        return sorted(
            due for export in sinks.exports for due in self._due_of(sinks, export, passed)
        )

    def _due_of(self, sinks: Sinks, export: Export, until: dt.datetime) -> Iterator[Due]:
        try:
            yield from due_closes([export], sinks.ledger, until)
        except Exception:  # the ledger of one export must not stop the others
            log.exception("can't tell what is due", export=export.name)

    def _close(self, sinks: Sinks, export: Export, instant: dt.datetime) -> bool:
        known = {"export": export.name, "instant": instant.isoformat()}
        log.info("closing", **known)

        def progress(lags: Sequence[Lag]) -> None:
            log.info("waiting for workers", **known, lags=[str(lag) for lag in lags])

        try:
            outcome = attempt(sinks.closer, export, instant, progress)
        except DeltadropError as error:
            self._note(export, instant, error)
            return False
        self._retries.succeeded(export.name)
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

    def _remake_bases(self, sinks: Sinks, closed: Sequence[dt.datetime]) -> None:
        for instant in sorted(set(closed)):
            if self._stop.asked:
                return
            try:
                sinks.rebase.remake_where_due(sinks.streams.topics.values(), instant)
            except Exception:  # a close reads more without them, and is as right
                log.exception("bases not remade", instant=instant.isoformat())

    def _pause(self, sinks: Sinks) -> float:
        now = self._now()
        delay = dt.timedelta(seconds=self._settings.close.delay_seconds)
        passed = now - delay
        moments = [next_close(export, passed) + delay for export in sinks.exports]
        retry = self._retries.next()
        wakes = min([*moments, *([retry] if retry else [])], default=now)
        return min(max((wakes - now).total_seconds(), _SHORTEST_PAUSE), _LONGEST_PAUSE)
