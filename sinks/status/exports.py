"""Where an export stands: what is open, due, and in trouble, and by when it is expected."""

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
from sinks.reports.report import deliver_by
from sinks.status.partitions import PartitionStatus, SetAsideStatus, trouble_of
from sinks.status.unsettled import Unsettled

__all__ = ["ExportStanding", "ExportStatus", "export_status", "standing_of"]


@dataclass(frozen=True, slots=True)
class ExportStanding:
    """One export, by its ledger alone. Its oldest open window is the first that isn't closed yet,
    be it due or not.

    open_since, open_until: where that window begins and ends. deliver_by: when its drop is late,
    where the definition has such an hour. due: windows that have ended and aren't closed.
    closed_until: the end of the last window that was closed, or begun to be; later than now where
    a clock was ahead, and until then nothing is due. last: what came of the last close, if there
    was one.
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
class ExportStatus(JsonResult):
    """Where an export stands."""

    export: str
    """The export."""
    last: str | None
    """When its last window that was closed, or begun to be, ended."""
    due: tuple[str, ...]
    """The ends of windows that have ended and aren't closed."""
    next: str
    """When it closes next."""
    blocked_by: tuple[str, ...]
    """Partitions that workers haven't stored yet, of an export that is due."""
    trouble: str = ""
    """What was reported of the window that is due first, if its close was held or failed, or that a
    window was closed before it ended."""
    hint: str = ""
    """What settles it."""
    deliver_by: str | None = None
    """When the drop of the window that is due first is late, if it can be."""
    unsettled: tuple[Unsettled, ...] = ()
    """Drops that were made again and aren't delivered everywhere yet."""

    @property
    def is_in_trouble(self) -> bool:
        """Whether something has to be settled."""
        return bool(self.trouble or self.unsettled)


def standing_of(export: Export, ledger: Ledger, now: dt.datetime) -> ExportStanding:
    """Look an export up; changes nothing, and asks the ledger only."""
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
    """Return where an export stands; one whose ledger can't be read doesn't hide the others.

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
    """What a clock that was ahead has done, and what to do."""
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
    """What keeps a window from being closed, and what settles it: that it is held, as the ledger
    says; else what was reported last.
    """
    record = installation.ledger.record_of(export.name, instant)
    if record is not None and record.waiting is not None:
        error = record.waiting.error(export.name, instant)
        return error.what, error.hint
    lost = installation.holds.lost(export.name, instant)
    if lost is not None:
        own = f"export '{export.name}'"
        return f"held: {lost.reason(described=own)}", lost.hint
    unreadable = installation.holds.unreadable(export.name, instant)
    if unreadable is not None:
        return f"held: {unreadable.reason()}", unreadable.hint
    report = latest_trouble(installation.ledger.store, export.name, instant)
    return (f"{report.kind}: {report.problem}", report.hint) if report else ("", "")
