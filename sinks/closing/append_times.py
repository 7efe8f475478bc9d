"""Append times of a partition, by which cuts are taken and repeats are remembered.

A broker's clock may be wrong: one record that is stamped three days ahead must not end the windows
of those days. So a record that is stamped more than a tolerance later than a record behind it ends
no window (SPEC §3, *Readings settled*).

What tells of append times: Kafka's look-up by time (the first offset at or after an instant), the
first and last time of each coverage record, the headers of batches that Kafka has and nobody has
stored yet, and the rows of our files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import pyarrow.parquet as pq

from sinks.closing.offsets import IntArray, OffsetAtTime, Offsets, Runs
from sinks.engine.unreadable import Read, explain_unreadable
from streams.storage.coverage import Hole, Tile, tile
from streams.storage.layout import CoveragePath, TopicPartition
from streams.storage.partitions import FileSlice, Partitions

__all__ = ["AppendTimes", "Beginning"]

_FOREVER: Final = (1 << 63) - 1
_LOOK_BEHIND: Final = 2_000
"""Coverage records behind a candidate that are looked at: those of 33 hours of a worker.

Without a bound, a cut at an instant of last year would open every record since. A record that is
stamped ahead is found out by the next one of a right clock; only where 2,000 records in a row are
stamped ahead, or where the first one that isn't comes after them, is a candidate taken that the
rule leaves out.
"""
_OFFSETS_OF_A_RECORD: Final = 2_000
"""Offsets that nobody has stored count as a coverage record, for that bound: four million."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where to read a partition from, so that all that was appended since an instant is there.

    is_cut_short: whether Kafka may have removed some of it before it was first read.
    """

    first: int
    is_cut_short: bool


@dataclass(frozen=True, slots=True)
class _Piece:
    """Offsets `[first, next)`: the first and the last append time, UTC milliseconds; `runs` where
    Kafka told them.
    """

    first: int
    next: int
    least: int
    most: int
    runs: Runs | None = None

    @property
    def cost(self) -> int:
        return 1 if self.runs is None else (self.next - self.first) // _OFFSETS_OF_A_RECORD


class AppendTimes:
    """Looks append times up. tolerance_ms: how far clocks may be apart."""

    def __init__(self, partitions: Partitions, offsets: Offsets, tolerance_ms: int) -> None:
        self._partitions = partitions
        self._offsets = offsets
        self._tolerance_ms = tolerance_ms

    def settled(self, owner: TopicPartition, at: int, found: OffsetAtTime, begin: int) -> int:
        """Return the first offset at or after an instant (UTC ms) that ends a window; the log's end
        where there is none.

        found: what Kafka has at or after it. begin: the cut before, which this one can't precede.
        """
        first = max(begin, found.offset) if found.sure else begin
        if first >= found.end:
            return max(first, found.offset)
        pieces = _Pieces(self._pieces(owner, first, found.end, found.start))
        if (
            found.appended_at is not None
            and first == found.offset
            and found.appended_at - self._tolerance_ms <= pieces.least_from(0)
        ):
            return first
        settled = self._first_settled(owner, at, pieces, found.start)
        return found.end if settled is None else settled

    def stored(self, owner: TopicPartition, at: int, end: int) -> int:
        """Return the same by what is stored below `end` alone; Kafka isn't asked."""
        pieces = _Pieces(self._pieces(owner, 0, end, end))
        settled = self._first_settled(owner, at, pieces, end)
        return end if settled is None else settled

    def since(
        self,
        owner: TopicPartition,
        at: int,
        bounds: tuple[int, int],
        look_up: Callable[[], OffsetAtTime],
    ) -> Beginning:
        """Return where to read from, so that what was appended at or after an instant (UTC ms) is
        there up to an offset: stored, or a hole.

        bounds: the first offset that can matter, and the last plus one. look_up: asks Kafka; only
        where not all within the bounds is stored.
        """
        lowest, end = bounds
        covered = self._partitions.coverage(owner)
        parts = _parts(covered, lowest, end)
        if not any(isinstance(part, Hole) for part in parts):
            late = (part for part in parts if self._most(part) >= at)
            return Beginning(next((part.first for part in late), end), is_cut_short=False)
        found = look_up()
        if found.sure:
            return Beginning(max(lowest, min(found.offset, end)), is_cut_short=False)
        return self._removed_since(covered, at, lowest, min(found.start, end))

    def _removed_since(
        self, covered: Sequence[CoveragePath], at: int, lowest: int, log_start: int
    ) -> Beginning:
        """The same where Kafka has removed what was before the log's start."""
        ever_read = min((path.first for path in covered), default=log_start)
        hole: int | None = None
        knows_older = False
        for part in _parts(covered, max(lowest, min(ever_read, log_start)), log_start):
            if isinstance(part, Hole):
                hole = part.first if hole is None else hole
            elif (appended := self._partitions.record(part.record).appended) is not None:
                if appended[1] >= at:
                    knows_older = knows_older or appended[0] < at
                    first = part.first if hole is None else hole
                    return Beginning(first, is_cut_short=not knows_older and lowest == 0 < first)
                hole, knows_older = None, True
        first = log_start if hole is None else hole
        return Beginning(first, is_cut_short=not knows_older and lowest == 0 < first)

    def _most(self, part: Tile | Hole) -> int:
        appended = self._partitions.record(part.record).appended if isinstance(part, Tile) else None
        return -_FOREVER if appended is None else appended[1]

    def _first_settled(
        self, owner: TopicPartition, at: int, pieces: _Pieces, log_start: int
    ) -> int | None:
        for index, piece in enumerate(pieces):
            if piece.most < at:
                continue
            behind = pieces.least_from(index + 1)
            if max(at, piece.least) - self._tolerance_ms > behind:
                continue  # whatever is late enough in it is stamped ahead
            for runs in self._runs_of(owner, piece, log_start):
                settled = _first_of(runs, at, behind, self._tolerance_ms)
                if settled is not None:
                    return settled
        return None

    def _pieces(
        self, owner: TopicPartition, first: int, end: int, log_start: int
    ) -> Iterator[_Piece]:
        for part in _parts(self._partitions.coverage(owner), first, end):
            if isinstance(part, Hole):
                yield from self._unstored(owner, max(part.first, log_start), part.next)
            elif (appended := self._partitions.record(part.record).appended) is not None:
                yield _Piece(part.first, part.next, *appended)

    def _unstored(self, owner: TopicPartition, first: int, end: int) -> Iterator[_Piece]:
        at = first
        while at < end:
            runs = self._offsets.runs(owner.topic, owner.partition, at, end)
            if len(runs.times):
                least, most = int(runs.times.min()), int(runs.times.max())
                yield _Piece(runs.first, runs.next, least, most, runs)
            at = runs.next

    def _runs_of(self, owner: TopicPartition, piece: _Piece, log_start: int) -> Sequence[Runs]:
        """All append times of a piece: from Kafka, which has those of dead letters too, or from our
        files where Kafka no longer has it.
        """
        if piece.runs is not None:
            return [piece.runs]
        if piece.first < log_start:
            return [self._in_files(owner, piece)]
        return [_joined(list(self._unstored(owner, piece.first, piece.next)), piece)]

    def _in_files(self, owner: TopicPartition, piece: _Piece) -> Runs:
        chosen = self._partitions.choose(owner, piece.first, piece.next, {})
        found: list[tuple[IntArray, IntArray]] = []
        for record in chosen.records.values():
            for file in record.files:
                (location,) = self._partitions.store.local([file.path])
                looked_at = Read(owner.topic, FileSlice(file.path, location, ()), (chosen,))
                with explain_unreadable(partial(tuple, [looked_at])):
                    rows = pq.read_table(
                        location,
                        columns=["_offset", "_appended_at"],
                        filters=[
                            ("_partition", "=", owner.partition),
                            ("_offset", ">=", piece.first),
                            ("_offset", "<", piece.next),
                        ],
                    )
                times = rows["_appended_at"].cast("int64").to_numpy()
                found.append((rows["_offset"].to_numpy(), times))
        offsets = np.concatenate([np.empty(0, np.int64), *(offsets for offsets, _ in found)])
        times = np.concatenate([np.empty(0, np.int64), *(times for _, times in found)])
        order = np.argsort(offsets, kind="stable")
        return Runs(piece.first, piece.next, offsets[order], times[order])


class _Pieces:
    """Pieces in order of offsets, read as far as they are looked at."""

    def __init__(self, pieces: Iterator[_Piece]) -> None:
        self._read: list[_Piece] = []
        self._left = pieces

    def __iter__(self) -> Iterator[_Piece]:
        return self._from(0)

    def least_from(self, index: int) -> int:
        """The earliest append time from a piece on, as far as is looked."""
        least, cost = _FOREVER, 0
        for piece in self._from(index):
            least, cost = min(least, piece.least), cost + piece.cost
            if cost >= _LOOK_BEHIND:
                break
        return least

    def _from(self, index: int) -> Iterator[_Piece]:
        while True:
            if index == len(self._read):
                piece = next(self._left, None)
                if piece is None:
                    return
                self._read.append(piece)
            yield self._read[index]
            index += 1


def _parts(covered: Sequence[CoveragePath], first: int, end: int) -> list[Tile | Hole]:
    """What covers `[first, end)`, and the holes between, in order."""
    tiling = tile(covered, first, end)
    return sorted([*tiling.tiles, *tiling.holes], key=lambda part: part.first)


def _joined(pieces: Sequence[_Piece], whole: _Piece) -> Runs:
    runs = [piece.runs for piece in pieces if piece.runs is not None]
    nothing = np.empty(0, np.int64)
    offsets = np.concatenate([nothing, *(some.offsets for some in runs)])
    return Runs(
        whole.first, whole.next, offsets, np.concatenate([nothing, *(some.times for some in runs)])
    )


def _first_of(runs: Runs, at: int, behind: int, tolerance_ms: int) -> int | None:
    """The first offset at or after an instant that isn't stamped more than the tolerance later than
    one behind it. behind: the earliest append time of what follows the runs.
    """
    if not len(runs.times):
        return None
    rest = np.minimum.accumulate(runs.times[::-1])[::-1]
    ends = (runs.times >= at) & (runs.times - tolerance_ms <= np.minimum(rest, behind))
    return int(runs.offsets[np.argmax(ends)]) if ends.any() else None
