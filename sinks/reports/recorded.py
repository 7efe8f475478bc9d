"""Facts from the ledger for reports: why a held drop was sent, and what a revision replaces."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sinks.closing.losses import lost_of_intent
from sinks.ledger.ledger import Ledger
from sinks.ledger.outcome import CloseOutcome
from sinks.ledger.record import CloseRecord
from sinks.ledger.revision import Revision

__all__ = ["NOT_HELD", "LetGo", "Replaced", "let_go", "revised_since"]


@dataclass(frozen=True, slots=True)
class LetGo:
    """The reason why a person let a held drop be sent, and why it was held."""

    reason: str
    held_because: tuple[str, ...]


NOT_HELD: Final = LetGo("", ())


@dataclass(frozen=True, slots=True)
class Replaced:
    """The outcomes of a revision (`now`) and of the drop that it replaces (`before`)."""

    before: CloseOutcome
    now: CloseOutcome


def let_go(record: CloseRecord) -> LetGo:
    """Return why a close's drop was sent although it was held: a release, or an accepted loss."""
    intent, held, release = record.intent, record.held, record.release
    because = held.reasons if held and release else ()
    reasons = [release.reason] if release else []
    if intent.loss:
        lost = tuple(
            f"offsets {loss.first} to {loss.next} "
            f"of {loss.partition.topic}/{loss.partition.partition} are lost"
            for loss in lost_of_intent(intent)
        )
        because, reasons = (*because, *lost), [*reasons, intent.loss]
    return LetGo("; ".join(reasons), because)


def revised_since(ledger: Ledger, since: dt.datetime) -> Iterator[tuple[Revision, Replaced]]:
    """Yield the revisions that were delivered since a moment, with the outcomes of both drops."""
    for export, instant in ledger.begun():
        before = ledger.outcome(export, instant)
        for number in ledger.revisions(export, instant):
            now = ledger.outcome(export, instant, number)
            if before is None or now is None:
                continue
            if dt.datetime.fromisoformat(now.finished_at) >= since:
                # Read only here, as a revision's entry is large, and most revisions are old.
                revision = ledger.revision(export, instant, number)
                assert revision is not None  # every outcome has an intent
                yield revision, Replaced(before, now)
            before = now
