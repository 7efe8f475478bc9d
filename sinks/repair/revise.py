"""Revisions: a drop made again with other content takes the place of the one before (SPEC §7).

The ledger keeps a revision as it keeps a close: the intent before anything is made, the outcome
after the delivery; what was killed in between is finished by running again, with the same bytes.
Then the file that it replaces goes from the transferbox. Copies elsewhere are out of reach.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from schemas.errors import CloseError
from sinks.closing.close import DELETED_SINCE, Closer, Drop
from sinks.closing.cut import Cuts
from sinks.editions import EDITION, Mended, named
from sinks.exports.export import Export
from sinks.ledger.ledger import CloseOutcome, Deletion, Intent, Ledger, Revision
from sinks.ledger.receipts import Consignment
from sinks.locations import TRANSFERBOX, Folder, Transferbox
from sinks.locations.base import Receipt
from sinks.repair.own_files import own_files
from sinks.repair.revised import Revised

__all__ = ["Reviser"]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Reviser:
    """Makes drops again from their recorded intents and the deletions known now."""

    closer: Closer
    cuts: Cuts
    transferbox: Transferbox
    prefix: str

    @property
    def ledger(self) -> Ledger:
        """The closes' ledger."""
        return self.closer.ledger

    def latest(self, export: str, instant: dt.datetime) -> tuple[Intent, CloseOutcome] | None:
        """Return what decided the drop that is there now and what came of it; None if not closed.

        A revision that was begun and not finished doesn't count.
        """
        intent = self.ledger.intent(export, instant)
        outcome = self.ledger.outcome(export, instant)
        if intent is None or outcome is None:
            return None
        intent = self.closer.holds.as_it_leaves(intent)
        for number in self.ledger.revisions(export, instant):
            revised = self.ledger.revision_outcome(export, instant, number)
            revision = self.ledger.revision(export, instant, number)
            if revised is not None and revision is not None:
                intent, outcome = revision.intent, revised
        return intent, outcome

    def is_there(self, export: str, instant: dt.datetime) -> bool:
        """Tell whether a drop's latest file is still in the transferbox: some are fetched away."""
        latest = self.latest(export, instant)
        if latest is None or latest[1].file is None:
            return False
        definition = Export.from_json(latest[0].definition_json()).definition
        return self.transferbox.find(Folder(definition.entity, export), latest[1].file)

    def finish(self, export: str, instant: dt.datetime) -> bool:
        """Finish a revision that was begun, and remove what the last one has replaced; tell whether
        there was anything to do.
        """
        begun, latest = False, None
        while (revision := self._last(export, instant)) is not None and revision != latest:
            latest = revision
            if self.ledger.revision_outcome(export, instant, revision.number) is None:
                self._make(revision)  # which may record another that takes its place
                begun = True
        return latest is not None and (self._withdraw_before(latest) or begun)

    def revised(self, export: str, instant: dt.datetime) -> Revised | None:
        """Return the revision that took a drop's place last, if one did."""
        revision, latest = self._last(export, instant), self.latest(export, instant)
        if revision is None or latest is None:
            return None
        return Revised(latest[1].drop_id, latest[1].file, revision.number, revision.reason)

    def _last(self, export: str, instant: dt.datetime) -> Revision | None:
        numbers = self.ledger.revisions(export, instant)
        return self.ledger.revision(export, instant, numbers[-1]) if numbers else None

    def revise(
        self,
        export: str,
        instant: dt.datetime,
        reason: str,
        definition: Export | None = None,
        mended: Sequence[Mended] = (),
    ) -> Revised | None:
        """Make a drop again; None where its bytes don't change, or nothing was closed.

        reason: why, where not for a mended rule alone; empty: as people were deleted, if any were.
        definition: how it is to be written; as it was without. mended: the rules that are to be as
        they are today. Raises CloseError where it can't be made.
        """
        self.finish(export, instant)
        latest = self.latest(export, instant)
        if latest is None:
            return None
        decided, before = latest
        then = self._intent_now(decided, definition or self._everywhere(decided))
        now, changed = self._by_todays_rules(then, mended)
        told = [reason or (DELETED_SINCE if now.deletions != decided.deletions else "")]
        told += [named(changed)] if changed else []
        numbers = self.ledger.revisions(export, instant)
        revision = Revision(max(numbers, default=0) + 1, "; ".join(filter(None, told)), now)
        as_it_is = Export.from_json(now.definition_json())
        with self.closer.made(as_it_is, now, revision) as drop:
            if drop.rendered.sha256 == before.sha256:
                return None
            if self.ledger.record_revision(revision) == revision:
                outcome = self._deliver(revision, as_it_is, drop)
            else:
                outcome = None
        if outcome is None:  # another run was first with this number: finish its, then try the next
            return self.revise(export, instant, reason, definition, mended)
        self._withdraw_before(revision)
        why = revision.reason
        log.info("drop revised", drop=outcome.drop_id, file=outcome.file, reason=why)
        return Revised(outcome.drop_id, outcome.file, revision.number, why)

    def _by_todays_rules(
        self, intent: Intent, mended: Sequence[Mended]
    ) -> tuple[Intent, Sequence[Mended]]:
        """The same by today's edition of the rules, where that gives other bytes, and the mended
        rules that change them.
        """
        if not mended:
            return intent, ()
        today, before = replace(intent, edition=EDITION), self._sha256(intent)
        if self._sha256(today) == before:
            return intent, ()
        changed = []
        for one in sorted(mended, key=lambda rule: rule.edition):
            after = self._sha256(replace(intent, edition=one.edition))
            changed += [one] if after != before else []
            before = after
        return today, changed

    def _sha256(self, intent: Intent) -> str:
        with self.closer.made(Export.from_json(intent.definition_json()), intent) as drop:
            return drop.rendered.sha256

    def deletions_since(self, intent: Intent) -> tuple[Deletion, ...]:
        """Return the deletions that were recorded after a close's cut, up to now."""
        return self.closer.intentions.deletions_since(intent)

    def latest_number(self, export: str, instant: dt.datetime) -> int:
        """The number of the revision that is there now; 0 for the drop of the close itself."""
        finished = (
            number
            for number in self.ledger.revisions(export, instant)
            if self.ledger.revision_outcome(export, instant, number) is not None
        )
        return max(finished, default=0)

    def places(self, intent: Intent, export: Export) -> list[str]:
        """Where a drop belongs: where its definition says, and wherever else a redrop has brought
        it.
        """
        number = self.latest_number(intent.export, intent.instant)
        receipts = self.closer.deliveries.receipts
        brought = receipts.locations(intent.export, intent.instant, number)
        return list(dict.fromkeys((*export.definition.deliver, *brought)))

    def _everywhere(self, intent: Intent) -> Export:
        """How a drop was defined, delivered to all that have it: none may be left with another."""
        export = Export.from_json(intent.definition_json())
        return export.delivered_to(self.places(intent, export))

    def _intent_now(self, intent: Intent, definition: Export) -> Intent:
        deletions = self.deletions_since(intent)
        return replace(intent, deletions=deletions, definition=json.loads(definition.to_json()))

    def _make(self, revision: Revision) -> CloseOutcome:
        export = Export.from_json(revision.intent.definition_json())
        with self.closer.made(export, revision.intent, revision) as drop:
            receipts = self.closer.superseded(export, revision.intent, drop, revision.number)
            if receipts is None:
                return self._deliver(revision, export, drop)
            return self.ledger.record_revision_outcome(revision, drop.outcome(receipts))

    def _deliver(self, revision: Revision, export: Export, drop: Drop) -> CloseOutcome:
        intent, number = revision.intent, revision.number
        recorded = self.ledger.revision_outcome(intent.export, intent.instant, number)
        if recorded is not None:  # by another run, meanwhile
            return recorded
        try:
            receipts = self.closer.deliver(export, drop, intent.instant, number)
        except CloseError:
            drop_there = Consignment(intent.export, intent.instant, number, drop.rendered.sha256)
            if self._receipts_of(drop_there):  # what it replaces goes all the same
                self._withdraw_before(revision)
            raise
        return self.ledger.record_revision_outcome(revision, drop.outcome(receipts))

    def _withdraw_before(self, revision: Revision) -> bool:
        """Remove from the transferbox what a revision replaces; tell whether anything was there."""
        withdrawn = False
        for number in range(revision.number):
            for file in list(self._files_of(revision.intent, number)):
                folder = Folder(file.parent.parent.name, file.parent.name)
                withdrawn = self.transferbox.withdraw(folder, file.name) or withdrawn
        return withdrawn

    def _files_of(self, intent: Intent, number: int) -> Iterator[Path]:
        export, instant = intent.export, intent.instant
        outcome = (
            self.ledger.revision_outcome(export, instant, number)
            if number
            else self.ledger.outcome(export, instant)
        )
        if outcome is None:
            return
        drop = Consignment(export, instant, number, outcome.sha256)
        yield from own_files(self.transferbox, self._receipts_of(drop), outcome)

    def _receipts_of(self, drop: Consignment) -> Sequence[Receipt]:
        return self.closer.deliveries.receipts.of(drop, TRANSFERBOX) or ()
