"""Refuse file names that are taken, by another window or by a file that isn't ours (SPEC §7)."""

from __future__ import annotations

import datetime as dt

from schemas.errors import CloseError, WrongCloseError
from sinks.closing.deliveries import Deliveries
from sinks.drops.manifest import MANIFEST_ENDING
from sinks.exports.export import Export
from sinks.instants import stamp
from sinks.ledger.ledger import Ledger
from sinks.ledger.outcome import CloseOutcome
from sinks.locations.base import Folder

__all__ = ["refuse_taken_name"]


def refuse_taken_name(
    export: Export, instant: dt.datetime, ledger: Ledger, deliveries: Deliveries
) -> None:
    """Refuse a close, before it begins, if its file would get a name that is taken.

    The ledger is looked up too, as partners take their files away. Raises WrongCloseError if
    another window of the export has the name, CloseError if a location has a file of that name.
    """
    name = str(export.file_name(instant))
    window = _closed_with(ledger, export.name, name)
    if window is not None:
        raise _taken_name(export, name, window)
    folder = Folder(export.definition.entity, export.name)
    for location, file in deliveries.taken(folder, name, export.definition.deliver):
        raise _taken_name(export, file, location)


def _closed_with(ledger: Ledger, export: str, name: str) -> dt.datetime | None:
    """Return the window of an export whose drop has this name, or will have it when finished."""
    for instant in reversed(list(ledger.closes(export))):
        outcome = ledger.outcome(export, instant)
        delivered = outcome and _name_delivered(outcome)
        if (delivered or _name_decided(ledger, export, instant)) == name:
            return instant
    return None


def _name_delivered(outcome: CloseOutcome) -> str | None:
    """Return the file name of an outcome; None if nothing was sent.

    If the file of an empty window was skipped, the name comes from the manifest that was sent.
    """
    if outcome.file is not None:
        return outcome.file
    names = (receipt.rpartition("/")[2] for receipt in outcome.receipts)
    sent = (name for name in names if name.endswith(MANIFEST_ENDING))
    return next((name.removesuffix(MANIFEST_ENDING) for name in sent), None)


def _name_decided(ledger: Ledger, export: str, instant: dt.datetime) -> str | None:
    intent = ledger.intent(export, instant)
    return None if intent is None else str(intent.decided_export.file_name(instant))


def _taken_name(export: Export, name: str, owner: dt.datetime | str) -> CloseError:
    """Return the error that says who has a name, and how to settle that.

    owner: another window of the export, or a location with a file that isn't of this export.
    """
    where = f"export '{export.name}'"
    if isinstance(owner, dt.datetime):
        return WrongCloseError(
            what=f"the file name {name} is taken by another window, {stamp(owner)}",
            where=where,
            hint="give the suffix a time, as _yyyyMMdd_HHmmss, for several windows a day",
        )
    return CloseError(
        what=f"the file name {name} is taken at '{owner}' by a file that isn't of this export",
        where=where,
        hint="it is never overwritten: ask whose it is, move it away, then run again",
    )
