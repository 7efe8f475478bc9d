"""What an operator looks at first: how far the workers are, what is due, and what blocks it."""

from __future__ import annotations

import datetime as dt
import shutil
from dataclasses import dataclass

from schemas.errors import DeltadropError
from schemas.json_result import JsonResult
from schemas.settings.settings import Settings
from sinks.exports.schedule import next_close
from sinks.installation import Installation
from sinks.ledger.lease import SCHEDULERS, latest_grant
from sinks.reports.outbox import Outbox, PendingReport
from sinks.reports.reporter import channels_of
from sinks.status.exports import ExportStatus, export_status
from sinks.status.partitions import (
    PartitionStatus,
    SetAsideStatus,
    partition_statuses,
    set_aside_of,
)
from sinks.status.unsettled import Unsettled, unsettled_of

__all__ = ["DiskStatus", "SchedulerStatus", "Status", "status_of"]


@dataclass(frozen=True, slots=True)
class SchedulerStatus(JsonResult):
    """The scheduler that works."""

    holder: str | None
    """Which one works; null where none does."""
    fence: int
    """Its tenure: a number that grows each time that another takes over."""
    until: str | None
    """Until when its lease lasts at least."""
    next_close: str | None
    """The next close of any export."""

    def __str__(self) -> str:
        """For people."""
        works = f"{self.holder} works (tenure {self.fence})" if self.holder else "none works"
        following = f"; next close {self.next_close}" if self.next_close else ""
        return f"scheduler: {works}{following}"


@dataclass(frozen=True, slots=True)
class DiskStatus(JsonResult):
    """The disk under the root: whether what a worker gathers still has a place there."""

    root: str
    """The installation's root."""
    free: int
    """Bytes that are free under the root."""
    batch: int
    """Bytes of a worker's batch, which need a place."""

    @property
    def is_full(self) -> bool:
        """Whether a worker's next batch may find no place."""
        return self.free < self.batch


@dataclass(frozen=True, slots=True)
class Status(JsonResult):
    """The status of an installation."""

    partitions: tuple[PartitionStatus, ...]
    """How far each partition is stored; none where Kafka can't be asked."""
    exports: tuple[ExportStatus, ...]
    """The exports that are defined."""
    scheduler: SchedulerStatus
    """The scheduler that works."""
    disk: DiskStatus
    """The disk under the root."""
    unsent: tuple[PendingReport, ...] = ()
    """Reports that are still to be sent, by channel."""
    unasked: str = ""
    """Why Kafka couldn't be asked about its partitions, if so."""
    undefined: tuple[Unsettled, ...] = ()
    """What isn't settled of exports that aren't defined any more."""
    set_aside: tuple[SetAsideStatus, ...] = ()
    """Partitions that can't go on, and topics that are missing."""


def status_of(installation: Installation, now: dt.datetime) -> Status:
    """Look at Kafka, coverage and ledger; changes nothing. Where Kafka can't be asked, the rest is
    there all the same.
    """
    partitions: tuple[PartitionStatus, ...] = ()
    unasked, found = "", None
    try:
        found = installation.kafka.existing(installation.topics)
        partitions = tuple(partition_statuses(installation, found, now))
    except DeltadropError as error:
        unasked = str(error)
    aside = tuple(set_aside_of(installation, found))
    unsettled = tuple(unsettled_of(installation))
    defined = {export.name for export in installation.exports}
    return Status(
        partitions,
        tuple(
            export_status(installation, export, partitions, aside, unsettled, now)
            for export in installation.exports
        ),
        _scheduler(installation, now),
        _disk(installation.settings),
        tuple(Outbox(installation.ledger.store, channels_of(installation.settings)).undelivered()),
        unasked,
        tuple(drop for drop in unsettled if drop.export not in defined),
        aside,
    )


def _scheduler(installation: Installation, now: dt.datetime) -> SchedulerStatus:
    """Look at the schedulers' lease."""
    following = min((next_close(export, now) for export in installation.exports), default=None)
    next_instant = following.isoformat() if following else None
    grant = latest_grant(installation.ledger.store, SCHEDULERS)
    if grant is None or grant.is_free(now):
        return SchedulerStatus(None, grant.fence if grant else 0, None, next_instant)
    return SchedulerStatus(grant.holder, grant.fence, grant.expires_at.isoformat(), next_instant)


def _disk(settings: Settings) -> DiskStatus:
    """Look at the disk; where the root isn't made yet, at the one it will be on."""
    there = next(folder for folder in (settings.root, *settings.root.parents) if folder.exists())
    free = shutil.disk_usage(there).free
    return DiskStatus(str(settings.root), free, settings.worker.batch_bytes)
