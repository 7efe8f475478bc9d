"""Prove that a close can read all its offsets: mend holes, wait for workers, choose coverage.

Completeness is judged by the identity of every partition's offsets, never by commits or counts
(DESIGN, "Closing a window"). A close that can't be proven complete is held; it doesn't wait for a
partition that is set aside. Losses that a person has accepted don't count as missing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import structlog

from schemas.errors import DeltadropError, HeldError, LostOffsetsError, WaitingError
from sinks.closing.losses import Losses, lost_of_window
from sinks.closing.span import Span
from streams.reading.kafka import OffsetsGoneError
from streams.recovery.set_aside import SetAsides
from streams.storage.choice import Choice
from streams.storage.coverage import Fingerprint, Hole
from streams.storage.layout import TopicPartition
from streams.storage.partitions import Chosen, Partitions

log = structlog.get_logger(__name__)

_LOOK_AGAIN_SECONDS: Final = 0.25
_SAY_AGAIN_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Need:
    """The offsets `[first, next)` of a partition that a close reads; `first` None: from the
    beginning.
    """

    partition: TopicPartition
    first: int | None
    next: int


@dataclass(frozen=True, slots=True)
class Lag:
    """A partition whose coverage hasn't reached the cut yet."""

    partition: TopicPartition
    covered: int
    cut: int

    def __str__(self) -> str:
        where = f"{self.partition.topic}/{self.partition.partition}"
        return f"{where}: covered up to {self.covered}, the cut is {self.cut}"


class Completeness:
    """Chooses coverage for the offsets that a close needs."""

    def __init__(
        self,
        partitions: Partitions,
        *,
        fingerprints: Callable[[str], Mapping[str, Fingerprint]],
        mend: Callable[[TopicPartition, int, int], object],
        log_start: Callable[[TopicPartition], int],
        wait_seconds: float,
    ) -> None:
        self.losses = Losses(partitions.store)
        self._set_asides = SetAsides(partitions)
        self._partitions = partitions
        self._fingerprints = fingerprints
        self._mend = mend
        self._log_start = log_start
        self._wait_seconds = wait_seconds

    def prove(
        self, needs: Sequence[Need], *, progress: Callable[[Sequence[Lag]], None]
    ) -> tuple[Choice, ...]:
        """Return a tiling for each need, whole but for accepted losses; mend holes and wait for
        workers.

        Raises WaitingError, which names the partitions, if coverage doesn't reach the cut in time.
        Raises HeldError if a hole can't be mended or its partition is set aside, and
        LostOffsetsError if Kafka no longer has the offsets of a hole.
        """
        bounded = [self._bounded(need) for need in needs]
        deadline = time.monotonic() + self._wait_seconds
        reported = float("-inf")
        while True:
            chosen = [self._choose(need) for need in bounded]
            self._refuse_set_aside(chosen)
            if self._mend_holes(chosen):
                chosen = [self._choose(need) for need in bounded]
            lags = [lag for choice in chosen for lag in self._lags(choice)]
            if not lags:
                return tuple(Choice(choice.partition, choice.tiling) for choice in chosen)
            if time.monotonic() - reported >= _SAY_AGAIN_SECONDS:
                reported = time.monotonic()
                progress(lags)
            if time.monotonic() >= deadline:
                raise _late(lags)
            time.sleep(_LOOK_AGAIN_SECONDS)

    def gone(self, needs: Sequence[Need]) -> tuple[Span, ...]:
        """Return the offsets of these needs that are neither stored nor in Kafka any more."""
        return tuple(
            Span(choice.partition, hole.first, end)
            for choice in (self._choose(self._bounded(need)) for need in needs)
            for hole in choice.tiling.holes
            if (end := min(hole.next, self._log_start(choice.partition))) > hole.first
        )

    def refuse_lost(self, window: Sequence[Span], choices: Sequence[Choice], export: str) -> None:
        """Raise LostOffsetsError if a window has lost offsets."""
        lost = lost_of_window(window, choices)
        if not lost:
            return
        named = ", ".join(
            f"{span.first} to {span.next} of {span.partition.topic}/{span.partition.partition}"
            for span in lost
        )
        raise LostOffsetsError(
            what=f"offsets {named} are in the window, and neither stored nor in Kafka any more",
            where=f"export '{export}'",
            hint="raise the topic's retention",
        )

    def _bounded(self, need: Need) -> Need:
        """Replace an open beginning by the first offset that is still in Kafka or in coverage."""
        if need.first is not None:
            return need
        covered = self._partitions.coverage(need.partition)
        first = min([path.first for path in covered], default=need.next)
        if first > 0:
            first = min(first, self._log_start(need.partition))
        return replace(need, first=min(first, need.next))

    def _choose(self, need: Need) -> Chosen:
        assert need.first is not None
        fingerprints = self._fingerprints(need.partition.topic)
        return self._partitions.choose(need.partition, need.first, need.next, fingerprints)

    def _refuse_set_aside(self, chosen: Iterable[Chosen]) -> None:
        """Raise HeldError if a hole contains the offset at which its partition was set aside."""
        for choice in chosen:
            holes = self.losses.without(choice.partition, choice.tiling.holes)
            aside = self._set_asides.of(choice.partition) if holes else None
            if aside is not None and any(hole.first <= aside.offset < hole.next for hole in holes):
                raise HeldError(
                    what=f"can't go on from offset {aside.offset}: {aside.reason}",
                    where=aside.where,
                    hint=aside.settled_by,
                )

    def _mend_holes(self, chosen: Iterable[Chosen]) -> bool:
        """Mend the holes that workers have passed; return whether there were any."""
        holes = [
            (choice.partition, hole)
            for choice in chosen
            for hole in self.losses.without(choice.partition, choice.tiling.holes)
            if self._is_behind_coverage(choice, hole)
        ]
        for partition, hole in holes:
            self._mend_hole(partition, hole)
        return bool(holes)

    def _is_behind_coverage(self, choice: Chosen, hole: Hole) -> bool:
        """Whether workers have passed a hole. Otherwise its offsets may just not be read yet."""
        return any(path.next > hole.first for path in self._partitions.coverage(choice.partition))

    def _mend_hole(self, partition: TopicPartition, hole: Hole) -> None:
        log.warning(
            "hole: reading it again",
            partition=str(partition),
            first=hole.first,
            next=hole.next,
        )
        try:
            self._mend(partition, hole.first, hole.next)
        except DeltadropError as error:
            raise _not_mended(partition, hole, error) from error

    def _lags(self, choice: Chosen) -> Iterable[Lag]:
        for hole in self.losses.without(choice.partition, choice.tiling.holes)[:1]:
            yield Lag(choice.partition, hole.first, choice.tiling.next)


def _not_mended(partition: TopicPartition, hole: Hole, error: DeltadropError) -> HeldError:
    where = f"{partition.topic}/{partition.partition}"
    kind = LostOffsetsError if isinstance(error, OffsetsGoneError) else HeldError
    reason = error.reason(described=where)
    return kind(
        what=f"offsets {hole.first} to {hole.next} can't be read again: {reason}",
        where=where,
        hint=error.hint,
    )


def _late(lags: Sequence[Lag]) -> WaitingError:
    return WaitingError(
        what="not complete yet: " + "; ".join(str(lag) for lag in lags),
        hint="check that workers run (`deltadrop status`), then close again; nothing was sent",
    )
