"""Retention of the transferbox (settings: `transferbox: {retention_days: …}`; SPEC §4).

A file is removed only if the ledger has a receipt of it, and its name and bytes are still those
that were delivered. The days are counted from the drop's outcome and from the file's last write,
whichever is later, as it may have been dropped again. All other files belong to somebody else.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import structlog

from schemas.errors import LedgerError
from sinks.instants import utc_now
from sinks.ledger.ledger import Ledger
from sinks.ledger.receipts import Consignment, Receipts
from sinks.locations import TRANSFERBOX, DeliveryError, Transferbox
from sinks.repair.own_files import own_files

__all__ = ["Retention"]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Retention:
    """Removes old drops from the transferbox. days: None keeps them for ever."""

    ledger: Ledger
    receipts: Receipts
    transferbox: Transferbox
    days: int | None
    now: Callable[[], dt.datetime] = utc_now

    def sweep(self) -> int:
        """Remove old drops and return how many files; files that can't be removed are logged."""
        if self.days is None:
            return 0
        before = self.now() - dt.timedelta(days=self.days)
        removed = 0
        for export in self.ledger.exports():
            try:
                removed += self._sweep(export, before)
            except OSError as error:  # other processes may remove files there, too
                log.warning("not all swept", export=export, why=str(error))
        if removed:
            log.info("transferbox swept", files=removed, older_than_days=self.days)
        return removed

    def _sweep(self, export: str, before: dt.datetime) -> int:
        if not self._has_old_files(export, before):
            return 0
        removed = 0
        for at in (instant for instant in self.ledger.closes(export) if instant < before):
            try:
                removed += sum(self._remove(file) for file in self._due(export, at, before))
            except LedgerError as error:
                log.warning("not swept", export=export, instant=at.isoformat(), why=str(error))
        return removed

    def _has_old_files(self, export: str, before: dt.datetime) -> bool:
        files = self.transferbox.files_of(export)
        return any(file.lstat().st_mtime < before.timestamp() for file in files)

    def _due(self, export: str, instant: dt.datetime, before: dt.datetime) -> Iterator[Path]:
        for number in (0, *self.ledger.revisions(export, instant)):
            outcome = self.ledger.outcome(export, instant, number)
            if outcome is None or dt.datetime.fromisoformat(outcome.finished_at) >= before:
                continue
            drop = Consignment(export, instant, number, outcome.sha256)
            receipts = self.receipts.of(drop, TRANSFERBOX) or ()
            for file in own_files(self.transferbox, receipts, outcome):
                if file.stat().st_mtime < before.timestamp():  # otherwise it was dropped again
                    yield file

    def _remove(self, file: Path) -> bool:
        try:
            return self.transferbox.withdraw(self.transferbox.folder_of(file), file.name)
        except DeliveryError as error:
            log.warning("left in the transferbox", file=str(file), why=str(error))
            return False
