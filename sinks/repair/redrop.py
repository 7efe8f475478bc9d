"""Redrop: a drop is made again, from what its close has decided (SPEC §9).

Without more it has the same bytes, which proves the ledger's checksum, and is delivered again where
it is missing. Where people were deleted since, a rule was mended since (`sinks.editions`), or by
today's definition, if that is asked for, its content may differ: it becomes a numbered revision
with its reason (SPEC §7).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, replace

from schemas.errors import CloseError, LedgerError, WrongCloseError
from sinks.closing.running import foreseen
from sinks.exports.export import Export
from sinks.instants import stamp
from sinks.ledger.ledger import CloseOutcome, Intent
from sinks.locations import Delivered
from sinks.repair.revise import Reviser

__all__ = ["Redrop", "Redropper"]


@dataclass(frozen=True, slots=True)
class Redrop:
    """What came of it: the drop that is there now, its revision if it was made one (0: it has the
    same bytes), where it was missing, what it keeps in spite of today's definition, and why it is a
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

        today: how its export is defined now, if it is to be made by that. Raises CloseError where
        nothing was delivered, or it can't be made or delivered.
        """
        with foreseen(export, instant):
            self.reviser.finish(export, instant)
            intent, outcome = self._latest(export, instant)
            if today is not None:
                _refuse_another(today, intent)
            now = replace(intent, deletions=self.reviser.deletions_since(intent))
            mended = Export.from_json(intent.definition_json()).mended_since(intent.edition)
            if today is not None or mended or now != intent:
                revised = self.reviser.revise(export, instant, reason, today, mended)
                if revised is not None:
                    _, outcome = self._latest(export, instant)
                    return Redrop(
                        outcome, revised.revision, outcome.receipts, reason=revised.reason
                    )
                intent, outcome = self._latest(export, instant)  # another run may have revised it
                now = replace(intent, deletions=self.reviser.deletions_since(intent))
            return self._again(now, outcome, today)

    def _latest(self, export: str, instant: dt.datetime) -> tuple[Intent, CloseOutcome]:
        latest = self.reviser.latest(export, instant)
        if latest is not None:
            return latest
        where, holds = f"export '{export}'", self.reviser.closer.holds
        held = holds.waiting(export, instant)
        if held is not None:
            raise held.error(export, instant)
        closes = list(self.reviser.ledger.closes(export))
        what = f"no drop was delivered at {stamp(instant)}"
        if instant in closes:
            hint = f"it was begun: finish it, deltadrop close {export} --at {instant.isoformat()}"
            raise CloseError(what, where=where, hint=hint)
        last = f"the last close was at {stamp(closes[-1])}" if closes else "it was never closed"
        raise WrongCloseError(what, where=where, hint=last)

    def _again(self, intent: Intent, outcome: CloseOutcome, today: Export | None) -> Redrop:
        """Make the drop that is there, prove that it has the same bytes, and bring it to where it
        is missing: to where today's definition says, if that is asked for.
        """
        closer = self.reviser.closer
        export = Export.from_json(intent.definition_json())
        places = today.definition.deliver if today else self.reviser.places(intent, export)
        number = self.reviser.latest_number(intent.export, intent.instant)
        revision = self.reviser.ledger.revision(intent.export, intent.instant, number)
        with closer.made(export, intent, revision) as drop:
            if drop.rendered.sha256 != outcome.sha256:
                raise LedgerError(
                    what=f"recorded with sha256 {outcome.sha256}, this run made "
                    f"{drop.rendered.sha256}",
                    where=outcome.drop_id,
                    hint="a drop must have the same bytes each time: nothing was sent, report this",
                )
            brought = export.delivered_to(places)
            receipts = closer.deliver_again(brought, drop, intent.instant, number)
        missing = tuple(str(one) for one in receipts if one.delivered is Delivered.NOW)
        return Redrop(outcome, 0, missing, tuple(_kept(export, today, outcome, intent.instant)))


def _kept(
    then: Export, today: Export | None, outcome: CloseOutcome, instant: dt.datetime
) -> Iterator[str]:
    """Say what of today's definition is for drops to come, where the bytes are the same."""
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
    then = Export.from_json(intent.definition_json())
    if today.identity != then.identity:
        raise WrongCloseError(
            what="today's definition is another export: its database, table, type or event differs",
            where=f"export '{today.name}'",
            hint="redrop it without --current-definition",
        )
