"""Decide a drop from stored data only: no server is called, and nothing is waited for or recorded.

The classes replace the parts with which `intent.Intentions` decides a close: cuts come from
coverage and files (`StoredCuts`), and coverage is used as it is (`AsCovered`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from sinks.closing.append_times import Beginning
from sinks.closing.completeness import Completeness, Lag, Need
from sinks.closing.cut import Cuts, TopicCut, spans
from sinks.closing.span import Span
from sinks.instants import milliseconds
from sinks.setup import Sinks
from streams.setup import Streams
from streams.storage.choice import Choice
from streams.storage.coverage import Fingerprint, Hole
from streams.storage.layout import TopicPartition

__all__ = ["AsCovered", "StoredCuts"]

_NOWHERE: Final = (1 << 63) - 1


class AsCovered(Completeness):
    """Coverage as it is: nothing is repaired or waited for; missing offsets become remarks."""

    def __init__(self, streams: Streams) -> None:
        super().__init__(
            streams.partitions,
            fingerprints=_fingerprints(streams),
            mend=_refuse_mending,
            log_start=lambda _: _NOWHERE,
            wait_seconds=0,
        )
        self.remarks: list[str] = []

    def prove(
        self, needs: Sequence[Need], *, progress: Callable[[Sequence[Lag]], None]
    ) -> tuple[Choice, ...]:
        """Return the stored files for each need."""
        chosen = [self._choose(self._bounded(need)) for need in needs]
        self.remarks += [
            _remark(choice.partition, hole) for choice in chosen for hole in choice.tiling.holes
        ]
        return tuple(Choice(choice.partition, choice.tiling) for choice in chosen)

    def refuse_lost(self, window: Sequence[Span], choices: Sequence[Choice], export: str) -> None:
        """Do nothing: missing offsets are remarks."""


class StoredCuts(Cuts):
    """Recorded cuts, else cuts from stored data. The cut at `now` is the end of coverage."""

    def __init__(self, sinks: Sinks, now: dt.datetime) -> None:
        streams = sinks.streams
        clock_seconds = sinks.settings.kafka.clock_seconds
        store, partitions = streams.partitions.store, streams.partitions
        super().__init__(store, streams.kafka, sinks.offsets, partitions, clock_seconds)
        self.remarks: list[str] = []
        self._now = now
        self._fingerprints = _fingerprints(streams)
        self._starts: dict[str, TopicCut] = {}

    def take(self, topics: Sequence[str], instant: dt.datetime) -> dict[str, TopicCut]:
        """Return the topics' cuts without recording any; take the window's start first."""
        if instant == self._now:
            return {name: self._end(self._starts[name]) for name in topics}
        self._starts = {name: self._start(name, instant) for name in topics}
        return self._starts

    def since(self, cut: TopicCut, appended_at: int) -> tuple[Beginning, ...]:
        """See Cuts.since; from stored data. Other records may still be in Kafka."""
        found = self.stored_since(cut, appended_at)
        return tuple(replace(choice, is_cut_short=False) for choice in found)

    def _start(self, topic: str, instant: dt.datetime) -> TopicCut:
        recorded = self.recorded(topic, instant)
        if recorded is not None:
            return recorded
        topic_id = self._incarnation(topic)
        owners = self._owners(topic, topic_id)
        offsets = tuple(self._start_of(owner, instant) for owner in owners)
        return TopicCut(topic, topic_id, instant, offsets)

    def _start_of(self, owner: TopicPartition, instant: dt.datetime) -> int:
        """Return the first stored offset that isn't before an instant."""
        end = self._furthest(owner, 0)
        start = self.times.stored(owner, milliseconds(instant), end)
        begin = min((path.first for path in self._partitions.coverage(owner)), default=0)
        if 0 < begin >= start:
            self.remarks.append(_remark(owner, Hole(0, begin)))
        return start

    def _end(self, start: TopicCut) -> TopicCut:
        topic_id = self._incarnation(start.topic) if not start.offsets else start.topic_id
        owners = self._owners(start.topic, topic_id, len(start.offsets))
        nowhere = replace(start, topic_id=topic_id, offsets=(0,) * len(owners))
        ends = tuple(self._end_of(span) for span in spans(start, nowhere))
        return TopicCut(start.topic, topic_id, self._now, ends)

    def _end_of(self, span: Span) -> int:
        """Return the first offset, from the span's first on, that no coverage record holds."""
        owner, first = span.partition, span.first
        end = self._furthest(owner, first)
        chosen = self._partitions.choose(owner, first, end, self._fingerprints(owner.topic))
        if not chosen.tiling.holes:
            return end
        hole = chosen.tiling.holes[0]
        self.remarks.append(f"{_remark(owner, hole)}; what comes after is not shown")
        return hole.first

    def _furthest(self, owner: TopicPartition, first: int) -> int:
        return max([first, *(path.next for path in self._partitions.coverage(owner))])

    def _owners(self, topic: str, topic_id: UUID, least: int = 0) -> list[TopicPartition]:
        known = self._partitions.partitions_of(topic).get(str(topic_id), set())
        count = max([least - 1, *known]) + 1
        return [TopicPartition(topic, topic_id, number) for number in range(count)]

    def _incarnation(self, topic: str) -> UUID:
        """Return the UUID of the topic; of several, the one with the newest records."""
        stored = self._partitions.partitions_of(topic)
        if not stored:
            return UUID(int=0)
        return max((UUID(topic_id) for topic_id in stored), key=self._newest(topic))

    def _newest(self, topic: str) -> Callable[[UUID], int]:
        def newest(topic_id: UUID) -> int:
            return max(
                (
                    appended[1]
                    for owner in self._owners(topic, topic_id)
                    for path in self._partitions.coverage(owner)
                    if (appended := self._partitions.record(path).appended)
                ),
                default=0,
            )

        return newest


def _fingerprints(streams: Streams) -> Callable[[str], Mapping[str, Fingerprint]]:
    """Return a function for the current fingerprints of a topic's built-in streams."""
    return lambda topic: {stream.name: stream.fingerprint for stream in streams.streams[topic]}


def _remark(owner: TopicPartition, hole: Hole) -> str:
    return f"{owner.topic}/{owner.partition}: offsets {hole.first} to {hole.next} are not stored"


def _refuse_mending(*_: Any) -> None:
    raise AssertionError("a preview mends nothing")
