"""A status as people read it: trouble first, then what is due, then the rest; all on one screen."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Final

from sinks.night.aside import SetAsideStatus
from sinks.night.disk import DiskStatus
from sinks.night.status import ExportStatus, PartitionStatus, SchedulerStatus, Status
from sinks.night.unsettled import Unsettled
from sinks.reports import Unsent
from sinks.wording import counted

__all__ = ["at_a_glance"]

_LATELY: Final = dt.timedelta(days=7)
"""How long it is told what was passed over; `--partitions` tells all of it."""


def at_a_glance(status: Status, now: dt.datetime, *, all_partitions: bool = False) -> str:
    """Tell a status. all_partitions: list those too whose events are all stored."""
    exports = sorted(status.exports, key=lambda one: (not one.is_in_trouble, not one.due))
    width = max((len(one.export) for one in exports), default=0)
    lines = [_headline(status, now), "", *_of_disk(status.disk)]
    for one in exports:
        first, *rest = _of_export(one, status.scheduler, now)
        lines.append(f"{one.export:{width}}  {first}")
        lines.extend(f"{'':{width}}  {line}" for line in rest)
    lines.extend(_of_undefined(status.undefined))
    lines.extend(_of_set_aside(status.set_aside))
    if status.unasked:
        lines += ["", "how far the workers are isn't known", f"→ {status.unasked}", ""]
    else:
        lines += ["", *_of_partitions(status.partitions, all_partitions)]
        lines += [*_of_passed_over(status.partitions, now, all_partitions), ""]
    return "\n".join([*lines, *_of_scheduler(status), *_of_reports(status.unsent)])


def _headline(status: Status, now: dt.datetime) -> str:
    due = sum(bool(one.due) for one in status.exports)
    trouble = sum(one.is_in_trouble for one in status.exports)
    others = any(one.is_in_trouble for one in status.exports if not one.due)
    told = f"{now:%Y-%m-%d %H:%M} UTC: {counted(len(status.exports), 'export')}"
    former = counted(len(status.undefined), "drop")
    ends = f", {former} of former exports to be settled" if status.undefined else ""
    if not due:
        return f"{told}, nothing is due" + (f", {trouble} in trouble" if trouble else "") + ends
    return f"{told}, {due} due, {trouble} {'' if others else 'of them '}in trouble{ends}"


def _of_disk(disk: DiskStatus) -> Iterator[str]:
    if disk.is_full:
        free = f"{counted(disk.free, 'byte')} free under {disk.root}"
        yield f"the disk is full: {free}, a worker's batch has up to {disk.batch:,}"
        yield "→ free some space, or point `root` to a larger disk; what waits then goes on"
        yield ""


def _of_reports(unsent: Sequence[Unsent]) -> Iterator[str]:
    for one in unsent:
        yield ""
        reports = f"{counted(one.reports, 'report')} to be sent by {one.channel}"
        yield f"{reports}, the oldest of {one.since}"
        if one.why:
            yield f"→ {one.why}"


def _of_export(one: ExportStatus, scheduler: SchedulerStatus, now: dt.datetime) -> Iterator[str]:
    if not one.due:
        yield f"closed {one.last}, next {one.next}"
    else:
        yield _due_line(one, now)
    if one.trouble:
        yield one.trouble
        yield f"→ {one.hint}"
    elif one.blocked_by:
        yield f"waits for workers: {'; '.join(one.blocked_by)}"
        yield "→ start them with `deltadrop worker`, or look at their logs"
    elif one.due and scheduler.holder is None:
        yield "→ `deltadrop close` closes it"
    yield from _of_unsettled(one.unsettled)


def _of_undefined(undefined: Sequence[Unsettled]) -> Iterator[str]:
    if undefined:
        yield ""
        yield "of exports that aren't defined any more:"
        yield from _of_unsettled(undefined)


def _of_set_aside(aside: Sequence[SetAsideStatus]) -> Iterator[str]:
    if aside:
        yield ""
        yield "set aside, the others go on:"
    for one in aside:
        yield f"{one}{f', since {one.since}' if one.since else ''}"
        yield f"→ {one.hint}"


def _of_passed_over(
    partitions: Sequence[PartitionStatus], now: dt.datetime, all_of_them: bool
) -> Iterator[str]:
    """What was passed over lately, or ever."""
    for one in partitions:
        for over in one.passed_over:
            if all_of_them or now - dt.datetime.fromisoformat(over.at) < _LATELY:
                where = f"{one.topic}/{one.partition}: offsets {over.first} to {over.next}"
                yield f"{where} were passed over at {over.at} by {over.by}: {over.reason}"


def _of_unsettled(unsettled: Sequence[Unsettled]) -> Iterator[str]:
    for one in unsettled:
        yield one.what
        yield f"→ {one.hint}"


def _due_line(one: ExportStatus, now: dt.datetime) -> str:
    windows = f", {counted(len(one.due), 'window')}" if len(one.due) > 1 else ""
    late = one.deliver_by is not None and dt.datetime.fromisoformat(one.deliver_by) < now
    since = f"LATE, to be delivered by {one.deliver_by}" if late else ""
    return "; ".join(filter(None, [f"due since {one.due[0]}{windows}", since]))


def _of_partitions(partitions: Sequence[PartitionStatus], all_of_them: bool) -> Iterator[str]:
    behind = [one for one in partitions if one.lag or one.holes]
    shown = partitions if all_of_them else behind
    width = max((len(one.topic) for one in shown), default=0)
    if not behind:
        yield f"all events are stored, of {counted(len(partitions), 'partition')}"
    else:
        lag = counted(sum(one.lag for one in behind), "offset")
        yield f"{len(behind)} of {counted(len(partitions), 'partition')} not stored: {lag}"
    for one in shown:
        holes = f", {counted(one.holes, 'hole')}" if one.holes else ""
        stored = f"stored {one.covered:,} of {one.end:,}, lag {one.lag:,}{holes}"
        yield f"{one.topic:{width}}  {one.partition:3}  {stored}"
    yield from _of_clocks(partitions)


def _of_clocks(partitions: Sequence[PartitionStatus]) -> Iterator[str]:
    wrong = [one for one in partitions if one.clocks]
    for one in wrong:
        more = f", and {len(one.clocks) - 1:,} more" if len(one.clocks) > 1 else ""
        yield f"a broker's clock is wrong: {one.topic}/{one.partition} {one.clocks[0]}{more}"
    if wrong:
        yield "→ set the brokers' clocks right (NTP); such a time ends no window"


def _of_scheduler(status: Status) -> Iterator[str]:
    yield str(status.scheduler)
    if status.scheduler.holder is None:
        yield "→ `deltadrop schedule` closes what falls due; or let cron run `deltadrop close`"
