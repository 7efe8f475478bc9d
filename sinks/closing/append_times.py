"""Append times of a partition. They place the cuts, and decide how long repeats are remembered.

A broker's clock may be wrong: a single record stamped three days ahead must not end the windows of
those days. Therefore a record ends no window if it is stamped more than a tolerance later than a
record behind it (SPEC §3, *Readings settled*).

Append times have four sources. Kafka's look-up by time gives the first offset at or after an
instant. Coverage records have the first and last time of a batch. Headers of record batches have
those of offsets that are not stored yet. Stored files have the time of each row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import pyarrow.parquet as pq

from sinks.closing.append_runs import IntArray, Runs
from sinks.closing.offsets import OffsetAtTime, Offsets
from sinks.engine.unreadable import Read, explain_unreadable
from streams.storage.coverage import Hole, Tile, tile
from streams.storage.layout import CoveragePath, TopicPartition
from streams.storage.partitions import FileSlice, Partitions

__all__ = ["AppendTimes", "Beginning"]

_FOREVER: Final = (1 << 63) - 1
_LOOK_BEHIND: Final = 2_000
"""How many coverage records behind a candidate are looked at: 33 hours of a worker.

Without this bound, a cut at an instant of last year would open every record since. The next record
of a right clock exposes a record that is stamped ahead. A candidate is taken against the rule only
if the 2,000 records behind it are all stamped ahead.
"""
_OFFSETS_OF_A_RECORD: Final = 2_000
"""So many unstored offsets count as one coverage record within that bound; its limit is four
million.
"""


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where to read a partition from, to get all that was appended since an instant.

    is_cut_short: whether Kafka may have removed some of it before it was first read.
    """

    first: int
    is_cut_short: bool


@dataclass(frozen=True, slots=True)
class _Piece:
    """Offsets `[first, next)`, with their earliest and latest append time in UTC milliseconds.

    runs: all append times, if the piece was read from Kafka; otherwise None.
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
    """Looks up append times in coverage, files and Kafka. tolerance_ms: how far clocks may be
    apart.
    """

    def __init__(self, partitions: Partitions, offsets: Offsets, tolerance_ms: int) -> None:
        self._partitions = partitions
        self._offsets = offsets
        self._tolerance_ms = tolerance_ms

    def settled(self, owner: TopicPartition, at: int, found: OffsetAtTime, begin: int) -> int:
        """Return the first offset at or after an instant (UTC ms) that may end a window.

        It is the log's end if there is none. found: the first offset that Kafka has at or after the
        instant. begin: the previous cut, which the result can't precede.
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
        """Return the same as `settled`, from what is stored below `end`; Kafka isn't asked."""
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
        """Return where to read from, to get all that was appended at or after an instant (UTC ms).

        Up to the end of the bounds, all of this is then stored, or it is a hole. bounds: the first
        offset that can matter, and the offset after the last. look_up: asks Kafka; called only if
        not all offsets within the bounds are stored.
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
        """Return the same as `since`, for the case that Kafka has removed what is before the log's
        start.
        """
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
                continue  # all of its records that are late enough are stamped ahead
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
        """Return all append times of a piece.

        They come from Kafka, which has those of dead letters too, or from stored files if Kafka has
        removed the offsets.
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
    """Pieces in order of offsets; each is read when it is first needed."""

    def __init__(self, pieces: Iterator[_Piece]) -> None:
        self._read: list[_Piece] = []
        self._left = pieces

    def __iter__(self) -> Iterator[_Piece]:
        return self._from(0)

    def least_from(self, index: int) -> int:
        """Return the earliest append time from a piece on, within the bound of `_LOOK_BEHIND`."""
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
    """Return the tiles of `[first, end)` and the holes between them, in order."""
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
    """Return the first offset at or after an instant that isn't stamped ahead; None if there is
    none.

    A record is stamped ahead if its time is more than the tolerance later than that of a record
    behind it. behind: the earliest append time of all that follows the runs.
    """
    if not len(runs.times):
        return None
    rest = np.minimum.accumulate(runs.times[::-1])[::-1]
    ends = (runs.times >= at) & (runs.times - tolerance_ms <= np.minimum(rest, behind))
    return int(runs.offsets[np.argmax(ends)]) if ends.any() else None
