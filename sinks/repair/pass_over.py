"""Pass over offsets of a partition that can't continue, when a person decides it (SPEC §6).

Only offsets from where a partition is set aside can be passed over, and none that is stored.
Workers and closes read everything else by themselves.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from schemas.definitions.definitions import choices
from schemas.errors import Fault, WrongInputError
from schemas.json_result import JsonResult
from sinks.closing.offsets import KafkaOffsets
from sinks.wording import counted
from streams.reading.kafka import TopicIdentity, Topics
from streams.recovery.set_aside import SetAside, SetAsides, pass_over
from streams.storage.coverage import CoverageRecord
from streams.storage.layout import TopicPartition
from streams.storage.partitions import Partitions

__all__ = ["PassedOverNow", "PassingOver"]


@dataclass(frozen=True, slots=True)
class PassedOverNow(JsonResult):
    """The offsets of a partition that were passed over."""

    topic: str
    """The topic."""
    topic_id: str
    """The topic's id: another where it was created again."""
    partition: int
    """The partition."""
    offsets: tuple[tuple[int, int], ...]
    """Ranges of offsets `[first, next)` that were passed over."""
    reason: str
    """The reason that a person gave."""
    by: str
    """Who passed them over."""
    at: str
    """When they were passed over."""
    before: bool = False
    """Whether they were passed over before, and nothing was changed now."""
    unread: tuple[int, int] | None = field(default=None)
    """Offsets `[first, next)` among them that nobody tried to read; null where there are none."""

    def lines(self) -> Iterator[str]:
        """Yield the lines for people."""
        for first, end in self.offsets:
            passed = f"offsets {first} to {end} are passed over"
            yield f"{self.topic}/{self.partition}: {passed} ({counted(end - first, 'offset')})"
        if self.before:
            yield f"  they were before, by {self.by} at {self.at}: nothing is changed"
            return
        if self.unread is not None:
            first, end = self.unread
            yield f"  {first} to {end} of them were not tried to be read: what is there is lost too"
        yield "  the worker reads on by itself; no restart is needed"


@dataclass(frozen=True, slots=True)
class PassingOver:
    """Passes over offsets. known: the topics of the definitions."""

    partitions: Partitions
    known: Collection[str]
    kafka: Topics
    offsets: KafkaOffsets

    def until(self, topic: str, partition: int, to: int, reason: str) -> PassedOverNow:
        """Pass over a set-aside partition's offsets up to `to`, at which reading continues.

        Raises WrongInputError if these offsets can't be passed over, CloseError or PartitionError
        if Kafka doesn't answer.
        """
        identity = self._identity(topic, partition)
        owner = TopicPartition(topic, identity.topic_id, partition)
        asides = SetAsides(self.partitions)
        aside = asides.of(owner)
        if aside is None:
            return self._passed_over_before(owner, to)
        _refuse_where_wrong(aside, to, self.offsets.ends(topic, identity.partitions)[partition])
        written = pass_over(self.partitions, owner, aside.offset, to, reason)
        asides.forget(owner)
        behind = aside.next_offset
        unread = (behind, to) if behind is not None and behind < to else None
        return _passed_over_now(owner, written, unread=unread)

    def _identity(self, topic: str, partition: int) -> TopicIdentity:
        if topic not in self.known:
            what = f"there is no topic '{topic}'"
            raise _refused(Fault("TOPIC", what, choices(topic, self.known)))
        identity = self.kafka.identities([topic])[topic]
        if not 0 <= partition < identity.partitions:
            what = f"topic {topic} has no partition {partition}"
            raise _refused(Fault("PARTITION", what, f"choose from 0 to {identity.partitions - 1}"))
        return identity

    def _passed_over_before(self, owner: TopicPartition, to: int) -> PassedOverNow:
        paths = self.partitions.coverage(owner)
        before = [path for path in paths if path.is_passed_over and path.next == to]
        if not before:
            raise _refused(_not_set_aside(owner))
        records = [self.partitions.record(path) for path in before]
        return _passed_over_now(owner, records, before=True)


def _not_set_aside(owner: TopicPartition) -> Fault:
    what = "isn't set aside: what is in it can be read, and is passed over by nobody"
    hint = "`deltadrop status` shows what is set aside"
    return Fault(f"{owner.topic}/{owner.partition}", what, hint)


def _refuse_where_wrong(aside: SetAside, to: int, end: int) -> None:
    """Refuse to pass over nothing, part of a batch, or offsets that Kafka doesn't have yet."""
    behind = aside.next_offset
    if to <= aside.offset:
        hint = f"choose an offset beyond it, at most {end}"
        what = f"{to} isn't beyond {aside.offset}, which it can't go on from"
    elif behind is not None and to < behind:
        hint = f"choose {behind}, or an offset beyond it, at most {end}"
        what = f"{to} is within what can't be read, offsets {aside.offset} to {behind}"
    elif to > end:
        hint = f"choose an offset up to {end}"
        what = f"{to} is beyond the partition's end, {end}"
    else:
        return
    raise _refused(Fault("--to", what, hint))


def _passed_over_now(
    owner: TopicPartition,
    records: list[CoverageRecord],
    *,
    before: bool = False,
    unread: tuple[int, int] | None = None,
) -> PassedOverNow:
    why = records[0].passed_over
    assert why is not None  # a record of passed-over offsets has it, as its name says
    return PassedOverNow(
        owner.topic,
        str(owner.topic_id),
        owner.partition,
        tuple((record.path.first, record.path.next) for record in records),
        why.reason,
        why.by,
        why.at,
        before,
        unread,
    )


def _refused(fault: Fault) -> WrongInputError:
    return WrongInputError([fault])
