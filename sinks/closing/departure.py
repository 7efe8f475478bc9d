"""What must not leave with a drop any more: people who were deleted, and rows that were taken out,
after its close was decided (SPEC §5 and §6; docs/decisions/deleted-before-delivery.md).

As long as no file of a drop may have left, they are taken out of it. Once a file may have left, a
revision takes the drop's place, and no further location gets the drop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from schemas.errors import CloseError
from sinks.closing.deliveries import Deliveries
from sinks.closing.drop import Drop, DropMaker
from sinks.closing.removals import Removals
from sinks.instants import stamp
from sinks.ledger.held import LateRemoval
from sinks.ledger.intent import Deletion, Intent
from sinks.ledger.ledger import Ledger
from sinks.ledger.record import CloseRecord
from sinks.ledger.revision import Revision
from sinks.locations.base import Folder, Receipt

__all__ = ["DELETED_SINCE", "DeparturePolicy"]

log = structlog.get_logger(__name__)

DELETED_SINCE: Final = "people were deleted since"
"""The reason of a revision that was made for deleted people, if nobody gave another reason."""


@dataclass(frozen=True, slots=True)
class DeparturePolicy:
    """Decides what may leave with a drop whose close was decided earlier."""

    removals: Removals
    maker: DropMaker
    ledger: Ledger
    deliveries: Deliveries

    def deletions_now(self, intent: Intent) -> tuple[Deletion, ...]:
        """Return the deletions that are known now and were recorded after the close's cut."""
        return self.removals.deletions_since(intent)

    def as_it_would_leave(self, intent: Intent) -> Intent:
        """Return the intent by which a run would make the drop now, if no file of it has left.

        Records nothing.
        """
        rows = self.removals.rows_taken_out(intent.choices)
        return intent.without(self.deletions_now(intent), rows)

    def take_out(self, record: CloseRecord) -> CloseRecord:
        """Take newly deleted people and taken-out rows out of the drop of a close that was begun.

        If a file of the drop may have left, nothing is taken out. Returns the record with what
        decides the drop from now on.
        """
        decides = record.decides
        deletions = self._new_deletions(decides)
        rows = self.removals.rows_taken_out(decides.choices)
        if deletions is None and rows == decides.taken_out:
            return record
        if self._may_have_left(decides):
            return record
        removal = LateRemoval(deletions or decides.deletions, rows)
        log.info(
            "taken out", drop=decides.drop_id, deletions=len(removal.deletions), rows=len(rows)
        )
        return self.ledger.record_removal(record, removal)

    def refuse_outdated(self, made_of: CloseRecord, now: CloseRecord) -> None:
        """Raise CloseError if another run has taken people or rows out of a drop since it was made.

        That other run continues the close.
        """
        before, decides = made_of.decides, now.decides
        if decides == before:
            return
        people = decides.deletions != before.deletions
        what = "people who were deleted meanwhile" if people else "rows that can't be read"
        raise CloseError(
            what=f"another run goes on with the close at {stamp(now.instant)}, and has taken"
            f" out {what}",
            where=f"export '{now.export}'",
            hint="nothing was sent by this run; the next finds what came of the other",
        )

    def supersede(self, drop: Drop) -> Sequence[Receipt] | None:
        """Let a revision replace a drop that has partly left and shows people who were deleted
        since.

        All locations get the revision, and no further location gets the drop. Records the revision
        and returns the receipts of the locations that have the drop. Returns None if nobody was
        deleted, or if the bytes stay the same; the drop may then be delivered.
        """
        deletions = self._new_deletions(drop.intent)
        if deletions is None:
            return None
        intent = drop.intent.without(deletions)
        revision = Revision(drop.revision + 1, DELETED_SINCE, intent)
        with self.maker.made(intent, revision=revision) as without:
            if without.rendered.sha256 == drop.rendered.sha256:
                return None
        self.ledger.record_revision(revision)
        log.info("superseded", drop=intent.drop_id, revision=revision.number)
        return self.deliveries.deliver_where_found(drop.delivery, drop.locations)

    def _new_deletions(self, intent: Intent) -> tuple[Deletion, ...] | None:
        """Return the deletions known now; None if the drop was decided by all of them."""
        deletions = self.deletions_now(intent)
        return None if set(deletions) <= set(intent.deletions) else deletions

    def _may_have_left(self, intent: Intent) -> bool:
        """Whether a location has or had a file of a close's drop, or doesn't answer."""
        export = intent.decided_export
        name, locations = export.file_name(intent.instant), export.definition.deliver
        folder = Folder(export.definition.entity, export.name)
        return self.deliveries.receipts.any_of(export.name, intent.instant) or any(
            self.deliveries.may_have(folder, file, locations) for file in (str(name), name.manifest)
        )
