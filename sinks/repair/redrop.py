"""Redrop: make a drop again from what its close decided (SPEC §9).

By default the drop has the same bytes, which is checked against the ledger's checksum, and it is
delivered where it is missing. Its content may differ for three reasons: people were deleted since,
a rule was mended since (`sinks.editions`), or today's definition is wanted. It then becomes a
numbered revision with its reason (SPEC §7).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, replace

from schemas.errors import CloseError, LedgerError, WrongCloseError
from sinks.closing.drop import released_of
from sinks.closing.running import foreseen
from sinks.exports.export import Export
from sinks.instants import stamp
from sinks.ledger.intent import Intent
from sinks.ledger.outcome import CloseOutcome
from sinks.ledger.record import CloseRecord, LatestDrop
from sinks.locations import Delivered
from sinks.repair.revise import Reviser

__all__ = ["Redrop", "Redropper"]


@dataclass(frozen=True, slots=True)
class Redrop:
    """The result of a redrop.

    outcome: of the current drop. revision: the number of the new revision; 0 if the bytes are the
    same. delivered: where this run delivered it: the same drop where it was missing, a revision
    everywhere. kept: what stays as before in spite of today's definition. reason: why it is a
    revision.
    """

    outcome: CloseOutcome
    revision: int
    delivered: tuple[str, ...]
    kept: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Redropper:
    """Makes drops again."""

    reviser: Reviser

    def redrop(
        self, export: str, instant: dt.datetime, reason: str = "", today: Export | None = None
    ) -> Redrop:
        """Make a close's drop again.

        today: today's definition of its export, to make the drop by; None for the recorded one.
        Raises HeldError if the close is held, CloseError if nothing was delivered yet or the drop
        can't be made or delivered, LedgerError if its bytes differ without a reason.
        """
        with foreseen(export, instant):
            record = self.reviser.finish(self._begun(export, instant)).record
            latest = _delivered(record)
            then = latest.intent
            if today is not None:
                _refuse_another(today, then)
            now, mended = self._today(latest), then.decided_export.mended_since(then.edition)
            if today is not None or mended or now != latest:
                revised = self.reviser.revise_record(record, reason, today, mended)
                record = self.reviser.ledger.again(record)  # another run may have revised it
                latest = _delivered(record)
                if revised is not None:
                    outcome, number = latest.outcome, revised.revision
                    return Redrop(outcome, number, outcome.receipts, reason=revised.reason)
                now = self._today(latest)
            return self._again(record, now, today)

    def _begun(self, export: str, instant: dt.datetime) -> CloseRecord:
        """Return the record of a close; raises WrongCloseError if it was never begun."""
        record = self.reviser.ledger.record_of(export, instant)
        if record is None:
            closes = list(self.reviser.ledger.closes(export))
            last = f"the last close was at {stamp(closes[-1])}" if closes else "it was never closed"
            raise WrongCloseError(_not_delivered(instant), where=f"export '{export}'", hint=last)
        return record

    def _today(self, latest: LatestDrop) -> LatestDrop:
        """Return the current drop, as decided by the deletions that are known now."""
        deletions = self.reviser.closer.departure.deletions_now(latest.intent)
        return replace(latest, intent=latest.intent.without(deletions))

    def _again(self, record: CloseRecord, drop_now: LatestDrop, today: Export | None) -> Redrop:
        """Make the current drop, check that it has the same bytes, and deliver it where it is
        missing.

        Its locations are those of today's definition, if that is wanted.
        """
        closer, intent, outcome = self.reviser.closer, drop_now.intent, drop_now.outcome
        places = today.definition.deliver if today else self.reviser.places(drop_now)
        with closer.maker.made(intent, released_of(record), drop_now.revision) as drop:
            if drop.rendered.sha256 != outcome.sha256:
                raise LedgerError(
                    what=f"recorded with sha256 {outcome.sha256}, this run made "
                    f"{drop.rendered.sha256}",
                    where=outcome.drop_id,
                    hint="a drop must have the same bytes each time: nothing was sent, report this",
                )
            receipts = closer.deliveries.deliver_again(drop.delivery, places)
        missing = tuple(str(receipt) for receipt in receipts if receipt.delivered is Delivered.NOW)
        unchanged = _unchanged(intent.decided_export, today, outcome, intent.instant)
        return Redrop(outcome, 0, missing, tuple(unchanged))


def _delivered(record: CloseRecord) -> LatestDrop:
    """Return the current drop; raises HeldError if it is held, CloseError if it isn't done."""
    if record.latest is not None:
        return record.latest
    if record.waiting is not None:
        raise record.waiting.error(record.export, record.instant)
    at = record.instant.isoformat()
    hint = f"it was begun: finish it, deltadrop close {record.export} --at {at}"
    where = f"export '{record.export}'"
    raise CloseError(_not_delivered(record.instant), where=where, hint=hint)


def _not_delivered(instant: dt.datetime) -> str:
    return f"no drop was delivered at {stamp(instant)}"


def _unchanged(
    then: Export, today: Export | None, outcome: CloseOutcome, instant: dt.datetime
) -> Iterator[str]:
    """Yield what today's definition changes only for later drops, as the bytes are the same."""
    if today is None:
        return
    place = _place(today, instant)
    if place != _place(then, instant):
        yield f"its name; today's, {place}, is for drops to come"
    empty, empty_today = then.definition.when_empty, today.definition.when_empty
    if not outcome.rows and empty_today is not empty:
        yield f"when_empty: {empty}; today's, {empty_today}, is for drops to come"


def _place(export: Export, instant: dt.datetime) -> str:
    return f"{export.definition.entity}/{export.name}/{export.file_name(instant)}"


def _refuse_another(today: Export, intent: Intent) -> None:
    if today.identity != intent.decided_export.identity:
        raise WrongCloseError(
            what="today's definition is another export: its database, table, type or event differs",
            where=f"export '{today.name}'",
            hint="redrop it without --current-definition",
        )
