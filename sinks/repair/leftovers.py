"""Remove what killed runs left and what may hold personal data.

That is half-written files, drops that were being made, and bases that are unfinished or of another
format.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from sinks.closing.bases import Bases, BaseTable
from sinks.ledger.lease import GrantPath
from sinks.ledger.names import EntryPath
from sinks.locations import Transferbox
from sinks.reports.names import ReportPath
from sinks.scratch import is_in_use
from streams.erasure.tombstones import TombstonesPath
from streams.recovery.set_aside import SetAsidePath
from streams.storage.layout import TakenOutPath
from streams.storage.partitions import Partitions
from streams.storage.paths import StoredPath
from streams.storage.store import age_of

__all__ = ["Leftovers"]

log = structlog.get_logger(__name__)

_OLD_SECONDS: Final = 3600.0
"""A file that is still being written is written to more often than this."""
_SWEPT: Final[tuple[type[StoredPath], ...]] = (
    BaseTable,
    EntryPath,
    TombstonesPath,
    SetAsidePath,
    TakenOutPath,
    ReportPath,
    GrantPath,
)
"""For each folder, a kind of file whose half-written files may hold personal data."""


@dataclass(frozen=True, slots=True)
class Leftovers:
    """Finds and removes leftovers in the store, the scratch folder and the transferbox."""

    partitions: Partitions
    bases: Bases
    scratch: Path
    transferbox: Transferbox

    def remove(self) -> int:
        """Remove all leftovers that are older than an hour; return how many files or folders."""
        swept = self.partitions.sweep(_OLD_SECONDS)
        return swept + self._in_store() + self._in_scratch() + self._in_transferbox()

    def _in_store(self) -> int:
        store = self.partitions.store
        half = [store.remove_unfinished(kind.top(), _OLD_SECONDS) for kind in _SWEPT]
        names = [str(table) for table in self.bases.tables() if not self.bases.is_usable(table)]
        old = [name for name in names if age_of(store, name) > _OLD_SECONDS]
        for name in old:
            store.remove(name)
        return sum(half) + len(old)

    def _in_scratch(self) -> int:
        entries = list(self.scratch.iterdir()) if self.scratch.exists() else []
        old = [entry for entry in entries if _age(entry) > _OLD_SECONDS and _is_left(entry)]
        for entry in old:
            if entry.is_dir():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)
        return len(old)

    def _in_transferbox(self) -> int:
        old = [file for file in self.transferbox.halves() if _age(file) > _OLD_SECONDS]
        for file in old:
            file.unlink(missing_ok=True)
        return len(old)


def _is_left(entry: Path) -> bool:
    """Whether no process uses it; making or delivering a large drop may take hours."""
    return not (entry.is_dir() and is_in_use(entry))


def _age(path: Path) -> float:
    """Return the seconds since a file, or anything in a folder, was written."""
    try:
        newest = max(file.stat().st_mtime for file in (path, *path.rglob("*")))
    except FileNotFoundError:  # its owner has just removed it
        return 0.0
    return time.time() - newest
