"""A close: one window of one export becomes one proven drop. This is its story, step by step.

A close that was recorded is done: running it again changes nothing. One that was killed is made
again from its intent, with the same bytes. What can't be proven is held, and nothing is sent; so is
a drop that breaks a guard rail of its export, until it is released.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog

from schemas.errors import CloseError
from sinks.closing.completeness import Lag
from sinks.closing.deliveries import Deliveries, Parcel
from sinks.closing.guards import Figures, broken, rows_of_weekday
from sinks.closing.intent import Intentions
from sinks.closing.losses import lost_of_intent
from sinks.closing.selection import Selected, Selection
from sinks.closing.watch import Step, decided, entering, step
from sinks.drops.manifest import (
    Balance,
    Lost,
    Manifest,
    Offsets,
    Released,
    Window,
    columns_of,
    dialect_of,
    export_of,
    file_of,
)
from sinks.exports.export import Export
from sinks.ledger.held import Held, Holds
from sinks.ledger.ledger import Intent, Ledger, Outcome, Revision
from sinks.ledger.receipts import Consignment
from sinks.locations.base import Folder, Receipt
from sinks.rendering.render import Rendered, render

log = structlog.get_logger(__name__)

Progress = Callable[[Sequence[Lag]], None]


@dataclass(frozen=True, slots=True)
class Drop:
    """A drop made and not delivered yet: the file in a scratch folder, and its manifest."""

    name: str
    file: Path | None  # None where an empty window's file is skipped
    manifest: Manifest
    rendered: Rendered
    waiting: bytes | None

    def outcome(self, receipts: Sequence[Receipt]) -> Outcome:
        """What the ledger keeps of it, once it is delivered."""
        entry = self.manifest.file
        return Outcome(
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
    ) -> Outcome:
        """Close the window of an export that ends at an instant, and return what came of it.

        initial: make the export's initial drop instead, of every living row at the cut. loss: why
        the drop may go without offsets that are lost, if a person says so.

        Raises HeldError where the drop can't be proven complete or breaks a guard rail, CloseError
        where it can't be made or delivered; running it again is safe.
        """
        recorded = self.ledger.outcome(export.name, instant)
        if recorded is not None:
            return recorded
        self._refuse_a_taken_name(export, instant)
        held = self.holds.waiting(export.name, instant)
        if held is not None:
            raise held.error(export.name, instant)
        with step(export.name, Step.PROVE):
            proven = self.intentions.make(export, instant, progress, initial=initial, loss=loss)
        intent = self.holds.released(proven)
        decided(intent)
        # What was decided counts, also where the definition has changed since.
        export = Export.from_json(intent.definition_json())
        with self.made(export, intent) as drop:
            self._check_guard_rails(export, intent, drop)
            self.holds.check(proven, drop.rendered.sha256)
            with step(export.name, Step.DELIVER):
                receipts = self.deliver(export, drop, instant)
            with step(export.name, Step.RECORD):
                outcome = self._record(intent, drop, receipts)
        log.info("closed", drop=outcome.drop_id, file=outcome.file, rows=outcome.rows)
        return outcome

    @contextmanager
    def made(
        self, export: Export, intent: Intent, revision: Revision | None = None
    ) -> Iterator[Drop]:
        """Make a drop in a scratch folder, which goes when the context ends."""
        self.scratch.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=self.scratch) as folder:
            selection = self.selection.select(intent, export)
            with entering(export.name, Step.SELECT, selection) as selected:
                number = revision.number if revision else 0
                name = str(export.file_name(intent.instant, number))
                # The name within an archive stays: the same lines give the same bytes.
                inner_name = export.inner_name(intent.instant)
                file = Path(folder) / name
                with step(export.name, Step.RENDER), file.open("wb") as out:
                    rendered = render(selected.lines, export.layout, out, inner_name=inner_name)
                manifest = _manifest(
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

    def _check_guard_rails(self, export: Export, intent: Intent, drop: Drop) -> None:
        """Hold a drop that breaks a guard rail of its export, unless it was released."""
        rails = export.definition.guard_rails
        released = self.holds.release(intent.export, intent.instant) is not None
        if rails is None or intent.initial or released:
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

    def _record(self, intent: Intent, drop: Drop, receipts: Sequence[Receipt]) -> Outcome:
        waiting = drop.waiting
        if waiting is not None:
            name = self.ledger.waiting_name(intent.export, intent.instant)
            self.ledger.store.write(name, lambda file: file.write(waiting))
        return self.ledger.record_outcome(intent, drop.outcome(receipts))

    def _refuse_a_taken_name(self, export: Export, instant: dt.datetime) -> None:
        """Refuse a file name that another window has: two days must be told apart (SPEC §7)."""
        name = str(export.file_name(instant))
        if self.ledger.intent(export.name, instant) is not None:
            return
        for location in self.deliveries.taken(_folder(export), name, export.definition.deliver):
            raise CloseError(
                what=f"the file name {name} is taken by another window ({location})",
                where=f"export '{export.name}'",
                hint="give the suffix a time, as _yyyyMMdd_HHmmss, for several windows a day",
            )


def _manifest(
    export: Export,
    intent: Intent,
    name: str,
    selected: Selected,
    rendered: Rendered,
    revision: Revision | None,
    released: Released | None,
) -> Manifest:
    outcomes = {outcome.label: number for outcome, number in selected.outcomes.items()}
    number = revision.number if revision else 0
    skipped = rendered.rows == 0 and export.definition.when_empty == "skip"
    compression = export.definition.file.compression
    return Manifest(
        drop=intent.drop_id,
        previous_drop=intent.previous_drop,
        export=export_of(export),
        window=Window.of(
            None if intent.initial else intent.window_start, intent.instant, export.zone_name
        ),
        file=None if skipped else file_of(name, number, rendered, compression),
        dialect=dialect_of(export),
        columns=columns_of(export),
        offsets=_offsets(intent),
        balance=Balance(input=selected.input, outcomes=outcomes),
        late_rows=selected.late,
        warnings=(*rendered.warnings, *selected.warnings, *_state_without(intent)),
        reason=revision.reason if revision else None,
        released=released,
        lost=_lost(intent),
    )


def _lost(intent: Intent) -> Lost | None:
    lost = lost_of_intent(intent) if intent.loss else ()
    if not lost:
        return None
    offsets = tuple(
        Offsets(
            topic=span.partition.topic,
            topic_id=str(span.partition.topic_id),
            partition=span.partition.partition,
            first=span.first,
            next=span.next,
        )
        for span in lost
    )
    return Lost(offsets=offsets, reason=intent.loss)


def _state_without(intent: Intent) -> Iterator[str]:
    """Warn of offsets that an earlier window lost and that this one's state would have read."""
    for span in () if intent.loss else lost_of_intent(intent):
        where = f"{span.partition.topic}/{span.partition.partition}"
        yield f"the state is without offsets {span.first} to {span.next} of {where}, which are lost"


def _offsets(intent: Intent) -> tuple[Offsets, ...]:
    topic_ids = {choice.partition.topic: choice.partition.topic_id for choice in intent.choices}
    return tuple(
        Offsets(
            topic=topic,
            topic_id=str(topic_ids[topic]),
            partition=partition,
            first=first,
            next=end,
        )
        for topic, partitions in intent.window.items()
        for partition, (first, end) in sorted(partitions.items())
    )


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")


def _parcel(export: Export, drop: Drop, instant: dt.datetime, revision: int) -> Parcel:
    whose = Consignment(export.name, instant, revision, drop.rendered.sha256)
    return Parcel(whose, _folder(export), drop.name, drop.file, drop.manifest)


def _folder(export: Export) -> Folder:
    return Folder(export.definition.entity, export.name)
