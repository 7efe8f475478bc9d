"""What an operator sees at a glance: how far the workers are, what is due, and what blocks it."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final

from schemas.errors import DeltadropError, LedgerError
from sinks.closing.offsets import OffsetAtTime
from sinks.exports.export import Export
from sinks.exports.schedule import next_close
from sinks.installation import Installation
from sinks.instants import milliseconds
from sinks.ledger.due import closed_until, due_closes
from sinks.ledger.lease import SCHEDULERS, latest_grant
from sinks.night.aside import (
    PassedOverStatus,
    SetAsideStatus,
    passed_over_of,
    set_aside_of,
    trouble_of,
)
from sinks.night.disk import DiskStatus, disk_status
from sinks.night.unsettled import Unsettled, unsettled_of
from sinks.reports import Outbox, Unsent, channels_of, deliver_by, latest_trouble
from streams.clocks import clock_faults
from streams.reading.kafka import TopicIdentity
from streams.reading.records import moment_text
from streams.storage.coverage import tile
from streams.storage.layout import CoveragePath, TopicPartition

_LATEST: Final = 100
"""Coverage records of each partition whose append times are looked at: 100 minutes of a worker."""


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """How far a partition is stored: `covered` without a hole, of the last stable offset `end`.

    clocks: what is wrong with its append times, of those that are to come and the latest ones.
    passed_over: what a person has passed over of it.
    """

    topic: str
    partition: int
    covered: int
    end: int
    holes: int
    clocks: tuple[str, ...] = ()
    passed_over: tuple[PassedOverStatus, ...] = ()

    @property
    def lag(self) -> int:
        """Offsets that are in Kafka and not stored yet."""
        return self.end - self.covered


@dataclass(frozen=True, slots=True)
class ExportStatus:
    """Where an export stands: its last close, those that are due, the next, and what blocks it.

    trouble: what was told of the window that is due first, if its close was held or failed, or that
    a window was closed before it ended; hint: what settles it. deliver_by: when the drop of the
    window that is due first is late, if it can be. unsettled: drops that were made again and not
    delivered everywhere yet.
    """

    export: str
    last: str | None
    due: tuple[str, ...]
    next: str
    blocked_by: tuple[str, ...]
    trouble: str = ""
    hint: str = ""
    deliver_by: str | None = None
    unsettled: tuple[Unsettled, ...] = ()

    @property
    def is_in_trouble(self) -> bool:
        """Whether something has to be settled."""
        return bool(self.trouble or self.unsettled)


@dataclass(frozen=True, slots=True)
class SchedulerStatus:
    """Which scheduler works (None: none does), since which tenure, until when at least; and the
    next close of any export.
    """

    holder: str | None
    fence: int
    until: str | None
    next_close: str | None

    def __str__(self) -> str:
        """For people."""
        works = f"{self.holder} works (tenure {self.fence})" if self.holder else "none works"
        following = f"; next close {self.next_close}" if self.next_close else ""
        return f"scheduler: {works}{following}"


@dataclass(frozen=True, slots=True)
class Status:
    """The status of an installation. unasked: why Kafka told nothing of its partitions, if so.
    undefined: what isn't settled of exports that aren't defined any more. set_aside: partitions
    that can't go on, and topics that are missing.
    """

    partitions: tuple[PartitionStatus, ...]
    exports: tuple[ExportStatus, ...]
    scheduler: SchedulerStatus
    disk: DiskStatus
    unsent: tuple[Unsent, ...] = ()  # reports
    unasked: str = ""
    undefined: tuple[Unsettled, ...] = ()
    set_aside: tuple[SetAsideStatus, ...] = ()

    def to_json(self) -> str:
        """Serialise, for scripts."""
        return json.dumps(asdict(self), indent=2)


def status_of(installation: Installation, now: dt.datetime) -> Status:
    """Look at Kafka, coverage and ledger; changes nothing. Without Kafka the ledger still tells."""
    partitions: tuple[PartitionStatus, ...] = ()
    unasked, found = "", None
    try:
        found = installation.kafka.existing(installation.topics)
        partitions = tuple(_partitions(installation, found, now))
    except DeltadropError as error:
        unasked = str(error)
    aside = tuple(set_aside_of(installation, found))
    unsettled = tuple(unsettled_of(installation))
    exports = tuple(
        replace(
            _told(installation, export, partitions, aside, now),
            unsettled=tuple(one for one in unsettled if one.export == export.name),
        )
        for export in installation.exports
    )
    unsent = tuple(Outbox(installation.ledger.store, channels_of(installation.settings)).unsent())
    scheduler = scheduler_status(installation, now)
    disk = disk_status(installation.settings)
    defined = {export.name for export in installation.exports}
    undefined = tuple(one for one in unsettled if one.export not in defined)
    return Status(partitions, exports, scheduler, disk, unsent, unasked, undefined, aside)


def scheduler_status(installation: Installation, now: dt.datetime) -> SchedulerStatus:
    """Look at the schedulers' lease."""
    following = min((next_close(export, now) for export in installation.exports), default=None)
    next_one = following.isoformat() if following else None
    grant = latest_grant(installation.ledger.store, SCHEDULERS)
    if grant is None or grant.is_free(now):
        return SchedulerStatus(None, grant.fence if grant else 0, None, next_one)
    return SchedulerStatus(grant.holder, grant.fence, grant.expires_at.isoformat(), next_one)


def _partitions(
    installation: Installation, found: Mapping[str, TopicIdentity], now: dt.datetime
) -> Iterator[PartitionStatus]:
    tolerance = dt.timedelta(seconds=installation.settings.kafka.clock_seconds)
    for name, identity in sorted(found.items()):
        # One question tells the ends, and the first record that is stamped ahead of now.
        to_come = installation.offsets.at(name, identity.partitions, milliseconds(now + tolerance))
        for number, ahead in enumerate(to_come):
            end = ahead.end
            paths = installation.partitions.coverage(
                TopicPartition(name, identity.topic_id, number)
            )
            first = min((path.first for path in paths), default=0)
            holes = tile(paths, first, end).holes
            covered = holes[0].first if holes else end
            inner = sum(1 for hole in holes if any(path.next > hole.first for path in paths))
            clocks = tuple(_of_clocks(installation, ahead, paths[-_LATEST:]))
            over = passed_over_of(installation.partitions, paths)
            yield PartitionStatus(name, number, covered, end, inner, clocks, over)


def _of_clocks(
    installation: Installation, ahead: OffsetAtTime, latest: Sequence[CoveragePath]
) -> Iterator[str]:
    """What is wrong with a partition's append times: ahead: the first record that is to come."""
    if ahead.appended_at is not None:
        yield f"offset {ahead.offset} is stamped {moment_text(ahead.appended_at)}, ahead of now"
    records = map(installation.partitions.record, latest)
    faults = clock_faults(records, round(installation.settings.kafka.clock_seconds * 1000))
    yield from (str(fault) for fault in faults if fault.ahead_until is None)


def _told(
    installation: Installation,
    export: Export,
    partitions: Sequence[PartitionStatus],
    aside: Sequence[SetAsideStatus],
    now: dt.datetime,
) -> ExportStatus:
    """Where an export stands; one whose ledger can't be read doesn't hide the others."""
    try:
        return _export(installation, export, partitions, aside, now)
    except LedgerError as error:
        closes, following = list(installation.ledger.closes(export.name)), next_close(export, now)
        last = closes[-1].isoformat() if closes else None
        trouble = f"{error.where}: {error.what}"
        return ExportStatus(export.name, last, (), following.isoformat(), (), trouble, error.hint)


def _export(
    installation: Installation,
    export: Export,
    partitions: Sequence[PartitionStatus],
    aside: Sequence[SetAsideStatus],
    now: dt.datetime,
) -> ExportStatus:
    closes = list(installation.ledger.closes(export.name))
    dues = [one.instant for one in due_closes([export], installation.ledger, now)]
    due = [instant.isoformat() for instant in dues]
    trouble, hint = (
        _trouble(installation, export, dues[0]) if dues else _ahead(export, installation, now)
    )
    limit = deliver_by(export, dues[0]) if dues else None
    topics = {topic.name for topic in export.topics_read(installation.settings.kafka.topic_prefix)}
    lags = [one for one in partitions if one.topic in topics and one.lag > 0]
    stopped = trouble_of(aside, topics) if due and not trouble else None
    if stopped is not None:
        trouble, hint = str(stopped), stopped.hint
    return ExportStatus(
        export.name,
        closes[-1].isoformat() if closes else None,
        tuple(due),
        next_close(export, now).isoformat(),
        tuple(f"{one.topic}/{one.partition} lags by {one.lag:,}" for one in lags) if due else (),
        trouble,
        hint,
        limit.isoformat() if limit else None,
    )


def _ahead(export: Export, installation: Installation, now: dt.datetime) -> tuple[str, str]:
    """What a clock that was ahead has done, and what to do."""
    until = closed_until(export, installation.ledger)
    if until is None or until <= now:
        return "", ""
    what = (
        f"closed until {until.isoformat()}, which is yet to come: a clock was ahead, or is behind"
    )
    hint = (
        "set the clocks of the machines right (NTP); nothing is lost: the first close after that"
        " moment has all that came since"
    )
    return what, hint


def _trouble(installation: Installation, export: Export, instant: dt.datetime) -> tuple[str, str]:
    """What keeps a window from being closed, and what settles it: that it is held, as the ledger
    says; else what was reported last.
    """
    record = installation.ledger.record_of(export.name, instant)
    if record is not None and record.waiting is not None:
        error = record.waiting.error(export.name, instant)
        return error.what, error.hint
    lost = installation.holds.lost(export.name, instant)
    if lost is not None:
        own = f"export '{export.name}'"
        return f"held: {lost.reason(described=own)}", lost.hint
    unreadable = installation.holds.unreadable(export.name, instant)
    if unreadable is not None:
        return f"held: {unreadable.reason()}", unreadable.hint
    told = latest_trouble(installation.ledger.store, export.name, instant)
    return (f"{told.kind}: {told.problem}", told.hint) if told else ("", "")
