"""Lost offsets: neither stored nor in Kafka any more. A close that would read them is held.

A person may accept a loss for an export's window (`release … --accept-loss`). The loss is recorded
by partition. From then on everything else that reads these offsets goes on without them: the state
of later closes, bases, erasure. Another export whose own window has them is still held, until its
loss is accepted too.

Offsets that were passed over (SPEC §6) are lost as well, for all exports at once. They are covered,
so no close is held for them; manifests warn of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from sinks.closing.span import Span
from sinks.ledger.intent import Intent
from streams.storage.checked import create_checked
from streams.storage.choice import Choice
from streams.storage.coverage import Hole, PassedOver
from streams.storage.layout import Owner, TopicPartition
from streams.storage.partitions import Partitions
from streams.storage.paths import StoredPath
from streams.storage.store import Store

__all__ = [
    "LossPath",
    "Losses",
    "PassedSpan",
    "lost_of_intent",
    "lost_of_window",
    "passed_over_of_intent",
]


@dataclass(frozen=True, slots=True, order=True)
class LossPath(StoredPath):
    """Name of the record that the loss of offsets `[first, next)` of a partition is accepted."""

    TEMPLATE: ClassVar = "ledger/losses/{partition}/{first:020d}-{next:020d}.json"
    WHAT: ClassVar = "an accepted loss"

    partition: Owner
    first: int
    next: int


@dataclass(frozen=True, slots=True)
class Losses:
    """The accepted losses of a store."""

    store: Store

    def accept(self, lost: Sequence[Span], drop: str, reason: str) -> None:
        """Record that a person accepts these losses, for a drop and with a reason."""
        for span in lost:
            name = str(LossPath(span.partition, span.first, span.next))
            fields = {"drop": drop, "reason": reason}
            create_checked(self.store, name, (json.dumps(fields, indent=1) + "\n").encode())

    def accepted(self, partition: TopicPartition) -> list[Hole]:
        """Return the accepted losses of a partition, in order."""
        paths = LossPath.among(self.store.names(LossPath.folder(partition)))
        return [Hole(path.first, path.next) for path in sorted(paths)]

    def without(self, partition: TopicPartition, holes: Sequence[Hole]) -> list[Hole]:
        """Return the parts of these holes that are not accepted losses."""
        if not holes:
            return []
        accepted = self.accepted(partition)
        return [left for hole in holes for left in _left(hole, accepted)]


def lost_of_window(window: Sequence[Span], choices: Sequence[Choice]) -> tuple[Span, ...]:
    """Return the offsets of a window that its choices lack."""
    chosen = {choice.partition: choice.tiling for choice in choices}
    return tuple(
        Span(span.partition, max(hole.first, span.first), min(hole.next, span.next))
        for span in window
        if (tiling := chosen.get(span.partition)) is not None
        for hole in (Hole(span.first, tiling.first), *tiling.holes)
        if max(hole.first, span.first) < min(hole.next, span.next)
    )


def lost_of_intent(intent: Intent) -> tuple[Span, ...]:
    """Return the offsets that a close should read and can't, of its window and of its state."""
    lost = []
    for choice in intent.choices:
        owner, tiling = choice.partition, choice.tiling
        first, end = intent.window.get(owner.topic, {}).get(owner.partition, (0, 0))
        never = Hole(first, min(tiling.first, end))
        holes = [hole for hole in (never, *tiling.holes) if hole.first < hole.next]
        lost += [Span(owner, hole.first, hole.next) for hole in holes]
    return tuple(lost)


@dataclass(frozen=True, slots=True)
class PassedSpan:
    """Offsets that were passed over, and why.

    in_window: whether they are in the close's own window; otherwise the close only reads them for
    its state.
    """

    span: Span
    why: PassedOver
    in_window: bool


def passed_over_of_intent(intent: Intent, partitions: Partitions) -> tuple[PassedSpan, ...]:
    """Return the passed-over offsets among all that a close reads."""
    found: list[PassedSpan] = []
    for choice in intent.choices:
        owner = choice.partition
        first, end = intent.window.get(owner.topic, {}).get(owner.partition, (0, 0))
        for piece in choice.tiling.tiles:
            if not piece.record.is_passed_over:
                continue
            why = partitions.record(piece.record).passed_over
            assert why is not None  # a record of passed-over offsets has it, as its name says
            edges = sorted(
                {piece.first, piece.next, *_between(first, end, piece.first, piece.next)}
            )
            found += [
                PassedSpan(Span(owner, low, high), why, first <= low < end)
                for low, high in pairwise(edges)
            ]
    return tuple(found)


def _between(low: int, high: int, first: int, end: int) -> list[int]:
    return [edge for edge in (low, high) if first < edge < end]


def _left(hole: Hole, accepted: Sequence[Hole]) -> Iterator[Hole]:
    """Yield the parts of a hole that accepted losses leave."""
    ends = [hole.first]
    for loss in accepted:
        first, end = max(loss.first, hole.first, ends[-1]), min(loss.next, hole.next)
        if first < end:
            ends += [first, end]
    ends.append(hole.next)
    for index, (first, end) in enumerate(pairwise(ends)):
        if index % 2 == 0 and first < end:
            yield Hole(first, end)
