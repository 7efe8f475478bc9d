"""Stored rows and files that can't be read. The engine's failure starts the search for them; the
error names the command that settles it (SPEC §6, *One trouble, one place*).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa

from schemas.errors import UnreadableError, UnreadableFilesError, UnreadableRowsError
from schemas.full_disk import what_is_full
from sinks.engine.engine import EngineError, EngineMemoryError
from sinks.wording import counted
from streams.recovery.unreadable import UnreadableRow, scanned, why_broken
from streams.storage.partitions import Chosen, FileSlice

__all__ = ["Read", "error_of", "explain_unreadable", "found_in", "take_out_command"]

_SHOWN: Final = 3
"""How many rows, files and partitions a message names at most."""
_LISTED: Final = 10
"""How many offsets a command names at most; if there are more, the command covers all of them."""
_OF_READING: Final = (EngineError, pa.ArrowException, ArithmeticError, ValueError, OSError)
"""Errors of engine, Arrow and rendering if a value or a file can't be read."""


@dataclass(frozen=True, slots=True)
class Read:
    """A file of a topic's stream, and the part of it that was read. The topic is empty for a file
    of a base or of waiting facts.
    """

    topic: str
    piece: FileSlice
    chosen: tuple[Chosen, ...] = ()

    @property
    def offsets(self) -> list[tuple[int, int, int]]:
        """Partition, first offset and next offset of each coverage record that names the file."""
        return [
            (choice.partition.partition, piece.first, piece.next)
            for choice in self.chosen
            for piece in choice.tiling.tiles
            if any(file.path == self.piece.name for file in choice.records[piece.record].files)
        ]

    def has(self, row: UnreadableRow) -> bool:
        """Whether this row of the file was read."""
        return not self.piece.clips or any(
            row.partition == partition and first <= row.offset < end
            for partition, first, end in self.piece.clips
        )


@contextmanager
def explain_unreadable(read: Callable[[], Iterable[Read]]) -> Iterator[None]:
    """Replace a reading error within the context by an UnreadableError that names rows and files.

    Other errors, and reading errors for which nothing unreadable is found, pass unchanged. read:
    returns the files that were read. All of them are searched, which takes time.
    """
    try:
        yield
    except _OF_READING as error:
        if isinstance(error, EngineMemoryError) or what_is_full(error):
            raise
        explained = error_of(read())
        if explained is None:
            raise
        raise explained from error


def error_of(read: Iterable[Read]) -> UnreadableError | None:
    """Return the error that names what can't be read in some files; None if all of it can."""
    rows, files = found_in(read)
    if rows:
        return _of_rows(rows)
    return _of_files(files) if files else None


@dataclass(frozen=True, slots=True)
class _File:
    read: Read
    why: str

    def __str__(self) -> str:
        problem = f"{self.read.piece.name}: {self.why}"
        ranges = [f"{a} to {b} of {self.read.topic}/{n}" for n, a, b in self.read.offsets]
        return f"{problem} (offsets {_few(ranges)})" if ranges else problem


@dataclass(frozen=True, slots=True, order=True)
class _Row:
    topic: str
    row: UnreadableRow
    file: str

    def __str__(self) -> str:
        row = self.row
        return f"offset {row.offset} of {self.topic}/{row.partition} ({', '.join(row.columns)})"


def found_in(read: Iterable[Read]) -> tuple[list[_Row], list[_File]]:
    """Search files for rows that can't be read; return these rows, and the files that can't be read
    at all.
    """
    rows: dict[tuple[str, int, int], _Row] = {}
    files: list[_File] = []
    by_file: dict[Path, list[Read]] = defaultdict(list)
    for part in read:
        by_file[part.piece.path].append(part)
    for path, together in sorted(by_file.items()):
        if not together[0].topic:
            why = why_broken(path)
            files += [_File(together[0], why)] if why else []
            continue
        found, name = scanned(path), together[0].piece.name
        if found.broken:
            files.append(_File(together[0], found.broken))
        for row in found.rows:
            if any(part.has(row) for part in together):
                topic = together[0].topic
                rows.setdefault((topic, row.partition, row.offset), _Row(topic, row, name))
    return sorted(rows.values()), files


def take_out_command(topic: str, partition: int, offsets: Sequence[int]) -> str:
    """The command that takes rows of a partition out."""
    few = 0 < len(offsets) <= _LISTED
    named = " ".join(map(str, offsets)) if few else "--all-unreadable"
    return f"deltadrop take-out {topic} {partition} {named} --reason '…'"


def _of_rows(rows: Sequence[_Row]) -> UnreadableRowsError:
    offsets: dict[tuple[str, int], list[int]] = defaultdict(list)
    for row in rows:
        offsets[row.topic, row.row.partition].append(row.row.offset)
    commands = [take_out_command(*place, some) for place, some in offsets.items()]
    then = "; then the others, which are told next" if len(commands) > _SHOWN else ""
    return UnreadableRowsError(
        what=f"{counted(len(rows), 'stored row')} can't be read: {_few(rows)}",
        where=rows[0].file,
        hint=f"to go on without: {'; '.join(commands[:_SHOWN])}{then}",
    )


def _of_files(files: Sequence[_File]) -> UnreadableFilesError:
    places = dict.fromkeys(
        (file.read.topic, offsets[0]) for file in files for offsets in file.read.offsets[:1]
    )
    commands = [f"{take_out_command(*place, ())}" for place in places]
    again = f"to read it again from Kafka: {'; '.join(commands[:_SHOWN])}; or " if commands else ""
    return UnreadableFilesError(
        what=f"{counted(len(files), 'stored file')} can't be read: {_few(files)}",
        hint=f"{again}restore it from a backup of the root, then run it again",
    )


def _few(some: Sequence[object]) -> str:
    named = ", ".join(str(thing) for thing in some[:_SHOWN])
    return named if len(some) <= _SHOWN else f"{named} and {len(some) - _SHOWN:,} more"
