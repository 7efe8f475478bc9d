"""Cuts: the first offset at or after an instant, for each partition of a topic.

A cut is taken once and never changes. A window is the offsets from an export's previous cut to this
one. So each event is in exactly one window, even if clocks are wrong: time decides only where a cut
falls. Cuts are recorded for each topic by itself. Therefore a topic that is read for the first time
can get cuts at past instants too.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import ClassVar, Final
from uuid import UUID

import structlog

from schemas.errors import HeldError
from sinks.closing.append_times import AppendTimes, Beginning
from sinks.closing.offsets import OffsetAtTime, Offsets
from sinks.closing.span import Span
from sinks.instants import Instant, milliseconds, stamp
from sinks.ledger.entry import read_entry
from streams.reading.kafka import Topics
from streams.storage.checked import create_checked
from streams.storage.layout import TopicPartition
from streams.storage.partitions import Partitions
from streams.storage.paths import StoredPath
from streams.storage.store import Store

log = structlog.get_logger(__name__)

TOLERANCE_SECONDS: Final = 3600.0
"""How far brokers' clocks may be apart before their append times count as wrong (a setting)."""
_NO_OFFSET: Final = (1 << 63) - 1
_DAY: Final = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True, order=True)
class CutPath(StoredPath):
    """Name of the record of a topic's cut at an instant."""

    TEMPLATE: ClassVar = "ledger/cuts/{instant}/{topic}.json"
    WHAT: ClassVar = "a cut"

    instant: Instant
    topic: str


@dataclass(frozen=True, slots=True)
class TopicCut:
    """A topic's cut at an instant. offsets: by partition, the first that is not before it."""

    topic: str
    topic_id: UUID
    instant: dt.datetime
    offsets: tuple[int, ...]

    def is_of(self, other: TopicCut) -> bool:
        """Whether another cut is of the same incarnation of the topic."""
        return self.topic_id == other.topic_id

    def to_json(self) -> bytes:
        """Serialise all but topic and instant, which are in the name."""
        return json.dumps({"topic_id": str(self.topic_id), "offsets": self.offsets}).encode()

    @classmethod
    def from_json(cls, topic: str, instant: dt.datetime, content: bytes) -> TopicCut:
        """Read back what `to_json` wrote."""
        fields = json.loads(content)
        return cls(topic, UUID(fields["topic_id"]), instant, tuple(fields["offsets"]))


def spans(first: TopicCut | None, last: TopicCut) -> tuple[Span, ...]:
    """Return the offsets between two cuts of a topic, by partition; first None: from its beginning.

    Partitions that the first cut doesn't know start at 0. Raises HeldError if the topic was created
    again between the two cuts, as its offsets don't continue.
    """
    if first is not None and not first.is_of(last):
        raise HeldError(
            what="the topic was deleted and created again between "
            f"{stamp(first.instant)} and {stamp(last.instant)}",
            where=f"topic {last.topic}",
            hint="what the old topic held after the earlier cut can't be proven delivered; an"
            " export of another name begins with the new topic's first event",
        )
    known = first.offsets if first is not None else ()
    starts = known + (0,) * (len(last.offsets) - len(known))
    return tuple(
        Span(TopicPartition(last.topic, last.topic_id, number), start, end)
        for number, (start, end) in enumerate(zip(starts, last.offsets, strict=True))
    )


class Cuts:
    """Takes cuts and records them."""

    def __init__(
        self,
        store: Store,
        topics: Topics,
        offsets: Offsets,
        partitions: Partitions,
        tolerance_seconds: float = TOLERANCE_SECONDS,
    ) -> None:
        """tolerance_seconds: how far brokers' clocks may be apart."""
        self._store = store
        self._topics = topics
        self._offsets = offsets
        self._partitions = partitions
        self.tolerance_ms = round(tolerance_seconds * 1000)
        self.times = AppendTimes(partitions, offsets, self.tolerance_ms)

    def take(self, topics: Sequence[str], instant: dt.datetime) -> dict[str, TopicCut]:
        """Return each topic's cut at an instant; cuts that aren't recorded yet are taken and
        recorded.
        """
        cuts = {name: cut for name in topics if (cut := self.recorded(name, instant)) is not None}
        missing = [name for name in topics if name not in cuts]
        if not missing:
            return cuts
        for name, identity in self._topics.identities(missing).items():
            cut = self._look_up(name, identity.topic_id, identity.partitions, instant)
            if create_checked(self._store, str(CutPath(instant, name)), cut.to_json()):
                log.info("cut taken", topic=name, instant=stamp(instant), offsets=cut.offsets)
            recorded = self.recorded(name, instant)
            assert recorded is not None  # created just now, here or by another run
            cuts[name] = recorded
        return cuts

    def recorded(self, topic: str, instant: dt.datetime) -> TopicCut | None:
        """Return a recorded cut, or None."""
        return read_entry(
            self._store, str(CutPath(instant, topic)), partial(TopicCut.from_json, topic, instant)
        )

    def instants(self) -> list[dt.datetime]:
        """Return all instants at which a cut of any topic was recorded, oldest first."""
        cuts = CutPath.first_of_each_folder(self._store.names(CutPath.folder()))
        return sorted(path.instant for path in cuts)

    def since(self, cut: TopicCut, appended_at: int) -> tuple[Beginning, ...]:
        """Return where to read each partition of a cut from, to get all that was appended since an
        instant.

        All that was appended at or after `appended_at` (UTC milliseconds) and before the cut is
        then read, or found to be a hole. Reading never begins before the last recorded cut that is
        a day or more older than the instant. So a record stamped far ahead long ago has no effect.
        Raises CloseError if Kafka is needed and doesn't answer.
        """
        found = cache(lambda: self._offsets.at(cut.topic, len(cut.offsets), appended_at))
        return self._since(cut, appended_at, found)

    def stored_since(self, cut: TopicCut, appended_at: int) -> tuple[Beginning, ...]:
        """Return the same as `since`, from what is stored alone; other offsets count as removed
        from Kafka.
        """
        removed = [OffsetAtTime(end, end, end) for end in cut.offsets]
        return self._since(cut, appended_at, lambda: removed)

    def _since(
        self, cut: TopicCut, appended_at: int, found: Callable[[], Sequence[OffsetAtTime]]
    ) -> tuple[Beginning, ...]:
        lowest = self._lowest(cut, appended_at)
        return tuple(
            self.times.since(
                TopicPartition(cut.topic, cut.topic_id, number),
                appended_at,
                (min(lowest[number] if number < len(lowest) else 0, end), end),
                partial(_of_partition, found, number),
            )
            for number, end in enumerate(cut.offsets)
        )

    def _lowest(self, cut: TopicCut, appended_at: int) -> tuple[int, ...]:
        """Return the offsets of the last cut a day or more before an instant; empty if there is
        none.
        """
        for instant in reversed(self.instants()):
            if milliseconds(instant + _DAY) <= appended_at:
                other = self.recorded(cut.topic, instant)
                if other is not None and other.is_of(cut):
                    return other.offsets
        return ()

    def _look_up(
        self, topic: str, topic_id: UUID, partitions: int, instant: dt.datetime
    ) -> TopicCut:
        """Find a cut. It is never before an earlier recorded cut, and never past a later one."""
        at = milliseconds(instant)
        found = self._offsets.at(topic, partitions, at)
        earlier, later = self._neighbours(topic, topic_id, instant, partitions)
        offsets = tuple(
            min(self.times.settled(TopicPartition(topic, topic_id, number), at, offset, begin), end)
            for number, (offset, begin, end) in enumerate(zip(found, earlier, later, strict=True))
        )
        return TopicCut(topic, topic_id, instant, offsets)

    def _neighbours(
        self, topic: str, topic_id: UUID, instant: dt.datetime, partitions: int
    ) -> tuple[list[int], list[int]]:
        """Return the highest offsets of all earlier cuts, and the lowest of all later cuts."""
        earlier, later = [0] * partitions, [_NO_OFFSET] * partitions
        for at in self.instants():
            other = self.recorded(topic, at) if at != instant else None
            if other is None or other.topic_id != topic_id:
                continue
            # a partition that the other cut doesn't know didn't exist then
            for number, offset in enumerate(other.offsets[:partitions]):
                if at < instant:
                    earlier[number] = max(earlier[number], offset)
                else:
                    later[number] = min(later[number], offset)
        return earlier, later


def _of_partition(found: Callable[[], Sequence[OffsetAtTime]], number: int) -> OffsetAtTime:
    return found()[number]
