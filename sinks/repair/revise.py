"""Revisions: a drop with other content replaces the one before (SPEC §7).

The ledger records a revision like a close: the intent before anything is made, the outcome after
the delivery. A killed revision is finished by running again, with the same bytes. Then the replaced
file is removed from the transferbox. Copies elsewhere are out of reach.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from schemas.errors import CloseError
from sinks.closing.close import Closer
from sinks.closing.cut import Cuts
from sinks.closing.departure import DELETED_SINCE
from sinks.closing.drop import Drop, released_of
from sinks.editions import EDITION, Mended, named
from sinks.exports.export import Export
from sinks.ledger.intent import Intent
from sinks.ledger.ledger import Ledger
from sinks.ledger.outcome import CloseOutcome
from sinks.ledger.receipts import Consignment
from sinks.ledger.record import CloseRecord, LatestDrop
from sinks.ledger.revision import Revision
from sinks.locations import TRANSFERBOX, Folder, Transferbox
from sinks.locations.base import Receipt
from sinks.repair.own_files import own_files
from sinks.repair.revised import Revised

__all__ = ["Finished", "Reviser"]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Finished:
    """A close's record after its revisions were finished. is_any: whether any work was done."""

    record: CloseRecord
    is_any: bool


@dataclass(frozen=True, slots=True)
class Reviser:
    """Makes drops again from recorded intents and the deletions known now."""

    closer: Closer
    cuts: Cuts
    transferbox: Transferbox
    prefix: str

    @property
    def ledger(self) -> Ledger:
        """The ledger of the closes."""
        return self.closer.ledger

    def latest(self, export: str, instant: dt.datetime) -> LatestDrop | None:
        """Return the current drop of a close; None if the close isn't done."""
        record = self.ledger.record_of(export, instant)
        return record.latest if record else None

    def is_there(self, latest: LatestDrop) -> bool:
        """Whether a drop's file is still in the transferbox; partners may have moved it away."""
        definition, file = latest.intent.decided_export.definition, latest.outcome.file
        return file is not None and self.transferbox.find(
            Folder(definition.entity, definition.name), file
        )

    def finish(self, record: CloseRecord) -> Finished:
        """Finish the begun revisions of a close, and remove files that the last one replaces."""
        last, is_made = record.last_revision, False
        while last is not None and last.outcome is None:
            self._make(record, last.revision)  # this may record a further revision that replaces it
            is_made, record = True, self.ledger.again(record)
            last = record.last_revision
        withdrawn = last is not None and self._withdraw_before(record, last.revision)
        return Finished(record, is_any=is_made or withdrawn)

    def revise(
        self,
        export: str,
        instant: dt.datetime,
        reason: str,
        definition: Export | None = None,
        mended: Sequence[Mended] = (),
    ) -> Revised | None:
        """Make a drop again as a revision; None if its bytes don't change or nothing was closed.

        reason: the reason of the revision; if it is empty, it is made for deleted people or mended
        rules, if any. definition: the export's definition to use; None for the recorded one.
        mended: rules to be applied as they are today. Raises CloseError if the drop can't be made.
        """
        record = self.ledger.record_of(export, instant)
        if record is None:
            return None
        return self.revise_record(record, reason, definition, mended)

    def revise_record(
        self,
        record: CloseRecord,
        reason: str,
        definition: Export | None = None,
        mended: Sequence[Mended] = (),
    ) -> Revised | None:
        """Make the drop of a recorded close again; see `revise`."""
        record = self.finish(record).record
        latest = record.latest
        if latest is None:
            return None
        then = self._intent_now(latest.intent, definition or self._everywhere(latest))
        now, changed = self._by_todays_rules(then, mended)
        reasons = [reason or (DELETED_SINCE if now.deletions != latest.intent.deletions else "")]
        reasons += [named(changed)] if changed else []
        last = record.last_revision
        number = last.revision.number + 1 if last else 1
        revision = Revision(number, "; ".join(filter(None, reasons)), now)
        with self.closer.maker.made(now, released_of(record), revision) as drop:
            if drop.rendered.sha256 == latest.outcome.sha256:
                return None
            if self.ledger.record_revision(revision) == revision:
                outcome = self._deliver(record, revision, drop)
            else:
                outcome = None
        if outcome is None:  # another run has this number: finish its revision first
            return self.revise_record(self.ledger.again(record), reason, definition, mended)
        self._withdraw_before(record, revision)
        why = revision.reason
        log.info("drop revised", drop=outcome.drop_id, file=outcome.file, reason=why)
        return Revised(outcome.drop_id, outcome.file, revision.number, why)

    def _by_todays_rules(
        self, intent: Intent, mended: Sequence[Mended]
    ) -> tuple[Intent, Sequence[Mended]]:
        """Return the intent with today's edition of the rules, and the mended rules that change
        bytes.

        If today's edition gives the same bytes, the intent stays and no rule is named.
        """
        if not mended:
            return intent, ()
        today, before = replace(intent, edition=EDITION), self._sha256(intent)
        if self._sha256(today) == before:
            return intent, ()
        changed = []
        for rule in sorted(mended, key=lambda rule: rule.edition):
            after = self._sha256(replace(intent, edition=rule.edition))
            changed += [rule] if after != before else []
            before = after
        return today, changed

    def _sha256(self, intent: Intent) -> str:
        with self.closer.maker.made(intent) as drop:
            return drop.rendered.sha256

    def places(self, latest: LatestDrop) -> list[str]:
        """Return the locations of a drop: those of its definition, and others that a redrop
        delivered to.
        """
        intent, receipts = latest.intent, self.closer.deliveries.receipts
        brought = receipts.locations(intent.export, intent.instant, latest.number)
        return list(dict.fromkeys((*intent.decided_export.definition.deliver, *brought)))

    def _everywhere(self, latest: LatestDrop) -> Export:
        """Return a drop's definition, delivered to every location that has it, so that none keeps
        another.
        """
        return latest.intent.decided_export.delivered_to(self.places(latest))

    def _intent_now(self, intent: Intent, definition: Export) -> Intent:
        deletions = self.closer.departure.deletions_now(intent)
        return intent.without(deletions).defined_by(definition)

    def _make(self, record: CloseRecord, revision: Revision) -> CloseOutcome:
        with self.closer.maker.made(revision.intent, released_of(record), revision) as drop:
            receipts = self.closer.departure.supersede(drop)
            if receipts is None:
                return self._deliver(record, revision, drop)
            return self.ledger.record_revision_outcome(revision, drop.outcome(receipts))

    def _deliver(self, record: CloseRecord, revision: Revision, drop: Drop) -> CloseOutcome:
        intent, number = revision.intent, revision.number
        recorded = self.ledger.outcome(intent.export, intent.instant, number)
        if recorded is not None:  # another run did it meanwhile
            return recorded
        try:
            receipts = self.closer.deliver(drop)
        except CloseError:
            if self._receipts_of(drop.delivery.drop):  # the replaced file is removed all the same
                self._withdraw_before(record, revision)
            raise
        return self.ledger.record_revision_outcome(revision, drop.outcome(receipts))

    def _withdraw_before(self, record: CloseRecord, revision: Revision) -> bool:
        """Remove from the transferbox what a revision replaces; return whether a file was removed.

        record: the close's record, with all earlier revisions.
        """
        withdrawn = False
        for number in range(revision.number):
            for file in list(self._files_of(record, number)):
                folder = Folder(file.parent.parent.name, file.parent.name)
                withdrawn = self.transferbox.withdraw(folder, file.name) or withdrawn
        return withdrawn

    def _files_of(self, record: CloseRecord, number: int) -> Iterator[Path]:
        outcome = record.outcome_of(number)
        if outcome is None:
            return
        drop = Consignment(record.export, record.instant, number, outcome.sha256)
        yield from own_files(self.transferbox, self._receipts_of(drop), outcome)

    def _receipts_of(self, drop: Consignment) -> Sequence[Receipt]:
        return self.closer.deliveries.receipts.of(drop, TRANSFERBOX) or ()
