"""The status of partitions: how far each is stored, which are set aside, what was passed over (SPEC
§6).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from schemas.json_result import JsonResult
from sinks.installation import Installation
from sinks.instants import milliseconds
from streams.clocks import clock_faults
from streams.moments import moment_text
from streams.recovery.set_aside import SetAsides
from streams.storage.coverage import tile
from streams.storage.layout import CoveragePath, TopicPartition
from streams.storage.partitions import Partitions

if TYPE_CHECKING:
    from sinks.closing.offsets import OffsetAtTime
    from streams.reading.kafka import TopicIdentity

__all__ = [
    "PartitionStatus",
    "PassedOverStatus",
    "SetAsideStatus",
    "partition_statuses",
    "set_aside_of",
    "trouble_of",
]

_LATEST: Final = 100
"""Latest coverage records of a partition whose append times are checked: 100 minutes of a worker.
"""


@dataclass(frozen=True, slots=True)
class PassedOverStatus(JsonResult):
    """Offsets `[first, next)` that were passed over."""

    first: int
    """The first offset that was passed over."""
    next: int
    """The offset at which reading continued."""
    reason: str
    """The reason that a person gave."""
    by: str
    """Who passed them over."""
    at: str
    """When they were passed over."""


@dataclass(frozen=True, slots=True)
class PartitionStatus(JsonResult):
    """How far a partition is stored."""

    topic: str
    """The topic."""
    partition: int
    """The number of the partition in its topic."""
    covered: int
    """The offset up to which all is stored, without a hole."""
    end: int
    """The last stable offset of the partition in Kafka."""
    holes: int
    """The number of ranges that aren't stored, before stored offsets."""
    clocks: tuple[str, ...] = ()
    """Faults of its append times: of the latest stored records, and of records stamped in the
    future.
    """
    passed_over: tuple[PassedOverStatus, ...] = ()
    """Offsets that a person has passed over."""

    @property
    def lag(self) -> int:
        """Offsets that are in Kafka and not stored yet."""
        return self.end - self.covered


@dataclass(frozen=True, slots=True)
class SetAsideStatus(JsonResult):
    """A partition that is set aside, or a topic that is missing."""

    topic: str
    """The topic."""
    partition: int | None
    """The partition; null where the whole topic is missing."""
    reason: str
    """Why it can't continue."""
    hint: str
    """What would mend it, and the command that passes over the offsets."""
    offset: int | None = None
    """The offset at which it stopped."""
    next_offset: int | None = None
    """The first offset behind what can't be read; null where it is unknown."""
    since: str | None = None
    """When it was set aside."""
    command: str | None = None
    """The command that passes over the offsets."""

    def __str__(self) -> str:
        """For people."""
        if self.partition is None:
            return f"{self.topic}: {self.reason}"
        return (
            f"{self.topic}/{self.partition}: can't go on from offset {self.offset}: {self.reason}"
        )


def partition_statuses(
    installation: Installation, found: Mapping[str, TopicIdentity], now: dt.datetime
) -> Iterator[PartitionStatus]:
    """Yield how far each partition of these topics is stored; asks Kafka for the ends.

    Raises CloseError if Kafka doesn't answer.
    """
    tolerance = dt.timedelta(seconds=installation.settings.kafka.clock_seconds)
    counts = {name: identity.partitions for name, identity in sorted(found.items())}
    # One request gives the ends and the first record that is stamped in the future.
    to_come = installation.offsets.of_topics(counts, milliseconds(now + tolerance))
    for name, partitions in to_come.items():
        for number, ahead in enumerate(partitions):
            end = ahead.end
            owner = TopicPartition(name, found[name].topic_id, number)
            paths = installation.partitions.coverage(owner)
            first = min((path.first for path in paths), default=0)
            holes = tile(paths, first, end).holes
            covered = holes[0].first if holes else end
            inner = sum(1 for hole in holes if any(path.next > hole.first for path in paths))
            clocks = tuple(_clock_faults(installation, ahead, paths[-_LATEST:]))
            over = _passed_over_of(installation.partitions, paths)
            yield PartitionStatus(name, number, covered, end, inner, clocks, over)


def set_aside_of(
    installation: Installation, found: Mapping[str, TopicIdentity] | None
) -> Iterator[SetAsideStatus]:
    """Yield the partitions that are set aside, then the topics that are missing.

    found: the topics that Kafka has; None if it doesn't answer, and then no topic counts as
    missing. Partitions of a deleted topic, or of an earlier incarnation of a topic, are left out.
    """
    for aside in SetAsides(installation.partitions).all():
        owner = aside.partition
        if found is not None and _is_another(owner.topic_id, found.get(owner.topic)):
            continue
        yield SetAsideStatus(
            owner.topic,
            owner.partition,
            aside.reason,
            aside.settled_by,
            aside.offset,
            aside.next_offset,
            aside.since,
            aside.command,
        )
    for topic in () if found is None else sorted(set(installation.topics) - set(found)):
        hint = "create it with `deltadrop topics create`; workers then read it by themselves"
        yield SetAsideStatus(topic, None, "the topic is missing", hint)


def trouble_of(aside: Iterable[SetAsideStatus], topics: Collection[str]) -> SetAsideStatus | None:
    """Return the first of these that keeps one of some topics from being read, if any."""
    return next((status for status in aside if status.topic in topics), None)


def _is_another(topic_id: object, found: TopicIdentity | None) -> bool:
    return found is None or found.topic_id != topic_id


def _passed_over_of(
    partitions: Partitions, paths: Iterable[CoveragePath]
) -> tuple[PassedOverStatus, ...]:
    """Return what was passed over among these coverage records."""
    found = []
    for path in (path for path in paths if path.is_passed_over):
        why = partitions.record(path).passed_over
        assert why is not None  # a record of passed-over offsets has it, as its name says
        found.append(PassedOverStatus(path.first, path.next, why.reason, why.by, why.at))
    return tuple(found)


def _clock_faults(
    installation: Installation, ahead: OffsetAtTime, latest: Sequence[CoveragePath]
) -> Iterator[str]:
    """Yield the faults of a partition's append times. ahead: its first record stamped in the
    future.
    """
    if ahead.appended_at is not None:
        yield f"offset {ahead.offset} is stamped {moment_text(ahead.appended_at)}, ahead of now"
    records = map(installation.partitions.record, latest)
    faults = clock_faults(records, round(installation.settings.kafka.clock_seconds * 1000))
    yield from (str(fault) for fault in faults if fault.ahead_until is None)
