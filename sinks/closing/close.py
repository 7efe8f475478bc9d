"""A close: one window of one export becomes one proven drop. This is its story, step by step.

A close that was recorded is done: running it again changes nothing. One that was killed is made
again from its intent, with the same bytes. What can't be proven is held, and nothing is sent; so is
a drop that breaks a guard rail of its export, until it is released.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from schemas.errors import CloseError
from sinks.closing.completeness import Lag
from sinks.closing.deliveries import Deliveries, Parcel
from sinks.closing.file_names import closed_with, taken_name
from sinks.closing.guards import Figures, broken, rows_of_weekday
from sinks.closing.intent import Intentions
from sinks.closing.manifest_of import manifest_of
from sinks.closing.observer import CloseStep, decided, entering, step
from sinks.closing.selection import Selection
from sinks.drops.manifest import Manifest, Released
from sinks.exports.export import Export
from sinks.instants import stamp
from sinks.ledger.held import Held, Holds
from sinks.ledger.ledger import CloseOutcome, Deletion, Intent, Ledger, Revision
from sinks.ledger.receipts import Consignment
from sinks.locations.base import Folder, Receipt
from sinks.rendering.render import Rendered, render
from sinks.scratch import scratch_folder

log = structlog.get_logger(__name__)

Progress = Callable[[Sequence[Lag]], None]

DELETED_SINCE: Final = "people were deleted since"
"""Why a drop was made again, where nobody has given another reason."""


@dataclass(frozen=True, slots=True)
class Drop:
    """A drop made and not delivered yet: the file in a scratch folder, and its manifest."""

    name: str
    file: Path | None  # None where an empty window's file is skipped
    manifest: Manifest
    rendered: Rendered
    waiting: bytes | None

    def outcome(self, receipts: Sequence[Receipt]) -> CloseOutcome:
        """What the ledger keeps of it, once it is delivered."""
        entry = self.manifest.file
        return CloseOutcome(
            drop_id=self.manifest.drop,
            file=entry.name if entry else None,
            rows=self.rendered.rows,
            size=self.rendered.bytes,
            sha256=self.rendered.sha256,
            balance=dict(self.manifest.balance.outcomes),
            receipts=tuple(str(receipt) for receipt in receipts),
            warnings=self.manifest.warnings,
            finished_at=_now(),
            late_rows=self._late_rows(),
        )

    def held(self, reasons: tuple[str, ...]) -> Held:
        """What the ledger keeps of it, if it isn't sent."""
        return Held(
            reasons=reasons,
            rows=self.rendered.rows,
            size=self.rendered.bytes,
            sha256=self.rendered.sha256,
            balance=dict(self.manifest.balance.outcomes),
            late_rows=self._late_rows(),
            held_at=_now(),
        )

    def _late_rows(self) -> dict[str, int]:
        return {f"{day}": rows for day, rows in sorted(self.manifest.late_rows.items())}


@dataclass(frozen=True, slots=True)
class Closer:
    """Closes windows."""

    intentions: Intentions
    selection: Selection
    ledger: Ledger
    deliveries: Deliveries
    scratch: Path

    @property
    def holds(self) -> Holds:
        """What is held of the ledger's closes."""
        return Holds(self.ledger.store)

    def close(
        self,
        export: Export,
        instant: dt.datetime,
        progress: Progress,
        *,
        initial: bool = False,
        loss: str = "",
    ) -> CloseOutcome:
        """Close the window of an export that ends at an instant, and return what came of it.

        initial: make the export's initial drop instead, of every living row at the cut. loss: why
        the drop may go without offsets that are lost, if a person says so.

        Raises HeldError where the drop can't be proven complete or breaks a guard rail, CloseError
        where it can't be made or delivered, WrongCloseError where an initial drop is wanted and the
        window was closed, or begun, as a delta; running it again is safe.
        """
        if initial:
            self._refuse_initial_of_a_delta(export, instant)
        recorded = self.ledger.outcome(export.name, instant)
        if recorded is not None:
            return recorded
        with self.holds.held_if_unreadable(export.name, instant):
            return self._close(export, instant, progress, initial=initial, loss=loss)

    def _close(
        self, export: Export, instant: dt.datetime, progress: Progress, *, initial: bool, loss: str
    ) -> CloseOutcome:
        """Close a window that isn't closed: see `close`."""
        begun = self.ledger.intent(export.name, instant) is not None
        if not begun:
            self._refuse_a_taken_name(export, instant)
        held = self.holds.held(export.name, instant)
        release = self.holds.release(export.name, instant)
        if held is not None and release is None:
            raise held.error(export.name, instant)
        with step(export.name, CloseStep.PROVE):
            proven = self.intentions.make(export, instant, progress, initial=initial, loss=loss)
        # What was decided counts, also where the definition has changed since.
        export = Export.from_json(proven.definition_json())
        intent = self._without_what_went(export, proven) if begun else proven
        decided(intent)
        with self.made(export, intent) as drop:
            self._check_guard_rails(export, intent, drop, is_released=release is not None)
            self.holds.check(proven, drop.rendered.sha256)
            outcome = self._deliver_once(export, intent, drop, begun=begun)
        log.info("closed", drop=outcome.drop_id, file=outcome.file, rows=outcome.rows)
        return outcome

    @contextmanager
    def made(
        self, export: Export, intent: Intent, revision: Revision | None = None
    ) -> Iterator[Drop]:
        """Make a drop in a scratch folder, which goes when the context ends."""
        with scratch_folder(self.scratch) as folder:
            selection = self.selection.select(intent, export)
            with entering(export.name, CloseStep.SELECT, selection) as selected:
                number = revision.number if revision else 0
                name = str(export.file_name(intent.instant, number))
                # The name within an archive stays: the same lines give the same bytes.
                inner_name = export.inner_name(intent.instant)
                file = folder / name
                layout = replace(export.layout, block_bytes=intent.block_bytes)
                with step(export.name, CloseStep.RENDER), file.open("wb") as out:
                    rendered = render(selected.lines, layout, out, inner_name=inner_name)
                manifest = manifest_of(
                    export, intent, name, selected, rendered, revision, self._released(intent)
                )
            manifest.balance.check(export.name, exported=rendered.rows)
            yield Drop(name, file if manifest.file else None, manifest, rendered, selected.waiting)

    def deliver(
        self, export: Export, drop: Drop, instant: dt.datetime, revision: int = 0
    ) -> tuple[Receipt, ...]:
        """Deliver a drop to all locations of its export; doing it again is safe."""
        parcel = _parcel(export, drop, instant, revision)
        return self.deliveries.deliver(parcel, export.definition.deliver)

    def deliver_again(
        self, export: Export, drop: Drop, instant: dt.datetime, revision: int = 0
    ) -> tuple[Receipt, ...]:
        """Deliver a drop where it is missing, also where it was delivered before."""
        parcel = _parcel(export, drop, instant, revision)
        return self.deliveries.deliver_again(parcel, export.definition.deliver)

    def _without_what_went(self, export: Export, begun: Intent) -> Intent:
        """What decides the drop of a close that was begun by an earlier run: people whose deletion
        was recorded since are taken out (SPEC §5), and rows that a person has taken out since (SPEC
        §6), unless something of it may have left.
        """
        intent = self.holds.as_it_leaves(begun)
        deletions, rows = self._deleted_since(intent), self.intentions.rows_taken_out(begun.choices)
        if deletions is None and rows == intent.taken_out:
            return intent
        if self._may_have_left(export, begun.instant):
            return intent
        people = deletions or intent.deletions
        log.info("taken out", drop=begun.drop_id, deletions=len(people), rows=len(rows))
        return self.holds.take_out(begun, people, rows)

    def superseded(
        self, export: Export, intent: Intent, drop: Drop, number: int = 0
    ) -> tuple[Receipt, ...] | None:
        """Let a revision take the place of a drop (or of its revision `number`) of which something
        has left, and which shows people who were deleted since: it goes to all locations, and the
        drop to no other. Returns the receipts of those that have it; None if it may go on.
        """
        deletions = self._deleted_since(intent)
        if deletions is None:
            return None
        revision = Revision(number + 1, DELETED_SINCE, replace(intent, deletions=deletions))
        with self.made(export, revision.intent, revision) as without:
            if without.rendered.sha256 == drop.rendered.sha256:
                return None
        self.ledger.record_revision(revision)
        log.info("superseded", drop=intent.drop_id, revision=revision.number)
        parcel = _parcel(export, drop, intent.instant, number)
        return self.deliveries.deliver_where_found(parcel, export.definition.deliver)

    def _deleted_since(self, intent: Intent) -> tuple[Deletion, ...] | None:
        """The deletions known now, if there are others than those that decided a drop."""
        deletions = self.intentions.deletions_since(intent)
        return None if set(deletions) <= set(intent.deletions) else deletions

    def _may_have_left(self, export: Export, instant: dt.datetime) -> bool:
        name, locations = export.file_name(instant), export.definition.deliver
        folder, receipts = _folder(export), self.deliveries.receipts
        return receipts.any_of(export.name, instant) or any(
            self.deliveries.may_have(folder, one, locations) for one in (str(name), name.manifest)
        )

    def _deliver_once(
        self, export: Export, intent: Intent, drop: Drop, *, begun: bool
    ) -> CloseOutcome:
        """Bring a drop to its locations and record what came of it, unless another run did."""
        recorded = self.ledger.outcome(export.name, intent.instant)
        if recorded is not None:
            return recorded
        self._refuse_what_is_outdated(export, intent)
        with step(export.name, CloseStep.DELIVER):
            receipts = self.superseded(export, intent, drop) if begun else None
            if receipts is None:
                receipts = self.deliver(export, drop, intent.instant)
        with step(export.name, CloseStep.RECORD):
            return self._record(intent, drop, receipts)

    def _refuse_what_is_outdated(self, export: Export, intent: Intent) -> None:
        """Refuse to deliver what another run took people, or rows, out of while this one was held
        up.
        """
        now = self.holds.as_it_leaves(intent)
        if now != intent:
            people = now.deletions != intent.deletions
            what = "people who were deleted meanwhile" if people else "rows that can't be read"
            raise CloseError(
                what=f"another run goes on with the close at {stamp(intent.instant)}, and has taken"
                f" out {what}",
                where=f"export '{export.name}'",
                hint="nothing was sent by this run; the next finds what came of the other",
            )

    def _check_guard_rails(
        self, export: Export, intent: Intent, drop: Drop, *, is_released: bool
    ) -> None:
        """Hold a drop that breaks a guard rail of its export, unless it was released when its bytes
        were decided.
        """
        rails = export.definition.guard_rails
        if rails is None or intent.initial or is_released:
            return
        figures = Figures.of(drop.manifest)
        earlier = partial(rows_of_weekday, self.ledger, export, intent)
        reasons = broken(rails, figures, earlier)
        if reasons:
            held = drop.held(reasons)
            self.holds.record(intent, held)
            log.warning("held", drop=intent.drop_id, reasons=reasons)
            raise held.error(intent.export, intent.instant)

    def _released(self, intent: Intent) -> Released | None:
        held = self.holds.held(intent.export, intent.instant)
        release = self.holds.release(intent.export, intent.instant)
        if held is None or release is None:
            return None
        return Released(held_because=held.reasons, reason=release.reason)

    def _record(self, intent: Intent, drop: Drop, receipts: Sequence[Receipt]) -> CloseOutcome:
        waiting = drop.waiting
        if waiting is not None:
            name = self.ledger.waiting_name(intent.export, intent.instant)
            self.ledger.store.write(name, lambda file: file.write(waiting))
        return self.ledger.record_outcome(intent, drop.outcome(receipts))

    def _refuse_initial_of_a_delta(self, export: Export, instant: dt.datetime) -> None:
        begun = self.ledger.intent(export.name, instant)
        if begun is not None and not begun.initial:
            self.intentions.refuse_initial(export)

    def _refuse_a_taken_name(self, export: Export, instant: dt.datetime) -> None:
        """Refuse a file name that is taken, before anything is begun (SPEC §7). The ledger is asked
        too: partners take their files away.
        """
        name = str(export.file_name(instant))
        other = closed_with(self.ledger, export.name, name)
        if other is not None:
            raise taken_name(export, name, other)
        locations = export.definition.deliver
        for location, file in self.deliveries.taken(_folder(export), name, locations):
            raise taken_name(export, file, location)


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")


def _parcel(export: Export, drop: Drop, instant: dt.datetime, revision: int) -> Parcel:
    whose = Consignment(export.name, instant, revision, drop.rendered.sha256)
    return Parcel(whose, _folder(export), drop.name, drop.file, drop.manifest)


def _folder(export: Export) -> Folder:
    return Folder(export.definition.entity, export.name)
