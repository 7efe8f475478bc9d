"""Wrong append times in what a worker reads; `clocks` finds them in what is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from streams.reading.records import Chunk

__all__ = ["ClockWatch", "WrongTimes"]


@dataclass(frozen=True, slots=True)
class WrongTimes:
    """Number of records of a batch with an append time ahead of the clock, or that went back."""

    ahead: int = 0
    back: int = 0


class ClockWatch:
    """Check of the append times that a worker reads of one topic, batch after batch."""

    def __init__(self, tolerance_ms: int) -> None:
        self._tolerance_ms = tolerance_ms
        self._latest: dict[int, tuple[int, int]] = {}  # partition → next offset, latest time

    def look(self, chunks: Sequence[Chunk], now_ms: int) -> WrongTimes:
        """Count the wrong append times in the chunks of a batch; now_ms: UTC milliseconds."""
        ahead = back = 0
        for chunk in chunks:
            offset, latest = self._latest.get(chunk.partition, (chunk.first, -(1 << 62)))
            if offset != chunk.first:  # reassigned: the records in between aren't known
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
