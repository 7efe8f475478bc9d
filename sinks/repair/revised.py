"""The revision that replaced a drop, or is about to."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from sinks.ledger.ledger import Ledger
from sinks.ledger.receipts import Receipts
from sinks.ledger.record import CloseRecord

__all__ = ["Revised", "revised_of", "unfinished"]


@dataclass(frozen=True, slots=True)
class Revised:
    """A drop that was made again."""

    drop: str
    """The drop's id."""
    file: str | None
    """The current file; null where no rows are left."""
    revision: int
    """The number of the revision."""
    reason: str
    """The reason of the revision."""
    awaited: tuple[str, ...] = ()
    """The locations that don't have it yet."""

    @property
    def undelivered(self) -> str:
        """A sentence that says what an unfinished revision waits for."""
        again = f"{self.drop} was made again as -r{self.revision}, and isn't"
        if not self.awaited:
            return f"{again} recorded yet"
        return f"{again} delivered to {', '.join(self.awaited)} yet"


def revised_of(record: CloseRecord) -> Revised | None:
    """Return the last revision of a close's drop; None if there is none."""
    latest, last = record.latest, record.last_revision
    if latest is None or last is None:
        return None
    outcome, revision = latest.outcome, last.revision
    return Revised(outcome.drop_id, outcome.file, revision.number, revision.reason)


def unfinished(
    ledger: Ledger, receipts: Receipts, export: str, instant: dt.datetime
) -> Revised | None:
    """Return the begun and unfinished revision of a drop; None if there is none."""
    revision = ledger.unfinished_revision(export, instant)
    if revision is None:
        return None
    number, decided = revision.number, revision.intent.decided_export
    has = receipts.locations(export, instant, number)
    awaited = tuple(name for name in decided.definition.deliver if name not in has)
    file = str(decided.file_name(instant, number))
    return Revised(revision.intent.drop_id, file, number, revision.reason, awaited)
