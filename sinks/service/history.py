"""The history of closes: all that the ledger has of each close."""

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
    """A person's release of a held drop."""

    reason: str
    """Why it was released."""
    released_at: str
    """When it was released."""


@dataclass(frozen=True, slots=True)
class RevisionEntry(JsonResult):
    """A drop that replaced another."""

    revision: int
    """The number of the revision."""
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
    """The end of its window."""
    outcome: DropRecord | None
    """The drop; null where the close was begun and isn't finished."""
    held: Held | None
    """Facts of the drop that was held; also after its release. Null where none was held."""
    released: ReleaseEntry | None
    """The release of the held drop; null where there is none."""
    loss: str | None
    """Why a person accepted that the drop lacks lost offsets; null where nobody did."""
    revisions: tuple[RevisionEntry, ...]
    """The drops that replaced the first one, oldest first."""


def history_of(
    installation: Installation, export: str | None, unreadable: Callable[[LedgerError], None]
) -> Iterator[HistoryEntry]:
    """Yield the closes of one export, or of all if export is None.

    Defined exports come first, then those that are no longer defined; the closes of each are in
    order, oldest first. unreadable: called for each close that can't be read. Raises
    WrongInputError for an unknown export.
    """
    for name in _exports(installation, export):
        for instant in installation.ledger.closes(name):
            try:
                yield history_entry(installation.ledger, name, instant)
            except LedgerError as error:
                unreadable(error)


def history_entry(ledger: Ledger, export: str, instant: dt.datetime) -> HistoryEntry:
    """Return all that the ledger has of a close; raises LedgerError if an entry can't be read."""
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
        chosen_exports(installation, [])  # raises if there is no export at all, defined or closed
    return [*defined, *former]


def _revision(recorded: RecordedRevision) -> RevisionEntry:
    """Return the entry of a revision."""
    revision, outcome = recorded.revision, recorded.outcome
    return RevisionEntry(
        revision.number, revision.reason, DropRecord.of(outcome) if outcome else None
    )
