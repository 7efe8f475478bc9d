"""The sweeper: finishes what killed runs left half done.

Everything begun is finished with the bytes that it was to have: closes and revisions without an
outcome, deliveries without a receipt. What can't be finished is reported, and tried again by the
next sweep. Held drops wait for a person. Then half-written files older than an hour are removed.
Each step is safe beside a running close, and after a kill.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import structlog

from schemas.errors import DeltadropError
from sinks.closing.running import foreseen
from sinks.ledger.names import drop_id
from sinks.repair.leftovers import Leftovers
from sinks.repair.report import RepairReport
from sinks.repair.revise import Reviser
from sinks.repair.stored_files import strange_files, wrong_records
from sinks.wording import counted

__all__ = ["Sweeper", "Swept"]

log = structlog.get_logger(__name__)

_SHOWN: Final = 20
"""Lines for people about one kind of finding; a restored backup may have thousands."""

Failed: TypeAlias = Callable[[str, dt.datetime, DeltadropError], None]
"""Called for each drop that can't be finished, with export, instant and error."""


@dataclass(slots=True)
class Swept(RepairReport):
    """The result of a sweep."""

    closes: list[str] = field(default_factory=list)
    """Closes that were finished, by drop."""
    revisions: list[str] = field(default_factory=list)
    """Revisions that were finished, by drop."""
    held: list[str] = field(default_factory=list)
    """Drops that wait for a release."""
    leftovers: int = 0
    """Files of killed runs that were removed."""
    left: list[str] = field(default_factory=list)
    """What could not be done, and why."""
    strange: list[str] = field(default_factory=list)
    """Files in the product's folders that are of no known kind: they are left out, and stay."""
    wrong: list[str] = field(default_factory=list)
    """Records that aren't as they were written, with `--all`."""

    def lines(self) -> Iterator[str]:
        """See RepairReport.lines."""
        yield f"closes finished: {len(self.closes)}"
        yield from (f"  {name}" for name in self.closes)
        yield f"revisions finished: {len(self.revisions)}"
        yield from (f"  {name}" for name in self.revisions)
        yield f"leftovers of killed runs removed: {counted(self.leftovers, 'file')}"
        yield from _few(self.strange, "strange, left alone: {} isn't deltadrop's")
        yield from _few(self.wrong, "WRONG: {}")
        for name in self.held:
            yield f"held, waits for a release: {name}"
        for reason in self.left:
            yield f"NOT DONE: {reason}"


def _few(found: list[str], line: str) -> Iterator[str]:
    yield from (line.format(name) for name in found[:_SHOWN])
    if len(found) > _SHOWN:
        yield line.format(f"{len(found) - _SHOWN} more (--json has all)")


def _ignore(export: str, instant: dt.datetime, error: DeltadropError) -> None:
    """Do nothing: the report has the error."""


@dataclass(frozen=True, slots=True)
class Sweeper:
    """Finishes what earlier runs began. failed: called for each drop that can't be finished."""

    reviser: Reviser
    leftovers: Leftovers
    failed: Failed = _ignore

    def sweep(self, *, all_records: bool = False) -> Swept:
        """Finish all that was begun, then remove leftovers and tell of strange files.

        This includes exports in the ledger that are no longer defined. all_records: whether every
        record of the root is read and checked too.
        """
        swept = Swept()
        for export, instant in self.reviser.ledger.begun():
            self._try(export, instant, swept, closes=True)
        swept.leftovers = self.leftovers.remove()
        store = self.reviser.ledger.store
        swept.strange = [store.address(name) for name in strange_files(store)]
        if all_records:
            swept.wrong = list(map(str, wrong_records(store)))
        for file in swept.strange:
            log.warning("strange file", file=file)
        log.info("swept", closes=swept.closes, revisions=swept.revisions, left=swept.left)
        return swept

    def finish_revisions(self) -> Swept:
        """Finish begun revisions only; begun closes are due by themselves."""
        swept = Swept()
        for export, instant in self.reviser.ledger.begun():
            self._try(export, instant, swept, closes=False)
        return swept

    def finish(self, export: str, instant: dt.datetime, *, closes: bool) -> Swept:
        """Finish what was begun of one drop. closes: whether its close is finished too."""
        swept = Swept()
        self._try(export, instant, swept, closes=closes)
        return swept

    def _try(self, export: str, instant: dt.datetime, swept: Swept, *, closes: bool) -> None:
        name = drop_id(export, instant)
        try:
            with foreseen(export, instant):
                self._finish(export, instant, swept, name, closes=closes)
        except DeltadropError as error:
            log.error("not finished", drop=name, error=str(error))
            swept.left.append(f"{name} can't be finished: {error}")
            self.failed(export, instant, error)

    def _finish(
        self, export: str, instant: dt.datetime, swept: Swept, name: str, *, closes: bool
    ) -> None:
        record = self.reviser.ledger.record_of(export, instant)
        if record is None:
            return
        if record.is_done:
            swept.revisions += [name] if self.reviser.finish(record).is_any else []
        elif record.waiting is not None:
            swept.held.append(f"{name}: {'; '.join(record.waiting.reasons)}")
        elif closes:
            self.reviser.closer.finish(record)
            swept.closes.append(name)
