"""The chain of an export: its closes in order, each of which begins where another one ended.

The ledger alone decides where a new close belongs (`Chain.link`), and whether it may begin there
(`Link.begin`). At most one close follows another. So no event is in two drops, whatever runs at the
same time (SPEC §3 and §4).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace

from schemas.errors import CloseError, DefinitionError, Fault, WrongCloseError
from sinks.exports.export import Export
from sinks.exports.schedule import first_start
from sinks.exports.types import EXPORT_TYPES, Line
from sinks.instants import stamp
from sinks.ledger.intent import Intent
from sinks.ledger.ledger import Ledger
from sinks.ledger.names import drop_id
from sinks.ledger.record import CloseRecord

__all__ = ["Chain", "Link", "read_chain"]


@dataclass(frozen=True, slots=True)
class Chain:
    """The closes of an export that were begun, oldest first."""

    ledger: Ledger
    export: Export
    closes: tuple[dt.datetime, ...]

    def finished(self) -> Chain:
        """Return the chain without closes that aren't finished, as if they had never begun."""
        closes = list(self.closes)
        while closes and self.ledger.outcome(self.export.name, closes[-1]) is None:
            closes.pop()  # an earlier one is finished, as closes are made in order
        return replace(self, closes=tuple(closes))

    def refuse_taken_name(self, instant: dt.datetime) -> None:
        """Raise WrongCloseError if another close has the file name of the close at an instant.

        Locations can't tell this alone, as partners take their files away.
        """
        name = str(self.export.file_name(instant))
        # A run beside may have begun this very close since.
        others = (close for close in reversed(self.closes) if close != instant)
        owner = next((close for close in others if self._name_of(close) == name), None)
        if owner is not None:
            raise WrongCloseError(
                what=f"the file name {name} is taken by another window, {stamp(owner)}",
                where=self._where,
                hint="give the suffix a time, as _yyyyMMdd_HHmmss, for several windows a day",
            )

    def refuse_initial(self) -> None:
        """Raise WrongCloseError if the export can't have an initial drop.

        Only exports of rows have an initial drop. It is the export's first drop, as later ones are
        deltas on it.
        """
        if not self._has_rows:
            rows = ", ".join(kind.name for kind in EXPORT_TYPES.values() if kind.line is Line.ROW)
            raise WrongCloseError(
                what=f"exports of type {self.export.type.name} have no initial drop",
                where=self._where,
                hint=f"those of rows have one: {rows}; close it without --initial",
            )
        if self.closes:
            raise WrongCloseError(
                what=f"an initial drop is an export's first; it was closed at"
                f" {stamp(self.closes[0])}",
                where=self._where,
                hint="close it without --initial, or define an export of another name",
            )

    def link(self, instant: dt.datetime, *, initial: bool = False) -> Link:
        """Return the place of a close that isn't begun yet.

        initial: its initial drop is wanted. This is recorded before anything else: if this run is
        held or killed, the run that continues the close makes the initial drop as well.

        Raises DefinitionError if the export is another one than before. Raises CloseError if the
        last close isn't finished, HeldError if its drop is held, WrongCloseError if the instant is
        before it, or if the export can't have an initial drop.
        """
        if initial:
            self.refuse_initial()
            self.ledger.request_initial(self.export.name, instant)
        elif self._has_rows and not self.closes:
            initial = self.ledger.is_initial_requested(self.export.name, instant)
        others = [close for close in self.closes if close != instant]  # a run beside may begin it
        if not others:
            start = instant if initial else first_start(self.export, instant)
            return Link(self.ledger, self.export, instant, None, start, initial)
        previous = others[-1]
        self._refuse_to_follow(previous, self.ledger.record_of(self.export.name, previous), instant)
        return Link(self.ledger, self.export, instant, previous, previous, initial=False)

    def _refuse_to_follow(
        self, last: dt.datetime, record: CloseRecord | None, instant: dt.datetime
    ) -> None:
        """Refuse a close that can't follow the last one.

        record: what is recorded of the last one; None if its intent is missing.
        """
        then = record.intent.decided_export.identity if record else self.export.identity
        if then != self.export.identity:
            what = f"is another export now: it was of {then}, and is of {self.export.identity}"
            hint = "give it another name, for a chain of drops of its own; or take the change back"
            raise DefinitionError([Fault(self._where, what, hint)])
        if last > instant:
            raise WrongCloseError(
                what=f"{stamp(instant)} is before this export's last cut, {stamp(last)}",
                where=self._where,
                hint="windows are closed in order; choose an instant after its last cut",
            )
        if record is not None and record.is_done:
            return
        if record is not None and record.waiting:  # windows are closed in order: later ones wait
            raise record.waiting.error(self.export.name, last)
        raise CloseError(
            what=f"the close at {stamp(last)} was begun and not finished",
            where=self._where,
            hint=f"finish it first: close {self.export.name} --at {last.isoformat()}",
        )

    def _name_of(self, close: dt.datetime) -> str | None:
        """Return the name of the file of a close: the delivered one, or the decided one."""
        outcome = self.ledger.outcome(self.export.name, close)
        if outcome is not None and outcome.name is not None:
            return outcome.name
        intent = self.ledger.intent(self.export.name, close)
        return None if intent is None else str(intent.decided_export.file_name(close))

    @property
    def _has_rows(self) -> bool:
        return self.export.type.line is Line.ROW

    @property
    def _where(self) -> str:
        return f"export '{self.export.name}'"


@dataclass(frozen=True, slots=True)
class Link:
    """The place of a close in the chain of its export.

    previous: the close that it follows; None: it is the first. start: where its window begins.
    initial: it makes the export's initial drop, with every living row at the cut.
    """

    ledger: Ledger
    export: Export
    instant: dt.datetime
    previous: dt.datetime | None
    start: dt.datetime
    initial: bool

    @property
    def drop_id(self) -> str:
        """Identifier of its drop."""
        return drop_id(self.export.name, self.instant)

    @property
    def previous_drop(self) -> str | None:
        """Identifier of the drop before."""
        return drop_id(self.export.name, self.previous) if self.previous else None

    def begin(self, intent: Intent) -> Intent:
        """Begin the close: take its place, and record its intent.

        Returns the recorded intent, which another run may have recorded first. Raises CloseError if
        another close has taken the place, so that no event is in two drops. Raises WrongCloseError
        if an initial drop is wanted and a delta is recorded.
        """
        owner = self.ledger.claim(self.export.name, self.previous, self.instant)
        if owner != self.instant:
            raise CloseError(
                what=f"another close of it, at {stamp(owner)}, has begun with the same events",
                where=f"export '{self.export.name}'",
                hint=f"finish it first: close {self.export.name} --at {owner.isoformat()}",
            )
        recorded = self.ledger.record_intent(intent)
        if intent.initial and not recorded.initial:
            read_chain(self.ledger, self.export).refuse_initial()
        return recorded


def read_chain(ledger: Ledger, export: Export) -> Chain:
    """Read the chain of an export."""
    return Chain(ledger, export, tuple(ledger.closes(export.name)))
