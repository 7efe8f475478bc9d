"""Append times from a broker's wrong clock: ahead of the worker's clock, or going back.

A coverage record shows both faults. Its name has the moment at which a worker made the batch, its
content the first and last append time. An append time is ahead if it is later than that moment by
more than a tolerance. It goes back if it is earlier than the record before by more than the
tolerance.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from streams.moments import moment_text
from streams.storage.batch_names import made_at
from streams.storage.coverage import CoverageRecord

__all__ = ["ClockFault", "clock_faults"]


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
