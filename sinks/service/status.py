"""The status of an installation: how far workers are, what is due, and what blocks it."""

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
    """The state of the schedulers' lease."""

    holder: str | None
    """The scheduler that holds the lease; null where none does."""
    fence: int
    """The number of its tenure; it grows each time another scheduler takes over."""
    until: str | None
    """When the lease expires unless it is renewed; null where none holds it."""
    next_close: str | None
    """The next close of any export; null where no export is defined."""

    def __str__(self) -> str:
        """For people."""
        works = f"{self.holder} works (tenure {self.fence})" if self.holder else "none works"
        following = f"; next close {self.next_close}" if self.next_close else ""
        return f"scheduler: {works}{following}"


@dataclass(frozen=True, slots=True)
class DiskStatus(JsonResult):
    """The disk under the root, and whether a worker's next batch fits on it."""

    root: str
    """The root folder of the installation."""
    free: int
    """Free bytes on the disk under the root."""
    batch: int
    """Bytes of a worker's batch, which must be free."""

    @property
    def is_full(self) -> bool:
        """Whether a worker's next batch may not fit."""
        return self.free < self.batch


@dataclass(frozen=True, slots=True)
class Status(JsonResult):
    """The status of an installation."""

    partitions: tuple[PartitionStatus, ...]
    """How far each partition is stored; empty where Kafka doesn't answer."""
    exports: tuple[ExportStatus, ...]
    """The status of each defined export."""
    scheduler: SchedulerStatus
    """The state of the schedulers' lease."""
    disk: DiskStatus
    """The disk under the root."""
    unsent: tuple[PendingReport, ...] = ()
    """Reports that weren't sent yet, by channel."""
    unasked: str = ""
    """Why Kafka's partitions are unknown: its error; empty where it answered."""
    undefined: tuple[Unsettled, ...] = ()
    """Unfinished drops of exports that aren't defined any more."""
    set_aside: tuple[SetAsideStatus, ...] = ()
    """Partitions that can't go on, and topics that are missing."""


def status_of(installation: Installation, now: dt.datetime) -> Status:
    """Return the status, from Kafka, coverage and the ledger; changes nothing.

    If Kafka doesn't answer, all other parts of the status are complete.
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
    """Read the schedulers' lease."""
    following = min((next_close(export, now) for export in installation.exports), default=None)
    next_instant = following.isoformat() if following else None
    grant = latest_grant(installation.ledger.store, SCHEDULERS)
    if grant is None or grant.is_free(now):
        return SchedulerStatus(None, grant.fence if grant else 0, None, next_instant)
    return SchedulerStatus(grant.holder, grant.fence, grant.expires_at.isoformat(), next_instant)


def _disk(settings: Settings) -> DiskStatus:
    """Measure the disk; if the root doesn't exist yet, the disk of its nearest existing parent."""
    there = next(folder for folder in (settings.root, *settings.root.parents) if folder.exists())
    free = shutil.disk_usage(there).free
    return DiskStatus(str(settings.root), free, settings.worker.batch_bytes)
