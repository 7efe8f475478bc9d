"""Make reports of closes, store and send them. No error of a report ever fails a close."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

import structlog

from schemas.errors import DeltadropError, LedgerError
from schemas.settings.settings import Settings
from sinks.exports.export import Export
from sinks.instants import utc_now
from sinks.ledger.due import close_of_window, due_closes, window_begin
from sinks.ledger.intent import Intent
from sinks.ledger.lease import Lease, process_name
from sinks.ledger.ledger import Ledger
from sinks.ledger.outcome import CloseOutcome
from sinks.reports.channel import ReportChannel
from sinks.reports.mail import Mail
from sinks.reports.outbox import Outbox
from sinks.reports.recorded import NOT_HELD, let_go, revised_since
from sinks.reports.report import Report, ReportKind, deliver_by
from sinks.reports.webhook import Webhook

__all__ = ["Reporter", "channels_of"]

log = structlog.get_logger(__name__)

_LEASE: Final = "reports"
_LOOKED_BACK: Final = dt.timedelta(days=30)
_SEND_AGAIN: Final = dt.timedelta(seconds=60)


class Reporter:
    """Reports the results of closes to recipients and the webhook.

    now: returns the time in UTC. lease_seconds: after them another process sends the reports of a
    killed one; longer than one sending takes.
    """

    def __init__(
        self,
        ledger: Ledger,
        channels: Sequence[ReportChannel],
        now: Callable[[], dt.datetime] = utc_now,
        *,
        lease_seconds: float = 60.0,
    ) -> None:
        self._ledger = ledger
        self._now = now
        self._outbox = Outbox(ledger.store, channels)
        self._lease = Lease(
            ledger.store, _LEASE, holder=process_name(), seconds=lease_seconds, now=now
        )
        self._send_at = now()

    def delivered(self, export: Export, instant: dt.datetime, outcome: CloseOutcome) -> None:
        """Report a drop, once. `settle` reports drops of runs that were killed before this."""
        with _harmless():
            self._put_delivered(export, instant, outcome)

    def troubled(self, export: Export, instant: dt.datetime, error: DeltadropError) -> None:
        """Report that a close was held or failed, once for each window and cause."""
        with _harmless():
            begin = self._begin(export, instant)
            self._put(Report.of_trouble(export, begin, instant, error, self._now()))

    def late(self, export: Export, instants: Sequence[dt.datetime]) -> None:
        """Report windows that aren't closed although their `deliver_by` hour has passed, once."""
        with _harmless():
            for instant in instants:
                limit, now = deliver_by(export, instant), self._now()
                if limit is None or now <= limit:
                    continue
                if not self._outbox.has(export.name, instant, ReportKind.LATE):
                    begin = self._begin(export, instant)
                    self._put(Report.of_late(export, begin, instant, now))

    def settle(self, exports: Iterable[Export]) -> None:
        """Report closes without a report: their runs were killed before reporting."""
        with _harmless():
            since = max(self._outbox.since(self._now()), self._now() - _LOOKED_BACK)
            for export in exports:
                with _harmless():  # an error doesn't stop the others
                    for instant, outcome in self._unreported(export, since):
                        self._put_delivered(export, instant, outcome)

    def revised(self, exports: Iterable[Export]) -> None:
        """Report each delivered revision that isn't reported yet, whichever command made it.

        exports: as they are defined now; their recipients of today get the reports.
        """
        with _harmless():
            defined = {export.name: export for export in exports}
            found = list(revised_since(self._ledger, self._now() - _LOOKED_BACK))
            since = self._outbox.since(self._now()) if found else self._now()
            for revision, drops in found:
                if dt.datetime.fromisoformat(drops.now.finished_at) < since:
                    continue
                intent = revision.intent
                decided = intent.decided_export
                report = Report.of_revised(
                    decided, self._begin(decided, intent.instant), revision, drops
                )
                self._put(_to_those_of(defined.get(intent.export, decided), report))

    def revision_failed(
        self, exports: Iterable[Export], export: str, instant: dt.datetime, error: DeltadropError
    ) -> None:
        """Report that a begun revision can't be finished, once for each cause.

        exports: see `revised`.
        """
        with _harmless():
            revision = self._ledger.unfinished_revision(export, instant)
            if revision is None:  # then its close can't be finished
                return
            decided = revision.intent.decided_export
            begin = self._begin(decided, instant)
            report = Report.of_failed_revision(decided, begin, revision, error, self._now())
            defined = {each.name: each for each in exports}
            self._put(_to_those_of(defined.get(export, decided), report))

    def ended(self, exports: Iterable[Export]) -> None:
        """Report each trouble that is over, once: its window was closed, or its revision delivered.

        exports: as they are defined now.
        """
        with _harmless():
            defined = {export.name: export for export in exports}
            for trouble in self._outbox.unsettled():
                with suppress(LedgerError):  # it goes on
                    outcome = self._end_of(trouble, defined.get(trouble.export.name))
                    if outcome is not None:
                        self._put(Report.of_settled(trouble, outcome, self._now()))

    def _end_of(self, trouble: Report, export: Export | None) -> CloseOutcome | None:
        """Return the outcome that ended a trouble; None if it goes on.

        A window is closed by the first close that ends at or after it. Raises LedgerError if the
        export's ledger can't be read, which is a trouble of its own.
        """
        name, instant, ledger = trouble.export.name, trouble.instant, self._ledger
        if trouble.revision:
            numbers = [at for at in ledger.revisions(name, instant) if at >= trouble.revision]
            outcomes = (ledger.outcome(name, instant, number) for number in numbers)
            return next(filter(None, outcomes), None)
        if export is not None:  # for its LedgerError: then no close can say that it is over
            due_closes([export], ledger, self._now())
        close = close_of_window(name, ledger, instant)
        return None if close is None else ledger.outcome(name, close)

    def send(self) -> None:
        """Send what hasn't been sent, unless a sending failed within the last minute."""
        with _harmless():
            wait = self._send_at - self._now()  # longer: the clock was ahead, and was corrected
            if dt.timedelta(0) < wait <= _SEND_AGAIN or not self._outbox.pending():
                return
            if self._send_now() and self._outbox.pending():
                self._send_at = self._now() + _SEND_AGAIN

    def _send_now(self) -> bool:
        """Send; return False if another process is sending at the moment."""
        tenure = self._lease.take()
        if tenure is None:
            return False

        def is_ours() -> bool:
            """Whether the lease is still the same; after a loss, the list of reports is
            outdated.
            """
            grant = self._lease.take()
            return grant is not None and grant.fence == tenure.fence

        try:
            self._outbox.send(is_ours)
        finally:
            self._lease.release()
        return True

    def _unreported(
        self, export: Export, since: dt.datetime
    ) -> Iterator[tuple[dt.datetime, CloseOutcome]]:
        """Yield closes without a report, newest first, back to one that has it."""
        for instant in sorted(self._ledger.closes(export.name), reverse=True):
            outcome = self._ledger.outcome(export.name, instant)
            if outcome is None:
                continue
            if dt.datetime.fromisoformat(outcome.finished_at) < since:
                return
            if self._outbox.has(export.name, instant, ReportKind.DELIVERED):
                return
            yield instant, outcome

    def _put_delivered(self, export: Export, instant: dt.datetime, outcome: CloseOutcome) -> None:
        record = self._ledger.record_of(export.name, instant)
        begin = self._begin_of(export, instant, record.intent if record else None)
        why = let_go(record) if record else NOT_HELD
        self._put(Report.of_delivered(export, begin, instant, outcome, why))

    def _put(self, report: Report) -> None:
        if self._outbox.put(report):
            log.info("report made", id=report.id)

    def _begin(self, export: Export, instant: dt.datetime) -> dt.datetime | None:
        """Return a window's beginning, by its close's intent or the rule; None if initial."""
        return self._begin_of(export, instant, self._ledger.intent(export.name, instant))

    def _begin_of(
        self, export: Export, instant: dt.datetime, intent: Intent | None
    ) -> dt.datetime | None:
        if intent is not None and intent.initial:
            return None
        return window_begin(export, self._ledger, instant, intent)


def channels_of(settings: Settings) -> list[ReportChannel]:
    """Return the channels that are configured."""
    found: list[ReportChannel] = []
    if settings.mail.host is not None:
        found.append(Mail(settings.mail))
    if settings.webhook.is_set_up:
        found.append(Webhook(settings.webhook))
    return found


def _to_those_of(export: Export, report: Report) -> Report:
    return report.model_copy(update={"recipients": export.definition.recipients})


@contextmanager
def _harmless() -> Iterator[None]:
    try:
        yield
    except DeltadropError as error:
        log.warning("reports not kept or sent: tried again later", error=str(error))
    except Exception as error:
        # Whatever fails in reports, closes continue; the log has the error.
        log.exception("report failed", error=str(error))
