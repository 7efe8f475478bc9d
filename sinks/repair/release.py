"""Release a held drop, with a person's reason.

A drop that a guard rail held is made again from its intent, with the same bytes; only people whose
deletion was recorded since are taken out. A drop that is held for lost offsets is made without
them, if their loss is accepted. Running it again is safe, also after a kill.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace

import structlog

from schemas.errors import CloseError, WrongCloseError
from sinks.closing.close import Progress
from sinks.closing.running import foreseen
from sinks.exports.export import Export
from sinks.instants import stamp
from sinks.ledger.held import Release
from sinks.ledger.outcome import CloseOutcome
from sinks.ledger.record import CloseRecord
from sinks.repair.held_preview import HeldDrop, look_at
from sinks.repair.revise import Reviser

__all__ = ["Releaser"]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Releaser:
    """Releases held drops."""

    reviser: Reviser

    def release(self, export: str, instant: dt.datetime, reason: str) -> CloseOutcome:
        """Send the drop that a guard rail held, and return its outcome; a sent drop stays as it is.

        Raises LostOffsetsError if the close is held for lost offsets, whose loss must be accepted.
        Raises CloseError if nothing is held or the drop can't be sent.
        """
        closer = self.reviser.closer
        record = closer.ledger.record_of(export, instant)
        if record is not None and record.outcome is not None:
            return record.outcome
        if record is None or record.held is None:
            raise self._not_held(export, instant, record)
        with foreseen(export, instant):
            released = record if record.release else self._record(record, reason)
            return closer.finish(released)

    def look(self, export: str, instant: dt.datetime) -> HeldDrop:
        """Return what a release would send now; changes nothing.

        Raises LostOffsetsError if the close is held for lost offsets, as there is no drop yet.
        Raises CloseError if no guard rail holds a drop, or if the drop was sent or can't be made.
        """
        record = self.reviser.ledger.record_of(export, instant)
        if record is not None and record.is_done:
            raise CloseError(
                what=f"the drop of {stamp(instant)} was sent",
                where=f"export '{export}'",
                hint="it is where `deltadrop history --json` says",
            )
        if record is None or record.held is None:
            raise self._not_held(export, instant, record)
        with foreseen(export, instant):
            return look_at(self.reviser, record.intent, record.held)

    def accept_loss(
        self, export: Export, instant: dt.datetime, reason: str, progress: Progress
    ) -> CloseOutcome:
        """Close a window that is held for lost offsets without these offsets, and return its
        outcome.

        Raises HeldError if the drop then breaks a guard rail or is held for another reason,
        WrongCloseError if no close at the instant is held for lost offsets, CloseError if the close
        fails.
        """
        closer = self.reviser.closer
        is_decided = closer.ledger.intent(export.name, instant) is not None
        if not is_decided and closer.holds.lost(export.name, instant) is None:
            raise WrongCloseError(
                what=f"no close at {stamp(instant)} is held for lost offsets",
                where=f"export '{export.name}'",
                hint="`deltadrop status` says what is, once `deltadrop close` has tried it",
            )
        with foreseen(export.name, instant):
            return closer.close(export, instant, progress, loss=reason)

    def _record(self, record: CloseRecord, reason: str) -> CloseRecord:
        closer = self.reviser.closer
        release = Release(
            reason=reason,
            released_at=dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds"),
            deletions=closer.departure.deletions_now(record.intent),
        )
        recorded = closer.ledger.record_release(record, release)
        log.info("released", drop=record.intent.drop_id, reason=recorded.reason)
        return replace(record, release=recorded)

    def _not_held(
        self, export: str, instant: dt.datetime, record: CloseRecord | None
    ) -> CloseError:
        where = f"export '{export}'"
        if record is not None:
            hint = f"finish it: deltadrop close {export} --at {instant.isoformat()}"
            what = f"the close at {stamp(instant)} was begun and is not held"
            return CloseError(what, where=where, hint=hint)
        lost = self.reviser.closer.holds.lost(export, instant)
        if lost is not None:
            return lost
        ledger = self.reviser.ledger
        records = (ledger.record_of(export, close) for close in ledger.closes(export))
        held = [stamp(found.instant) for found in records if found and found.waiting]
        what = f"nothing is held at {stamp(instant)}"
        hint = f"held: {', '.join(held)}" if held else "nothing of it is; see `deltadrop history`"
        return CloseError(what, where=where, hint=hint)
