"""Coverage records say which offsets are stored, in which files; `tile` settles overlaps.

A coverage record is written last, created if absent. Only files that a record names count. A batch
that is repeated after a crash, or written by a worker that woke up late, covers offsets again with
other borders. `tile` chooses among such records by a fixed rule, so that every reader of the same
records reads each offset exactly once.

A person may pass over offsets that nobody can read. Their record names no file, and wins over all
other records of these offsets (SPEC §6).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TypeAlias

from schemas.errors import PartitionError
from streams.storage.layout import CoveragePath, StreamFilePath

Fingerprint: TypeAlias = str
"""Hash of a stream's definition. Rows written under another hash don't count as that stream's."""


@dataclass(frozen=True, slots=True)
class CoveredFile:
    """A stream's file as one partition sees it: `rows` of its `file_rows` are of this partition."""

    stream: str
    path: str
    rows: int
    file_rows: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that was sent to the dead-letter topic: its offset, and the reason."""

    offset: int
    reason: str


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A person's decision to pass over offsets: reason, who decided, and when (ISO 8601, UTC)."""

    reason: str
    by: str
    at: str


@dataclass(frozen=True, slots=True)
class CoverageRecord:
    """What one batch has of the offsets `[path.first, path.next)` of a partition.

    appended: the first and last append time in UTC milliseconds; None if no event was read.
    passed_over: set exactly if `path.is_passed_over`; there are no files then.
    """

    path: CoveragePath
    streams: dict[str, Fingerprint]
    files: tuple[CoveredFile, ...]
    dead_letters: tuple[DeadLetter, ...]
    appended: tuple[int, int] | None
    passed_over: PassedOver | None = None

    def to_json(self) -> bytes:
        """Serialise all but the path, which is the record's name."""
        content = {
            "streams": self.streams,
            "files": [[f.stream, f.path, f.rows, f.file_rows] for f in self.files],
            "dead_letters": [[letter.offset, letter.reason] for letter in self.dead_letters],
            "appended": self.appended,
            **({"passed_over": asdict(self.passed_over)} if self.passed_over else {}),
        }
        return json.dumps(content, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, path: CoveragePath, content: bytes) -> CoverageRecord:
        """Read back what `to_json` wrote under this path.

        Raises PartitionError if it names a file that isn't a stream's file.
        """
        fields = json.loads(content)
        return cls(
            path,
            fields["streams"],
            tuple(_covered(*file) for file in fields["files"]),
            tuple(DeadLetter(*letter) for letter in fields["dead_letters"]),
            tuple(fields["appended"]) if fields["appended"] else None,
            PassedOver(**fields["passed_over"]) if "passed_over" in fields else None,
        )

    def covers(self, stream: str, fingerprint: Fingerprint) -> bool:
        """Whether this record is complete for a stream as it is defined now.

        Passed-over offsets are complete for every stream, as nothing is stored of them.
        """
        return self.path.is_passed_over or self.streams.get(stream) == fingerprint


def _covered(stream: str, path: str, rows: int, file_rows: int) -> CoveredFile:
    """Return a file that a record names; raises PartitionError if it can't be that stream's."""
    if StreamFilePath.parse(path).stream != stream:
        raise PartitionError(what=f"names {path!r} as a file of stream {stream!r}")
    return CoveredFile(stream, path, rows, file_rows)


@dataclass(frozen=True, slots=True)
class Tile:
    """The part `[first, next)` of a coverage record that was chosen."""

    record: CoveragePath
    first: int
    next: int


@dataclass(frozen=True, slots=True)
class Hole:
    """Offsets `[first, next)` that no record covers."""

    first: int
    next: int


@dataclass(frozen=True, slots=True)
class Tiling:
    """The chosen tiles of `[first, next)` of a partition, in order, and the holes between them."""

    first: int
    next: int
    tiles: tuple[Tile, ...]
    holes: tuple[Hole, ...]

    @property
    def is_whole(self) -> bool:
        """Whether every offset of the range is covered."""
        return not self.holes


def tile(records: Iterable[CoveragePath], first: int, end: int) -> Tiling:
    """Choose records that cover `[first, end)`, each offset once.

    The rule is: passed-over offsets come first. At each other offset, the record that covers it and
    reaches furthest is chosen. If several reach equally far, the first by name is chosen. The
    result depends on the names alone.
    """
    candidates = sorted(r for r in records if r.next > first and r.first < end)
    lost = [record for record in candidates if record.is_passed_over and record.next > record.first]
    if not lost:
        return _furthest(candidates, first, end)
    stored = [record for record in candidates if not record.is_passed_over]
    over = _furthest(lost, first, end)
    between = [_furthest(stored, gap.first, gap.next) for gap in over.holes]
    tiles = [*over.tiles, *(piece for part in between for piece in part.tiles)]
    holes = [hole for part in between for hole in part.holes]
    return Tiling(first, end, tuple(sorted(tiles, key=lambda piece: piece.first)), tuple(holes))


def _furthest(ordered: Sequence[CoveragePath], first: int, end: int) -> Tiling:
    """Choose at each offset the record that reaches furthest. ordered: records in order."""
    candidates = [r for r in ordered if r.next > first and r.first < end]
    tiles: list[Tile] = []
    holes: list[Hole] = []
    at, seen = first, 0
    while at < end:
        chosen: CoveragePath | None = None
        # No record seen before reaches further than `at`.
        while seen < len(candidates) and candidates[seen].first <= at:
            chosen = _further(chosen, candidates[seen], at)
            seen += 1
        if chosen is not None:
            upto = min(chosen.next, end)
            tiles.append(Tile(chosen, at, upto))
        else:
            upto = candidates[seen].first if seen < len(candidates) else end
            holes.append(Hole(at, upto))
        at = upto
    return Tiling(first, end, tuple(tiles), tuple(holes))


def _further(chosen: CoveragePath | None, other: CoveragePath, at: int) -> CoveragePath | None:
    if other.next <= at or (chosen is not None and other.next < chosen.next):
        return chosen
    if chosen is None or other.next > chosen.next:
        return other
    return min(chosen, other, key=str)
