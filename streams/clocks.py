"""Append times that a broker's wrong clock has stamped: ahead of ours, or going back.

A coverage record tells both: its name has the moment at which a worker made the batch, and its
content the first and last append time. A time that is further ahead of that moment than a tolerance
is ahead; one that is further behind those of the record before goes back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from streams.reading.records import Chunk, made_at, moment_text
from streams.storage.coverage import CoverageRecord

__all__ = ["ClockFault", "ClockWatch", "WrongTimes", "clock_faults"]


@dataclass(frozen=True, slots=True)
class ClockFault:
    """Offsets `[first, next)` of a partition whose append times are wrong, and by how much.

    ahead_until: the latest of them, UTC milliseconds, where they are ahead. back_seconds: how far
    they go back, where they do.
    """

    first: int
    next: int
    ahead_until: int | None = None
    back_seconds: int = 0

    def __str__(self) -> str:
        offsets = f"offsets {self.first} to {self.next}"
        if self.ahead_until is not None:
            return (
                f"{offsets} are stamped up to {moment_text(self.ahead_until)}, ahead of the clock"
            )
        return f"{offsets} are stamped {self.back_seconds:,} s earlier than what came before"


def clock_faults(records: Iterable[CoverageRecord], tolerance_ms: int) -> list[ClockFault]:
    """Find what is wrong with the append times of a partition's coverage records, in order of their
    offsets. Each step of a clock is told once, however long the clock stays wrong.
    """
    found: list[ClockFault] = []
    before: int | None = None
    for record in records:
        if record.appended is None:
            continue
        least, most = record.appended
        made = made_at(record.path.batch)
        if made is not None and most > made + tolerance_ms:
            found.append(ClockFault(record.path.first, record.path.next, ahead_until=most))
        if before is not None and least < before - tolerance_ms:
            back = (before - least) // 1000
            found.append(ClockFault(record.path.first, record.path.next, back_seconds=back))
        before = most
    return found


@dataclass(frozen=True, slots=True)
class WrongTimes:
    """How many records of a batch are stamped ahead of the clock, or earlier than one before."""

    ahead: int = 0
    back: int = 0


class ClockWatch:
    """Looks at the append times of what a worker reads of one topic, batch after batch."""

    def __init__(self, tolerance_ms: int) -> None:
        self._tolerance_ms = tolerance_ms
        self._latest: dict[int, tuple[int, int]] = {}  # partition → next offset, latest time

    def look(self, chunks: Sequence[Chunk], now_ms: int) -> WrongTimes:
        """Count what is wrong in the chunks of a batch. now_ms: UTC milliseconds."""
        ahead = back = 0
        for chunk in chunks:
            offset, latest = self._latest.get(chunk.partition, (chunk.first, -(1 << 62)))
            if offset != chunk.first:  # it was assigned anew: what came between isn't known
                latest = -(1 << 62)
            for piece in chunk.records:
                times = piece.column("appended_at").to_numpy()
                right = times <= now_ms + self._tolerance_ms
                ahead += int(len(times) - np.count_nonzero(right))
                so_far = np.maximum.accumulate(np.where(right, times, latest))
                back += int(
                    np.count_nonzero(times < np.maximum(so_far, latest) - self._tolerance_ms)
                )
                latest = max(latest, int(so_far[-1])) if len(so_far) else latest
            self._latest[chunk.partition] = chunk.next, latest
        return WrongTimes(ahead, back)
