"""Append times from a broker's wrong clock: ahead of the worker's clock, or going back.

A coverage record shows both faults. Its name has the moment at which a worker made the batch, its
content the first and last append time. An append time is ahead if it is later than that moment by
more than a tolerance. It goes back if it is earlier than the record before by more than the
tolerance.
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
    """Offsets `[first, next)` of a partition whose append times are wrong.

    ahead_until: the latest append time, UTC milliseconds; None if they aren't ahead. back_seconds:
    by how much they go back; 0 if they don't.
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
    """The faults in the append times of a partition's coverage records.

    records: in order of their offsets. tolerance_ms: milliseconds by which a clock may be wrong.
    Each record that is ahead is a fault. A step back is one fault, however long the clock stays
    wrong.
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
