"""Release: a person lets a held drop go, and says why.

What a guard rail held is made again from its intent, with the same bytes; only people whose
deletion was recorded since are taken out. What is held for offsets that are lost goes without them,
if their loss is accepted. Running it again is safe, also after a kill.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import structlog

from schemas.errors import CloseError, WrongCloseError
from sinks.closing.close import Progress
from sinks.closing.running import foreseen
from sinks.exports.export import Export
from sinks.instants import stamp
from sinks.ledger.held import Release
from sinks.ledger.ledger import CloseOutcome, Intent
from sinks.repair.held_preview import HeldDrop, look_at
from sinks.repair.revise import Reviser

__all__ = ["Releaser"]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Releaser:
    """Releases held drops."""

    reviser: Reviser

    def release(
        self, export: str, instant: dt.datetime, reason: str, progress: Progress
    ) -> CloseOutcome:
        """Send the drop that a guard rail held, and return what came of it; one that was sent is
        left as it is.

        Raises LostOffsetsError where it is held for lost offsets: these are to be accepted;
        CloseError where nothing is held, or it can't be sent.
        """
        closer = self.reviser.closer
        sent = closer.ledger.outcome(export, instant)
        if sent is not None:
            return sent
        intent = closer.ledger.intent(export, instant)
        if intent is None or closer.holds.held(export, instant) is None:
            raise self._not_held(export, instant, intent)
        decided = Export.from_json(intent.definition_json())
        with foreseen(export, instant):
            if closer.holds.release(export, instant) is None:
                self._record(intent, reason)
            return closer.close(decided, instant, progress)

    def look(self, export: str, instant: dt.datetime) -> HeldDrop:
        """Return what a release would send now; changes nothing.

        Raises LostOffsetsError where it is held for lost offsets: there is no drop yet; CloseError
        where nothing is held by a guard rail, or it can't be made.
        """
        closer = self.reviser.closer
        intent, held = closer.ledger.intent(export, instant), closer.holds.held(export, instant)
        if closer.ledger.outcome(export, instant) is not None:
            raise CloseError(
                what=f"the drop of {stamp(instant)} was sent",
                where=f"export '{export}'",
                hint="it is where `deltadrop history --json` says",
            )
        if intent is None or held is None:
            raise self._not_held(export, instant, intent)
        with foreseen(export, instant):
            return look_at(self.reviser, intent, held)

    def accept_loss(
        self, export: Export, instant: dt.datetime, reason: str, progress: Progress
    ) -> CloseOutcome:
        """Close a window that is held for lost offsets without these, and return what came of it.

        Raises HeldError where what it leaves breaks a guard rail, or is held for something else;
        WrongCloseError where no close at the instant is held for lost offsets; CloseError where it
        fails.
        """
        closer = self.reviser.closer
        decided = closer.ledger.intent(export.name, instant) is not None
        if not decided and closer.holds.lost(export.name, instant) is None:
            raise WrongCloseError(
                what=f"no close at {stamp(instant)} is held for lost offsets",
                where=f"export '{export.name}'",
                hint="`deltadrop status` says what is, once `deltadrop close` has tried it",
            )
        with foreseen(export.name, instant):
            return closer.close(export, instant, progress, loss=reason)

    def _record(self, intent: Intent, reason: str) -> None:
        release = Release(
            reason=reason,
            released_at=dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds"),
            deletions=self.reviser.deletions_since(intent),
        )
        recorded = self.reviser.closer.holds.record_release(intent.export, intent.instant, release)
        log.info("released", drop=intent.drop_id, reason=recorded.reason)

    def _not_held(self, export: str, instant: dt.datetime, intent: Intent | None) -> CloseError:
        where = f"export '{export}'"
        if intent is not None:
            hint = f"finish it: deltadrop close {export} --at {instant.isoformat()}"
            what = f"the close at {stamp(instant)} was begun and is not held"
            return CloseError(what, where=where, hint=hint)
        holds = self.reviser.closer.holds
        lost = holds.lost(export, instant)
        if lost is not None:
            return lost
        held = [
            stamp(one)
            for one in self.reviser.ledger.closes(export)
            if holds.waiting(export, one) is not None
        ]
        what = f"nothing is held at {stamp(instant)}"
        hint = f"held: {', '.join(held)}" if held else "nothing of it is; see `deltadrop history`"
        return CloseError(what, where=where, hint=hint)
