"""A file name that is taken already: by another window, or by a file that isn't ours (SPEC §7)."""

from __future__ import annotations

import datetime as dt

from schemas.errors import CloseError, WrongCloseError
from sinks.exports.export import Export
from sinks.instants import stamp
from sinks.ledger.ledger import Ledger

__all__ = ["closed_with", "taken_name"]


def closed_with(ledger: Ledger, export: str, name: str) -> dt.datetime | None:
    """Return the window of an export whose drop has a name, or will have: it may be half done."""
    for instant in reversed(list(ledger.closes(export))):
        outcome, intent = ledger.outcome(export, instant), ledger.intent(export, instant)
        if outcome is not None:
            found = outcome.file == name
        elif intent is not None:
            found = name == str(Export.from_json(intent.definition_json()).file_name(instant))
        else:
            found = False
        if found:
            return instant
    return None


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
