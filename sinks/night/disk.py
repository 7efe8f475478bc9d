"""The disk under the root: whether what a worker gathers still has a place there."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from schemas.settings.settings import Settings

__all__ = ["DiskStatus", "disk_status"]


@dataclass(frozen=True, slots=True)
class DiskStatus:
    """Bytes that are free under `root`, and the bytes of a worker's batch, which need a place."""

    root: str
    free: int
    batch: int

    @property
    def is_full(self) -> bool:
        """Whether a worker's next batch may find no place."""
        return self.free < self.batch


def disk_status(settings: Settings) -> DiskStatus:
    """Look at the disk; where the root isn't made yet, at the one it will be on."""
    there = next(one for one in (settings.root, *settings.root.parents) if one.exists())
    free = shutil.disk_usage(there).free
    return DiskStatus(str(settings.root), free, settings.worker.batch_bytes)
