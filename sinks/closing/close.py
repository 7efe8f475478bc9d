"""A close: one window of one export becomes one proven drop.

The steps, in order:

1. Read what the ledger has of the close: it may be done, held, or begun by an earlier run. A new
   close needs a file name that is free, and a place in its export's chain (`ledger/chain.py`).
2. Decide the drop: take the cut, wait for the workers, prove that all is there (`intent.py`); take
   the place, and record the intent. For a close that was begun, take out people deleted since
   (`departure.py`).
3. Make the drop: select, render, balance (`drop.py`). Hold a drop that breaks a guard
   rail (`guards.py`).
4. Look at the ledger again: another run may have finished the close, or taken people out.
5. Deliver the drop to each location (`deliveries.py`), and record the outcome.

A close with a recorded outcome is done: running it again changes nothing. A close that was killed
is made again from its intent, with the same bytes. A close that can't be proven complete is held,
and nothing is sent. A drop that breaks a guard rail of its export is held until it is released.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import structlog

from sinks.closing.completeness import Lag
from sinks.closing.deliveries import Deliveries
from sinks.closing.departure import DeparturePolicy
from sinks.closing.drop import Drop, DropMaker, released_of
from sinks.closing.guards import Figures, broken, rows_of_weekday
from sinks.closing.intent import Intentions
from sinks.closing.observer import CloseStep, bind_window, step
from sinks.exports.export import Export
from sinks.ledger.chain import read_chain
from sinks.ledger.holds import Holds
from sinks.ledger.ledger import Ledger
from sinks.ledger.outcome import CloseOutcome
from sinks.ledger.record import CloseRecord
from sinks.locations.base import Receipt

__all__ = ["Closer", "Progress"]

log = structlog.get_logger(__name__)

Progress: TypeAlias = Callable[[Sequence[Lag]], None]
"""Called with the partitions that a close waits for."""
_Deliver: TypeAlias = Callable[[Drop], Sequence[Receipt]]
"""Delivers a drop to its locations and returns the receipts."""


@dataclass(frozen=True, slots=True)
class Closer:
    """Makes and delivers the drops of windows."""

    intentions: Intentions
    maker: DropMaker
    ledger: Ledger
    deliveries: Deliveries

    @property
    def holds(self) -> Holds:
        """Why closes are held that aren't decided yet, or whose drop can't be made."""
        return Holds(self.ledger.store)

    @property
    def departure(self) -> DeparturePolicy:
        """Decides what may still leave with a drop whose close was decided earlier."""
        return DeparturePolicy(self.intentions.removals, self.maker, self.ledger, self.deliveries)

    def close(
        self,
        export: Export,
        instant: dt.datetime,
        progress: Progress,
        *,
        initial: bool = False,
        loss: str = "",
    ) -> CloseOutcome:
        """Close the window of an export that ends at an instant, and return the outcome.

        initial: make the export's initial drop instead, with every living row at the cut. loss: a
        person's reason why the drop may lack lost offsets; empty if nobody accepted that.

        Raises HeldError if the drop can't be proven complete or breaks a guard rail, and CloseError
        if it can't be made or delivered. Raises WrongCloseError if an initial drop is wanted and
        the window was closed, or begun, as a delta. Running it again is safe.
        """
        outcome = self.ledger.outcome(export.name, instant)
        if outcome is not None and not initial:
            return outcome
        record = self.ledger.record_of(export.name, instant)
        if record is not None:
            if initial and not record.intent.initial:
                read_chain(self.ledger, export).refuse_initial()
            return self.finish(record)
        chain = read_chain(self.ledger, export)
        chain.refuse_taken_name(instant)
        self.deliveries.refuse_foreign_file(export, instant)
        link = chain.link(instant, initial=initial)
        with self.holds.held_if_incomplete(export.name, instant):
            with step(export.name, CloseStep.PROVE):
                intent = link.begin(self.intentions.decide(link, progress, loss=loss))
            return self._complete(CloseRecord(intent), self.deliver)

    def finish(self, record: CloseRecord) -> CloseOutcome:
        """Continue a close that an earlier run began, from its intent; see `close`."""
        if record.outcome is not None:
            return record.outcome
        if record.waiting is not None:
            raise record.waiting.error(record.export, record.instant)
        with self.holds.held_if_incomplete(record.export, record.instant):
            with step(record.export, CloseStep.PROVE):
                current = self.departure.take_out(record)
            return self._complete(current, self._deliver_or_supersede)

    def _complete(self, record: CloseRecord, deliver: _Deliver) -> CloseOutcome:
        """Make the drop of a decided close, deliver it, and record the outcome."""
        bind_window(record.intent)
        with self.maker.made(record.decides, released_of(record)) as drop:
            self._hold_if_unusual(record, drop)
            record.refuse_other_bytes(drop.rendered.sha256)
            outcome = self._deliver_once(record, drop, deliver)
        log.info("closed", drop=outcome.drop_id, file=outcome.file, rows=outcome.rows)
        return outcome

    def _hold_if_unusual(self, record: CloseRecord, drop: Drop) -> None:
        """Hold a drop that breaks a guard rail of its export; raises HeldError.

        A released drop and an initial drop are never held.
        """
        intent, export = drop.intent, drop.intent.decided_export
        rails = export.definition.guard_rails
        if rails is None or intent.initial or record.release is not None:
            return
        earlier = partial(rows_of_weekday, self.ledger, export, intent)
        reasons = broken(rails, Figures.of(drop.manifest), earlier)
        if reasons:
            held = drop.held(reasons)
            self.ledger.record_held(record, held)
            log.warning("held", drop=intent.drop_id, reasons=reasons)
            raise held.error(intent.export, intent.instant)

    def _deliver_once(self, record: CloseRecord, drop: Drop, deliver: _Deliver) -> CloseOutcome:
        """Deliver a drop and record the outcome, unless another run has done so.

        No file of this run has left before; whoever else decides about the close is looked for
        first.
        """
        now = self.ledger.again(record)
        if now.outcome is not None:
            return now.outcome
        self.departure.refuse_outdated(record, now)
        with step(record.export, CloseStep.DELIVER):
            receipts = deliver(drop)
        with step(record.export, CloseStep.RECORD):
            return self._record(drop, receipts)

    def deliver(self, drop: Drop) -> Sequence[Receipt]:
        """Deliver a drop to all its locations; doing it again is safe."""
        return self.deliveries.deliver(drop.delivery, drop.locations)

    def _deliver_or_supersede(self, drop: Drop) -> Sequence[Receipt]:
        receipts = self.departure.supersede(drop)
        return self.deliver(drop) if receipts is None else receipts

    def _record(self, drop: Drop, receipts: Sequence[Receipt]) -> CloseOutcome:
        """Record the facts that still wait, then the outcome."""
        intent, waiting = drop.intent, drop.waiting
        if waiting is not None:
            name = self.ledger.waiting_name(intent.export, intent.instant)
            self.ledger.store.write(name, lambda file: file.write(waiting))
        return self.ledger.record_outcome(intent, drop.outcome(receipts))
