"""The text of a status: trouble first, then what is due, then the rest; all on one screen."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Final

from schemas.one_line import joined
from sinks.reports.outbox import PendingReport
from sinks.service.status import DiskStatus, SchedulerStatus, Status
from sinks.status.exports import ExportStatus
from sinks.status.partitions import PartitionStatus, SetAsideStatus
from sinks.status.unsettled import Unsettled
from sinks.wording import counted

__all__ = ["status_text"]

_LATELY: Final = dt.timedelta(days=7)
"""How long offsets that were passed over are shown; `--partitions` shows all of them."""


def status_text(status: Status, now: dt.datetime, *, all_partitions: bool = False) -> str:
    """Return a status as text. all_partitions: also list partitions whose events are all stored."""
    exports = sorted(status.exports, key=lambda export: (not export.is_in_trouble, not export.due))
    width = max((len(export.export) for export in exports), default=0)
    lines = [_headline(status, now), "", *_of_disk(status.disk)]
    for export in exports:
        first, *rest = _of_export(export, status.scheduler, now)
        lines.append(f"{export.export:{width}}  {first}")
        lines.extend(f"{'':{width}}  {line}" for line in rest)
    lines.extend(_of_undefined(status.undefined))
    lines.extend(_of_set_aside(status.set_aside))
    if status.unasked:
        lines += ["", "how far the workers are isn't known", f"→ {status.unasked}", ""]
    else:
        lines += ["", *_of_partitions(status.partitions, all_partitions)]
        lines += [*_of_passed_over(status.partitions, now, all_partitions), ""]
    return joined([*lines, *_of_scheduler(status), *_of_reports(status.unsent)])


def _headline(status: Status, now: dt.datetime) -> str:
    due = sum(bool(export.due) for export in status.exports)
    trouble = sum(export.is_in_trouble for export in status.exports)
    others = any(export.is_in_trouble for export in status.exports if not export.due)
    head = f"{now:%Y-%m-%d %H:%M} UTC: {counted(len(status.exports), 'export')}"
    former = counted(len(status.undefined), "drop")
    ends = f", {former} of former exports to be settled" if status.undefined else ""
    if not due:
        return f"{head}, nothing is due" + (f", {trouble} in trouble" if trouble else "") + ends
    return f"{head}, {due} due, {trouble} {'' if others else 'of them '}in trouble{ends}"


def _of_disk(disk: DiskStatus) -> Iterator[str]:
    if disk.is_full:
        free = f"{counted(disk.free, 'byte')} free under {disk.root}"
        yield f"the disk is full: {free}, a worker's batch has up to {disk.batch:,}"
        yield "→ free some space, or point `root` to a larger disk; what waits then goes on"
        yield ""


def _of_reports(unsent: Sequence[PendingReport]) -> Iterator[str]:
    for pending in unsent:
        yield ""
        reports = f"{counted(pending.reports, 'report')} to be sent by {pending.channel}"
        yield f"{reports}, the oldest of {pending.since}"
        if pending.why:
            yield f"→ {pending.why}"


def _of_export(export: ExportStatus, scheduler: SchedulerStatus, now: dt.datetime) -> Iterator[str]:
    if not export.due:
        yield f"closed {export.last}, next {export.next}"
    else:
        yield _due_line(export, now)
    if export.trouble:
        yield export.trouble
        yield f"→ {export.hint}"
    elif export.blocked_by:
        yield f"waits for workers: {'; '.join(export.blocked_by)}"
        yield "→ start them with `deltadrop worker`, or look at their logs"
    elif export.due and scheduler.holder is None:
        yield "→ `deltadrop close` closes it"
    yield from _of_unsettled(export.unsettled)


def _of_undefined(undefined: Sequence[Unsettled]) -> Iterator[str]:
    if undefined:
        yield ""
        yield "of exports that aren't defined any more:"
        yield from _of_unsettled(undefined)


def _of_set_aside(aside: Sequence[SetAsideStatus]) -> Iterator[str]:
    if aside:
        yield ""
        yield "set aside, the others go on:"
    for status in aside:
        yield f"{status}{f', since {status.since}' if status.since else ''}"
        yield f"→ {status.hint}"


def _of_passed_over(
    partitions: Sequence[PartitionStatus], now: dt.datetime, all_of_them: bool
) -> Iterator[str]:
    """Yield lines on offsets that were passed over: lately, or ever."""
    for partition in partitions:
        for over in partition.passed_over:
            if all_of_them or now - dt.datetime.fromisoformat(over.at) < _LATELY:
                where = (
                    f"{partition.topic}/{partition.partition}: offsets {over.first} to {over.next}"
                )
                yield f"{where} were passed over at {over.at} by {over.by}: {over.reason}"


def _of_unsettled(unsettled: Sequence[Unsettled]) -> Iterator[str]:
    for drop in unsettled:
        yield drop.what
        yield f"→ {drop.hint}"


def _due_line(export: ExportStatus, now: dt.datetime) -> str:
    windows = f", {counted(len(export.due), 'window')}" if len(export.due) > 1 else ""
    late = export.deliver_by is not None and dt.datetime.fromisoformat(export.deliver_by) < now
    since = f"LATE, to be delivered by {export.deliver_by}" if late else ""
    return "; ".join(filter(None, [f"due since {export.due[0]}{windows}", since]))


def _of_partitions(partitions: Sequence[PartitionStatus], all_of_them: bool) -> Iterator[str]:
    behind = [partition for partition in partitions if partition.lag or partition.holes]
    shown = partitions if all_of_them else behind
    width = max((len(partition.topic) for partition in shown), default=0)
    if not behind:
        yield f"all events are stored, of {counted(len(partitions), 'partition')}"
    else:
        lag = counted(sum(partition.lag for partition in behind), "offset")
        yield f"{len(behind)} of {counted(len(partitions), 'partition')} not stored: {lag}"
    for partition in shown:
        holes = f", {counted(partition.holes, 'hole')}" if partition.holes else ""
        stored = f"stored {partition.covered:,} of {partition.end:,}, lag {partition.lag:,}{holes}"
        yield f"{partition.topic:{width}}  {partition.partition:3}  {stored}"
    yield from _of_clocks(partitions)


def _of_clocks(partitions: Sequence[PartitionStatus]) -> Iterator[str]:
    wrong = [partition for partition in partitions if partition.clocks]
    for partition in wrong:
        more = f", and {len(partition.clocks) - 1:,} more" if len(partition.clocks) > 1 else ""
        where = f"{partition.topic}/{partition.partition}"
        yield f"a broker's clock is wrong: {where} {partition.clocks[0]}{more}"
    if wrong:
        yield "→ set the brokers' clocks right (NTP); such a time ends no window"


def _of_scheduler(status: Status) -> Iterator[str]:
    yield str(status.scheduler)
    if status.scheduler.holder is None:
        yield "→ `deltadrop schedule` closes what falls due; or let cron run `deltadrop close`"
