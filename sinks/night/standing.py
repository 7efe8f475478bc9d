"""Where an export stands, by its ledger: what is open, since when, and by when it is expected."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from sinks.exports.export import Export
from sinks.exports.schedule import next_close
from sinks.ledger.due import closed_until, due_closes, window_begin
from sinks.ledger.ledger import Ledger
from sinks.ledger.outcome import CloseOutcome
from sinks.reports.report import deliver_by

__all__ = ["ExportStanding", "standing_of"]


@dataclass(frozen=True, slots=True)
class ExportStanding:
    """One export. Its oldest open window is the first that isn't closed yet, be it due or not.

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


def _last(export: Export, ledger: Ledger) -> CloseOutcome | None:
    for instant in sorted(ledger.closes(export.name), reverse=True):
        outcome = ledger.outcome(export.name, instant)
        if outcome is not None:
            return outcome
    return None
