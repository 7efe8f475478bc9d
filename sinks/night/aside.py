"""Which partitions can't go on, and what was passed over of which: for `status` (SPEC §6)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from sinks.installation import Installation
from streams.reading.kafka import TopicIdentity
from streams.recovery.set_aside import SetAsides
from streams.storage.layout import CoveragePath
from streams.storage.partitions import Partitions

__all__ = ["PassedOverStatus", "SetAsideStatus", "passed_over_of", "set_aside_of", "trouble_of"]


@dataclass(frozen=True, slots=True)
class SetAsideStatus:
    """A partition that can't go on from `offset`, why, since when, and the command that passes it
    over; hint: what would mend it, and that command. partition None: the whole topic is missing.
    """

    topic: str
    partition: int | None
    reason: str
    hint: str
    offset: int | None = None
    next_offset: int | None = None
    since: str | None = None
    command: str | None = None

    def __str__(self) -> str:
        """For people."""
        if self.partition is None:
            return f"{self.topic}: {self.reason}"
        return (
            f"{self.topic}/{self.partition}: can't go on from offset {self.offset}: {self.reason}"
        )


@dataclass(frozen=True, slots=True)
class PassedOverStatus:
    """Offsets `[first, next)` that were passed over, why, by whom, and when."""

    first: int
    next: int
    reason: str
    by: str
    at: str


def set_aside_of(
    installation: Installation, found: Mapping[str, TopicIdentity] | None
) -> Iterator[SetAsideStatus]:
    """Yield what is set aside. found: the topics that are in Kafka, None where it can't be asked;
    what is said of a topic that was there before is left out.
    """
    for one in SetAsides(installation.partitions).all():
        owner = one.partition
        if found is not None and _is_another(owner.topic_id, found.get(owner.topic)):
            continue
        yield SetAsideStatus(
            owner.topic,
            owner.partition,
            one.reason,
            one.settled_by,
            one.offset,
            one.next_offset,
            one.since,
            one.command,
        )
    for topic in () if found is None else sorted(set(installation.topics) - set(found)):
        hint = "create it with `deltadrop topics create`; workers then read it by themselves"
        yield SetAsideStatus(topic, None, "the topic is missing", hint)


def _is_another(topic_id: object, found: TopicIdentity | None) -> bool:
    return found is None or found.topic_id != topic_id


def passed_over_of(
    partitions: Partitions, paths: Iterable[CoveragePath]
) -> tuple[PassedOverStatus, ...]:
    """Return what was passed over, among some coverage."""
    found = []
    for path in (one for one in paths if one.is_passed_over):
        why = partitions.record(path).passed_over
        assert why is not None  # as its name says
        found.append(PassedOverStatus(path.first, path.next, why.reason, why.by, why.at))
    return tuple(found)


def trouble_of(aside: Iterable[SetAsideStatus], topics: Collection[str]) -> SetAsideStatus | None:
    """Return the first that keeps some topics from being read, if any does."""
    return next((one for one in aside if one.topic in topics), None)
