"""Drops that were begun and aren't finished, beside the windows that are due."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

from schemas.errors import LedgerError
from schemas.json_result import JsonResult
from sinks.installation import Installation
from sinks.ledger.ledger import Ledger
from sinks.ledger.names import drop_id
from sinks.repair.revised import Revised, unfinished
from sinks.reports.outbox import latest_trouble

__all__ = ["Unsettled", "unsettled_of"]


@dataclass(frozen=True, slots=True)
class Unsettled(JsonResult):
    """A drop that was begun and isn't finished."""

    export: str
    """The export."""
    drop: str
    """The drop's id."""
    revision: int
    """The number of the revision; 0 for the drop of the close itself."""
    what: str
    """What the drop waits for."""
    hint: str
    """The command that settles it."""


def unsettled_of(installation: Installation) -> Iterator[Unsettled]:
    """Find unfinished drops in the ledger; changes nothing.

    These are revisions that aren't delivered everywhere, and begun or held closes of exports that
    aren't defined any more. An unfinished close of a defined export is due, so it isn't listed
    here.
    """
    defined = {export.name for export in installation.exports}
    for export, instant in installation.ledger.begun():
        try:
            revised = unfinished(installation.ledger, installation.receipts, export, instant)
            if revised is not None:
                yield _revision(installation, export, instant, revised)
            elif export not in defined and _is_begun(installation.ledger, export, instant):
                yield _close(installation, export, instant)
        except LedgerError as error:
            what = f"{error.where}: {error.what}"
            yield Unsettled(export, drop_id(export, instant), 0, what, error.hint)


def _is_begun(ledger: Ledger, export: str, instant: dt.datetime) -> bool:
    is_done = ledger.outcome(export, instant) is not None
    return not is_done and ledger.intent(export, instant) is not None


def _revision(
    installation: Installation, export: str, instant: dt.datetime, revised: Revised
) -> Unsettled:
    report = latest_trouble(installation.ledger.store, export, instant, revised.revision)
    what = f"{revised.undelivered}: {report.problem}" if report else revised.undelivered
    checks = ", ".join(f"`deltadrop check-location {name}`" for name in revised.awaited)
    keeps = f"; what keeps it, says {checks}" if checks else ""
    hint = f"`deltadrop sweep` finishes it{keeps}"
    return Unsettled(export, revised.drop, revised.revision, what, hint)


def _close(installation: Installation, export: str, instant: dt.datetime) -> Unsettled:
    drop = drop_id(export, instant)
    record = installation.ledger.record_of(export, instant)
    if record is not None and record.waiting is not None:
        error = record.waiting.error(export, instant)
        return Unsettled(export, drop, 0, f"{drop} is {error.what}", error.hint)
    report = latest_trouble(installation.ledger.store, export, instant)
    why = f": {report.problem}" if report else ""
    what = f"{drop} was begun, and isn't finished yet{why}"
    return Unsettled(export, drop, 0, what, "`deltadrop sweep` finishes it")
