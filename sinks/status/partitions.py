"""How far each partition is stored, which can't go on, and what was passed over (SPEC §6)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from schemas.json_result import JsonResult
from sinks.installation import Installation
from sinks.instants import milliseconds
from streams.clocks import clock_faults
from streams.reading.records import moment_text
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
"""Coverage records of each partition whose append times are looked at: 100 minutes of a worker."""


@dataclass(frozen=True, slots=True)
class PassedOverStatus(JsonResult):
    """Offsets `[first, next)` that were passed over."""

    first: int
    """The first offset that was passed over."""
    next: int
    """The offset that was read on from."""
    reason: str
    """Why, as a person said."""
    by: str
    """Who passed them over."""
    at: str
    """When."""


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
    """How many ranges of offsets before stored ones aren't stored."""
    clocks: tuple[str, ...] = ()
    """What is wrong with its append times, of those that are to come and the latest ones."""
    passed_over: tuple[PassedOverStatus, ...] = ()
    """What a person has passed over."""

    @property
    def lag(self) -> int:
        """Offsets that are in Kafka and not stored yet."""
        return self.end - self.covered


@dataclass(frozen=True, slots=True)
class SetAsideStatus(JsonResult):
    """A partition that can't go on, or a topic that is missing."""

    topic: str
    """The topic."""
    partition: int | None
    """The partition; null where the whole topic is missing."""
    reason: str
    """Why it can't go on."""
    hint: str
    """What would mend it, and the command that passes it over."""
    offset: int | None = None
    """The offset that it can't go on from."""
    next_offset: int | None = None
    """The first offset behind what can't be read, where that is known."""
    since: str | None = None
    """Since when."""
    command: str | None = None
    """The command that passes it over."""

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
    """Yield how far the partitions of topics are stored; asks Kafka for their ends.

    Raises CloseError where it doesn't answer.
    """
    tolerance = dt.timedelta(seconds=installation.settings.kafka.clock_seconds)
    counts = {name: identity.partitions for name, identity in sorted(found.items())}
    # One question tells the ends, and the first record that is stamped ahead of now.
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
    """Yield what is set aside. found: the topics that are in Kafka, None where it can't be asked;
    what is said of a topic that was there before is left out.
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
    """Return the first that keeps some topics from being read, if any does."""
    return next((status for status in aside if status.topic in topics), None)


def _is_another(topic_id: object, found: TopicIdentity | None) -> bool:
    return found is None or found.topic_id != topic_id


def _passed_over_of(
    partitions: Partitions, paths: Iterable[CoveragePath]
) -> tuple[PassedOverStatus, ...]:
    """What was passed over, among some coverage."""
    found = []
    for path in (path for path in paths if path.is_passed_over):
        why = partitions.record(path).passed_over
        assert why is not None  # as its name says
        found.append(PassedOverStatus(path.first, path.next, why.reason, why.by, why.at))
    return tuple(found)


def _clock_faults(
    installation: Installation, ahead: OffsetAtTime, latest: Sequence[CoveragePath]
) -> Iterator[str]:
    """What is wrong with a partition's append times: ahead: the first record that is to come."""
    if ahead.appended_at is not None:
        yield f"offset {ahead.offset} is stamped {moment_text(ahead.appended_at)}, ahead of now"
    records = map(installation.partitions.record, latest)
    faults = clock_faults(records, round(installation.settings.kafka.clock_seconds * 1000))
    yield from (str(fault) for fault in faults if fault.ahead_until is None)
