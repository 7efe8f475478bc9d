"""What was closed: all that the ledger has of each close."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from schemas.errors import LedgerError
from schemas.json_result import JsonResult
from sinks.installation import Installation
from sinks.ledger.held import Held
from sinks.ledger.ledger import Ledger
from sinks.ledger.record import RecordedRevision
from sinks.service.choice import chosen_exports, refuse_unknown
from sinks.service.drop_record import DropRecord

__all__ = ["HistoryEntry", "ReleaseEntry", "RevisionEntry", "history_entry", "history_of"]


@dataclass(frozen=True, slots=True)
class ReleaseEntry(JsonResult):
    """A person's word that a held drop may go."""

    reason: str
    """Why."""
    released_at: str
    """When."""


@dataclass(frozen=True, slots=True)
class RevisionEntry(JsonResult):
    """A drop that replaced another."""

    revision: int
    """Its number."""
    reason: str
    """Why it was made."""
    outcome: DropRecord | None
    """The drop; null where it was begun and isn't finished."""


@dataclass(frozen=True, slots=True)
class HistoryEntry(JsonResult):
    """A close."""

    export: str
    """The export."""
    instant: dt.datetime
    """When the window ends."""
    outcome: DropRecord | None
    """The drop; null where the close was begun and isn't finished."""
    held: Held | None
    """What was held, if it was; also where it was released since."""
    released: ReleaseEntry | None
    """That a person released it, if so."""
    loss: str | None
    """Why a person let it go without offsets that are lost, if so."""
    revisions: tuple[RevisionEntry, ...]
    """The drops that replaced it, oldest first."""


def history_of(
    installation: Installation, export: str | None, unreadable: Callable[[LedgerError], None]
) -> Iterator[HistoryEntry]:
    """Yield the closes of an export, or of all: those that are defined, then those that no longer
    are; oldest first. unreadable: is called for each close that can't be read.

    Raises WrongInputError for an export that isn't known.
    """
    for name in _exports(installation, export):
        for instant in installation.ledger.closes(name):
            try:
                yield history_entry(installation.ledger, name, instant)
            except LedgerError as error:
                unreadable(error)


def history_entry(ledger: Ledger, export: str, instant: dt.datetime) -> HistoryEntry:
    """Return all that the ledger has of a close; raises LedgerError where it can't be read."""
    record = ledger.record_of(export, instant)
    if record is None:
        return HistoryEntry(export, instant, None, None, None, None, ())
    release = record.release
    return HistoryEntry(
        export,
        instant,
        DropRecord.of(record.outcome) if record.outcome else None,
        record.held,
        ReleaseEntry(release.reason, release.released_at) if release else None,
        record.intent.loss or None,
        tuple(map(_revision, record.revisions)),
    )


def _exports(installation: Installation, export: str | None) -> list[str]:
    if export is not None:
        refuse_unknown(installation, export)
        return [export]
    defined = [export.name for export in installation.exports]
    former = [name for name in installation.ledger.exports() if name not in defined]
    if not former:
        chosen_exports(installation, [])  # refuses an installation that never had one
    return [*defined, *former]


def _revision(recorded: RecordedRevision) -> RevisionEntry:
    """A drop that replaced that of a close."""
    revision, outcome = recorded.revision, recorded.outcome
    return RevisionEntry(
        revision.number, revision.reason, DropRecord.of(outcome) if outcome else None
    )
