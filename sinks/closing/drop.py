"""A drop in a scratch folder: selected, rendered and balanced, but not delivered yet."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from sinks.closing.deliveries import Delivery
from sinks.closing.manifest_of import manifest_of
from sinks.closing.observer import CloseStep, entering, step
from sinks.closing.selection import Selection
from sinks.drops.manifest import Manifest, Released
from sinks.ledger.held import Held
from sinks.ledger.intent import Intent
from sinks.ledger.outcome import CloseOutcome
from sinks.ledger.receipts import Consignment
from sinks.ledger.record import CloseRecord
from sinks.ledger.revision import Revision
from sinks.locations.base import Folder, Receipt
from sinks.rendering.layout import Rendered
from sinks.rendering.render import render
from sinks.scratch import scratch_folder

__all__ = ["Drop", "DropMaker", "released_of"]


@dataclass(frozen=True, slots=True)
class Drop:
    """A drop that isn't delivered yet: its file in a scratch folder, and its manifest.

    intent: what decided it. revision: the number of the revision that it is; 0 for the drop of the
    close. waiting: the facts that still wait for their campaign, as Parquet; None if no
    fact waits.
    """

    intent: Intent
    revision: int
    name: str
    file: Path | None  # None if the file of an empty window is skipped
    manifest: Manifest
    rendered: Rendered
    waiting: bytes | None

    @property
    def locations(self) -> Sequence[str]:
        """The locations that it is delivered to."""
        return self.intent.decided_export.definition.deliver

    @property
    def delivery(self) -> Delivery:
        """What is delivered of it."""
        export = self.intent.decided_export
        to = Consignment(export.name, self.intent.instant, self.revision, self.rendered.sha256)
        folder = Folder(export.definition.entity, export.name)
        return Delivery(to, folder, self.name, self.file, self.manifest)

    def outcome(self, receipts: Sequence[Receipt]) -> CloseOutcome:
        """Return the outcome to be recorded once it is delivered."""
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
        """Return the entry to be recorded if it is held instead of sent. reasons: one for each
        guard rail.
        """
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
class DropMaker:
    """Makes drops from intents; the same intent always gives the same bytes."""

    selection: Selection
    scratch: Path

    @contextmanager
    def made(
        self, intent: Intent, released: Released | None = None, revision: Revision | None = None
    ) -> Iterator[Drop]:
        """Make a drop in a scratch folder, which is removed when the context ends.

        released: why it was held and released, for its manifest. Raises CloseError if the drop
        can't be made or its rows don't add up.
        """
        export, number = intent.decided_export, revision.number if revision else 0
        with scratch_folder(self.scratch) as folder:
            selection = self.selection.select(intent, export)
            with entering(export.name, CloseStep.SELECT, selection) as selected:
                name = str(export.file_name(intent.instant, number))
                # the name within an archive stays, so that the same lines give the same bytes
                inner_name = export.inner_name(intent.instant)
                file = folder / name
                layout = replace(export.layout, block_bytes=intent.block_bytes)
                with step(export.name, CloseStep.RENDER), file.open("wb") as out:
                    rendered = render(selected.lines, layout, out, inner_name=inner_name)
                manifest = manifest_of(export, intent, name, selected, rendered, revision, released)
            manifest.balance.check(export.name, exported=rendered.rows)
            delivered = file if manifest.file else None
            yield Drop(intent, number, name, delivered, manifest, rendered, selected.waiting)


def released_of(record: CloseRecord) -> Released | None:
    """Return why a close's drop was held and released, for its manifest; None if it wasn't."""
    if record.held is None or record.release is None:
        return None
    return Released(held_because=record.held.reasons, reason=record.release.reason)


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
