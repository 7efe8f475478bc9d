"""The status of an export: what is open, due and in trouble, and when the next drop is expected."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from schemas.errors import LedgerError
from schemas.json_result import JsonResult
from sinks.exports.export import Export
from sinks.exports.schedule import next_close
from sinks.installation import Installation
from sinks.ledger.due import closed_until, due_closes, window_begin
from sinks.ledger.ledger import Ledger
from sinks.ledger.outcome import CloseOutcome
from sinks.reports.outbox import latest_trouble
from sinks.reports.report import ReportKind, deliver_by
from sinks.status.partitions import PartitionStatus, SetAsideStatus, trouble_of
from sinks.status.unsettled import Unsettled

__all__ = [
    "CloseTrouble",
    "ExportStanding",
    "ExportStatus",
    "close_trouble",
    "export_status",
    "standing_of",
]


@dataclass(frozen=True, slots=True)
class ExportStanding:
    """The state of one export, from its ledger alone.

    Its oldest open window is the first one that isn't closed yet, whether it is due or not.
    open_since, open_until: the beginning and end of that window. deliver_by: when its drop counts
    as late; None if the definition has no such hour. due: the number of windows that have ended and
    aren't closed. closed_until: the end of the last window that a close began; if a clock was
    ahead, it is later than now, and nothing is due until then. last: the outcome of the last
    finished close, if any.
    """

    export: str
    open_since: dt.datetime
    open_until: dt.datetime
    deliver_by: dt.datetime | None
    next_close: dt.datetime
    due: int
    closed_until: dt.datetime | None
    last: CloseOutcome | None


@dataclass(frozen=True, slots=True)
class CloseTrouble:
    """What keeps a window from being closed. is_held: its drop is held; otherwise it failed."""

    is_held: bool
    what: str
    hint: str


@dataclass(frozen=True, slots=True)
class ExportStatus(JsonResult):
    """The status of an export."""

    export: str
    """The export."""
    last: str | None
    """The end of its last window that a close finished or began."""
    due: tuple[str, ...]
    """The ends of windows that are over and aren't closed."""
    next: str
    """The instant of its next close."""
    blocked_by: tuple[str, ...]
    """Partitions that lag behind Kafka, where the export is due."""
    trouble: str = ""
    """What was reported of the first due window, where its close was held or failed; or that a
    window was closed before its end.
    """
    hint: str = ""
    """How to settle the trouble."""
    deliver_by: str | None = None
    """When the drop of the first due window counts as late; null without a due window or such an
    hour.
    """
    unsettled: tuple[Unsettled, ...] = ()
    """Drops that were begun and aren't finished."""

    @property
    def is_in_trouble(self) -> bool:
        """Whether somebody has to settle something."""
        return bool(self.trouble or self.unsettled)


def standing_of(export: Export, ledger: Ledger, now: dt.datetime) -> ExportStanding:
    """Return the state of an export; reads only the ledger and changes nothing."""
    due = due_closes([export], ledger, now)
    following = next_close(export, now)
    until = due[0].instant if due else following
    return ExportStanding(
        export.name,
        window_begin(export, ledger, until, ledger.intent(export.name, until)),
        until,
        deliver_by(export, until),
        following,
        len(due),
        closed_until(export, ledger),
        _last(export, ledger),
    )


def export_status(
    installation: Installation,
    export: Export,
    partitions: Sequence[PartitionStatus],
    aside: Sequence[SetAsideStatus],
    unsettled: Sequence[Unsettled],
    now: dt.datetime,
) -> ExportStatus:
    """Return the status of an export. If its ledger can't be read, the status says so.

    partitions, aside, unsettled: those of all exports.
    """
    own = tuple(drop for drop in unsettled if drop.export == export.name)
    try:
        return _status(installation, export, partitions, aside, own, now)
    except LedgerError as error:
        closes, following = list(installation.ledger.closes(export.name)), next_close(export, now)
        last = closes[-1].isoformat() if closes else None
        trouble = f"{error.where}: {error.what}"
        return ExportStatus(
            export.name,
            last,
            (),
            following.isoformat(),
            (),
            trouble,
            error.hint,
            unsettled=own,
        )


def _last(export: Export, ledger: Ledger) -> CloseOutcome | None:
    for instant in sorted(ledger.closes(export.name), reverse=True):
        outcome = ledger.outcome(export.name, instant)
        if outcome is not None:
            return outcome
    return None


def _status(
    installation: Installation,
    export: Export,
    partitions: Sequence[PartitionStatus],
    aside: Sequence[SetAsideStatus],
    unsettled: tuple[Unsettled, ...],
    now: dt.datetime,
) -> ExportStatus:
    closes = list(installation.ledger.closes(export.name))
    dues = [due.instant for due in due_closes([export], installation.ledger, now)]
    trouble, hint = (
        _trouble(installation, export, dues[0]) if dues else _ahead(export, installation, now)
    )
    limit = deliver_by(export, dues[0]) if dues else None
    topics = {topic.name for topic in export.topics_read(installation.settings.kafka.topic_prefix)}
    lags = [
        f"{partition.topic}/{partition.partition} lags by {partition.lag:,}"
        for partition in partitions
        if partition.topic in topics and partition.lag > 0
    ]
    stopped = trouble_of(aside, topics) if dues and not trouble else None
    if stopped is not None:
        trouble, hint = str(stopped), stopped.hint
    return ExportStatus(
        export.name,
        closes[-1].isoformat() if closes else None,
        tuple(instant.isoformat() for instant in dues),
        next_close(export, now).isoformat(),
        tuple(lags) if dues else (),
        trouble,
        hint,
        limit.isoformat() if limit else None,
        unsettled,
    )


def _ahead(export: Export, installation: Installation, now: dt.datetime) -> tuple[str, str]:
    """Return what a clock that was ahead has caused, and what to do; empty if nothing."""
    until = closed_until(export, installation.ledger)
    if until is None or until <= now:
        return "", ""
    what = (
        f"closed until {until.isoformat()}, which is yet to come: a clock was ahead, or is behind"
    )
    hint = (
        "set the clocks of the machines right (NTP); nothing is lost: the first close after that"
        " moment has all that came since"
    )
    return what, hint


def _trouble(installation: Installation, export: Export, instant: dt.datetime) -> tuple[str, str]:
    """Return what keeps a window from being closed, and how to settle it; empty if nothing."""
    trouble = close_trouble(installation, export.name, instant)
    return (trouble.what, trouble.hint) if trouble else ("", "")


def close_trouble(
    installation: Installation, export: str, instant: dt.datetime
) -> CloseTrouble | None:
    """Return what keeps a window from being closed; None if nothing is known to.

    That it is held, if the ledger says so; otherwise the trouble that was reported last.
    """
    record = installation.ledger.record_of(export, instant)
    if record is not None and record.waiting is not None:
        error = record.waiting.error(export, instant)
        return CloseTrouble(True, error.what, error.hint)
    lost = installation.holds.lost(export, instant)
    if lost is not None:
        own = f"export '{export}'"
        return CloseTrouble(True, f"held: {lost.reason(described=own)}", lost.hint)
    unreadable = installation.holds.unreadable(export, instant)
    if unreadable is not None:
        return CloseTrouble(True, f"held: {unreadable.reason()}", unreadable.hint)
    report = latest_trouble(installation.ledger.store, export, instant)
    if report is None:
        return None
    is_held = report.kind is ReportKind.HELD
    return CloseTrouble(is_held, f"{report.kind}: {report.problem}", report.hint)
