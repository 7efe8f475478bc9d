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
        outcome = ledger.outcome(export, instant)
        own = outcome.file if outcome is not None else _name_to_come(ledger, export, instant)
        if own == name:
            return instant
    return None


def _name_to_come(ledger: Ledger, export: str, instant: dt.datetime) -> str | None:
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
