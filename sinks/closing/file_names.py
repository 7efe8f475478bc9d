"""A file name that is taken already: by another window, or by a file that isn't ours (SPEC §7)."""

from __future__ import annotations

import datetime as dt

from schemas.errors import CloseError, WrongCloseError
from sinks.drops.manifest import MANIFEST_ENDING
from sinks.exports.export import Export
from sinks.instants import stamp
from sinks.ledger.ledger import CloseOutcome, Ledger

__all__ = ["closed_with", "taken_name"]


def closed_with(ledger: Ledger, export: str, name: str) -> dt.datetime | None:
    """Return the window of an export whose drop has a name, or will have: it may be half done."""
    for instant in reversed(list(ledger.closes(export))):
        outcome = ledger.outcome(export, instant)
        told = outcome and _name_told(outcome)
        if (told or _name_decided(ledger, export, instant)) == name:
            return instant
    return None


def _name_told(outcome: CloseOutcome) -> str | None:
    """The name as an outcome tells it; where an empty window's file was skipped, the manifest that
    was sent has it.
    """
    if outcome.file is not None:
        return outcome.file
    names = (receipt.rpartition("/")[2] for receipt in outcome.receipts)
    sent = (name for name in names if name.endswith(MANIFEST_ENDING))
    return next((name.removesuffix(MANIFEST_ENDING) for name in sent), None)


def _name_decided(ledger: Ledger, export: str, instant: dt.datetime) -> str | None:
    intent = ledger.intent(export, instant)
    if intent is None:
        return None
    return str(Export.from_json(intent.definition_json()).file_name(instant))


def taken_name(export: Export, name: str, owner: dt.datetime | str) -> CloseError:
    """Say who has a name, and what settles that. owner: another window, or a location where a file
    that isn't of this export has it.
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
