"""Close windows for a person or for cron: all that are due, or one that is chosen."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol

from schemas.errors import (
    CloseError,
    DeltadropError,
    Fault,
    LedgerError,
    WaitingError,
    WrongInputError,
)
from schemas.json_result import Failure, JsonResult
from schemas.logs import log_name
from sinks.closing.completeness import Lag
from sinks.exports.export import Export
from sinks.instants import utc_now
from sinks.ledger.due import Due, due_closes, initial_closes
from sinks.ledger.outcome import CloseOutcome
from sinks.reports import Reporter
from sinks.service.choice import chosen_exports
from sinks.service.drop_record import DropRecord
from sinks.service.due_windows import close_in_order, due_of, reporting_sweeper
from sinks.service.recipients import recipients_without_mail
from sinks.service.reporting import reporter_of
from sinks.service.under_way import ClosesUnderWay
from sinks.setup import Sinks

__all__ = [
    "CloseObserver",
    "CloseRequest",
    "CloseRun",
    "ClosedWindow",
    "FailedWindow",
    "close_windows",
]

_LOOK_AGAIN_SECONDS: Final = 1.0
"""Pause between two attempts at closes that wait for workers, and between two looks at a clock."""
_SEE_LOG: Final = "says why (`close failed`); run it again"


@dataclass(frozen=True, slots=True)
class CloseRequest:
    """What to close: all due windows of some exports, or their windows that end at one instant.

    exports: names; empty for all. at: the end of the windows; None for all that are due. initial:
    make the exports' initial drops, with every living row. wait_seconds: how long the whole run
    waits for workers.
    """

    exports: tuple[str, ...]
    at: dt.datetime | None
    initial: bool
    wait_seconds: float

    @property
    def by_hand(self) -> bool:
        """Whether a person chose what to close; this person sees an error at once."""
        return self.at is not None or self.initial


@dataclass(frozen=True, slots=True)
class ClosedWindow(JsonResult):
    """A window that was closed."""

    export: str
    """The export."""
    instant: dt.datetime
    """The end of its window."""
    drop: DropRecord
    """The drop."""

    JSON_INLINE = ("drop",)


@dataclass(frozen=True, slots=True)
class FailedWindow(JsonResult):
    """A window that could not be closed: its drop is held, or something failed."""

    export: str
    """The export."""
    instant: dt.datetime
    """The end of its window."""
    error: Failure
    """Why it could not be closed."""


@dataclass(frozen=True, slots=True)
class CloseRun:
    """The result of a run: the number of due windows, the exports that failed, and the revisions
    that could not be finished.
    """

    due: int
    failures: Mapping[str, DeltadropError]
    unfinished: tuple[str, ...]


class CloseObserver(Protocol):
    """Receives what happens during a run of closes."""

    def warned(self, warning: Fault) -> None:
        """Note a fault of the settings that stops no close."""

    def pauses(self, instant: dt.datetime, seconds: float) -> None:
        """Note that the closes of an instant begin in `seconds`; called every second until then."""

    def begins(self, due: Due) -> None:
        """Note that a close begins, or is tried again."""

    def waits(self, export: str, lags: Sequence[Lag]) -> None:
        """Note that a close waits for workers; called once for each export."""

    def closed(self, window: ClosedWindow) -> None:
        """Note that a window was closed."""

    def failed(self, due: Due, error: DeltadropError) -> None:
        """Note that a window could not be closed."""

    def unfinished(self, what: str) -> None:
        """Note that a revision could not be finished."""


def close_windows(
    sinks: Sinks,
    request: CloseRequest,
    observer: CloseObserver,
    watched: AbstractContextManager[None] | None = None,
) -> CloseRun:
    """Close windows, oldest first; then finish revisions that were begun, and send the reports.

    sinks: its closes must not wait for workers themselves (`due_windows.waiting`). watched: a
    context around the closes, which observes them. Raises WrongInputError if an export isn't
    defined, if the instant is in the future, or if `initial` names no export. The observer gets the
    error of a single close, and the other closes continue.
    """
    exports = chosen_exports(sinks.installation, request.exports)
    now = utc_now()
    _refuse_wrong(request, now)
    if warning := recipients_without_mail(sinks.settings, exports):
        observer.warned(warning)
    reporter = reporter_of(sinks)
    reporter.settle(exports)
    run = _Run(sinks, reporter, request, observer)
    due = run.due(exports, now)
    with watched or nullcontext():
        run.close(due)
    unfinished = tuple(reporting_sweeper(sinks, reporter).finish_revisions().left)
    for what in unfinished:
        observer.unfinished(what)
    reporter.revised(sinks.exports)
    sinks.retention.sweep()
    for export in exports:
        if not isinstance(run.failures.get(export.name), LedgerError):
            still = due_closes([export], sinks.ledger, now)
            reporter.late(export, [window.instant for window in still])
    reporter.ended(sinks.exports)
    reporter.send()
    return CloseRun(len(due), run.failures, unfinished)


def _refuse_wrong(request: CloseRequest, now: dt.datetime) -> None:
    if request.initial and not request.exports:
        raise WrongInputError([Fault("--initial", "names no export", "close EXPORT --initial")])
    if request.at is not None and request.at > now:
        what, hint = f"{request.at.isoformat()} hasn't come yet", "choose an instant in the past"
        raise WrongInputError([Fault("--at", what, hint)])


@dataclass(slots=True)
class _Run:
    """A run of closes: a `ClosePolicy`, with the errors so far.

    patient: whether closes that wait for workers are tried again.
    """

    sinks: Sinks
    reporter: Reporter
    request: CloseRequest
    observer: CloseObserver
    patient: bool = True
    waiting: set[str] = field(default_factory=set)
    done: set[Due] = field(default_factory=set)
    failures: dict[str, DeltadropError] = field(default_factory=dict)

    def due(self, exports: Sequence[Export], now: dt.datetime) -> list[Due]:
        """Return what is due; an export fails if its ledger can't be read."""
        if self.request.at is not None:
            at = self.request.at.astimezone(dt.UTC)
            instant = at.replace(microsecond=at.microsecond // 1000 * 1000)
            return sorted(Due(instant, export.name) for export in exports)
        find = initial_closes if self.request.initial else due_closes
        return sorted(
            window
            for export in exports
            for window in due_of(self.sinks, export, now, partial(self._unreadable, export), find)
        )

    def close(self, due: Iterable[Due]) -> None:
        """Close what is due.

        Closes that wait for workers are tried again in turn, until the run has lasted
        `wait_seconds`. No close makes another one wait.
        """
        under_way, left = ClosesUnderWay(), list(due)
        deadline = time.monotonic() + self.request.wait_seconds
        while left:
            self.patient = time.monotonic() < deadline
            with under_way:
                close_in_order(self.sinks, left, under_way, self)
            under_way.join()
            undone = [window for window in left if not self._is_settled(window)]
            if len(undone) == len(left) and not self.patient:
                for window in undone:  # an error that isn't a close's own: it was logged
                    self._note(
                        window,
                        CloseError("ended without a result", hint=f"{log_name()} {_SEE_LOG}"),
                    )
                return
            if len(undone) == len(left):
                time.sleep(_LOOK_AGAIN_SECONDS)
            left = undone

    def _is_settled(self, window: Due) -> bool:
        return window in self.done or window.export in self.failures

    @property
    def initial(self) -> bool:
        """See ClosePolicy.initial."""
        return self.request.initial

    def goes_on(self) -> bool:
        """See ClosePolicy.goes_on."""
        return True

    def tries(self, export: str) -> bool:
        """See ClosePolicy.tries: after a failure, an export isn't closed at later instants."""
        return export not in self.failures

    def begins_instant(self, instant: dt.datetime) -> None:
        """Wait until what was appended before an instant is readable (`close.delay_seconds`)."""
        delay = dt.timedelta(seconds=self.sinks.settings.close.delay_seconds)
        until = time.monotonic() + (instant + delay - utc_now()).total_seconds()
        while (seconds := until - time.monotonic()) > 0:
            self.observer.pauses(instant, seconds)
            time.sleep(min(seconds, _LOOK_AGAIN_SECONDS))

    def ends_instant(self, instant: dt.datetime) -> None:
        """Remake the bases where that is due."""
        self.sinks.rebase.remake_where_due(self.sinks.streams.topics.values(), instant)

    def begins(self, due: Due) -> None:
        """See ClosePolicy.begins."""
        self.observer.begins(due)

    def delivers(self, due: Due) -> None:
        """See ClosePolicy.delivers."""

    def waits(self, due: Due, lags: Sequence[Lag]) -> None:
        """See ClosePolicy.waits; the observer is called once for each export."""
        if due.export not in self.waiting:
            self.waiting.add(due.export)
            self.observer.waits(due.export, lags)

    def closed(self, export: Export, due: Due, outcome: CloseOutcome) -> None:
        """See ClosePolicy.closed."""
        self.done.add(due)
        self.waiting.discard(due.export)
        self.reporter.delivered(export, due.instant, outcome)
        self.observer.closed(ClosedWindow(due.export, due.instant, DropRecord.of(outcome)))

    def failed(self, export: Export, due: Due, error: DeltadropError) -> None:
        """See ClosePolicy.failed: a close that waits for workers is tried again while the run is
        patient.
        """
        if isinstance(error, WaitingError) and self.patient:
            return
        self._note(due, error)
        if not self.request.by_hand:
            self.reporter.troubled(export, due.instant, error)

    def _unreadable(self, export: Export, last: dt.datetime, error: LedgerError) -> None:
        self._note(Due(last, export.name), error)
        self.reporter.troubled(export, last, error)

    def _note(self, due: Due, error: DeltadropError) -> None:
        self.failures[due.export] = error
        self.observer.failed(due, error)
