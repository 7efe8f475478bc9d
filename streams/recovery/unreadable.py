"""Find what can't be read in stream files, and make rows readable again.

This is for files that the engine failed to read. It goes file by file and column by column, slowly,
and without the engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import PartitionError
from streams.storage.parquet import parquet_file, parquet_writer
from streams.storage.readable import Mask, readable, unreadable_columns
from streams.storage.store import Store
from streams.storage.stream_files import META

__all__ = ["Scanned", "UnreadableRow", "make_readable", "offsets_in", "scanned", "why_broken"]

_PLACE: Final = [META[0].name, META[1].name]


@dataclass(frozen=True, slots=True, order=True)
class UnreadableRow:
    """A row of a file with values that can't be read: its place and the columns."""

    partition: int
    offset: int
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Scanned:
    """The unreadable rows of a file. broken: why none of it can be read; empty if some can."""

    rows: tuple[UnreadableRow, ...] = ()
    broken: str = ""


def scanned(path: Path) -> Scanned:
    """Find the rows of a stream's file that the engine can't read. path: see `Store.local`."""
    rows: list[UnreadableRow] = []
    try:
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                partition, offset = _places(file, group)
                found: dict[str, Mask] = {}
                for name in file.schema_arrow.names:
                    found |= unreadable_columns(file.read_row_group(group, columns=[name]))
                rows += _rows(partition, offset, found)
    except (pa.ArrowException, OSError, ValueError) as error:
        return Scanned(broken=_why(error))
    return Scanned(tuple(sorted(rows)))


def why_broken(path: Path) -> str:
    """Return why a Parquet file with any columns can't be read; empty if it can."""
    try:
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                file.read_row_group(group)
    except (pa.ArrowException, OSError, ValueError) as error:
        return _why(error)
    return ""


def offsets_in(path: Path, partition: int) -> npt.NDArray[np.int64]:
    """Return the offsets of one partition's rows in a stream's file."""
    with pq.ParquetFile(path) as file:
        held = file.read(columns=_PLACE)
    number, offset = (held[name].to_numpy().astype(np.int64) for name in _PLACE)
    found: npt.NDArray[np.int64] = offset[number == partition]
    return found


def make_readable(store: Store, name: str, partition: int, offsets: Sequence[int]) -> bool:
    """Write a file again under its own name, with some rows made readable.

    Names, offsets, counts and all other values stay. offsets: of these rows, all of one partition.
    Returns whether any of them was unreadable; if not, nothing is written. Raises PartitionError if
    the file was rewritten by somebody else at the same time.
    """
    before = store.stat(name).version

    def fill(out: BinaryIO, file: pq.ParquetFile, groups: Sequence[Mask]) -> None:
        with parquet_writer(out, file.schema_arrow) as writer:
            for group, wanted in enumerate(groups):
                rows = readable(file.read_row_group(group), wanted)
                writer.write_table(rows, row_group_size=max(1, rows.num_rows))
        if store.stat(name).version != before:
            raise PartitionError(
                what="was rewritten at the same time, by an erase pass",
                where=name,
                hint="run it again when that one has ended",
            )

    with parquet_file(store, name) as file:
        groups = [_at(file, group, partition, offsets) for group in range(file.num_row_groups)]
        if not any(_is_unreadable(file, group, wanted) for group, wanted in enumerate(groups)):
            return False
        store.write(name, partial(fill, file=file, groups=groups))
    return True


def _is_unreadable(file: pq.ParquetFile, group: int, wanted: Mask) -> bool:
    if not wanted.any():
        return False
    found = unreadable_columns(file.read_row_group(group))
    return any((mask & wanted).any() for mask in found.values())


def _at(file: pq.ParquetFile, group: int, partition: int, offsets: Sequence[int]) -> Mask:
    number, offset = _places(file, group)
    wanted: Mask = (number == partition) & np.isin(offset, offsets)
    return wanted


def _places(
    file: pq.ParquetFile, group: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    held = file.read_row_group(group, columns=_PLACE)
    partition, offset = (held[name].to_numpy().astype(np.int64) for name in _PLACE)
    return partition, offset


def _rows(
    partition: npt.NDArray[np.int64], offset: npt.NDArray[np.int64], found: dict[str, Mask]
) -> list[UnreadableRow]:
    bad = np.zeros(len(partition), np.bool_)
    for mask in found.values():
        bad |= mask
    return [
        UnreadableRow(
            int(partition[row]),
            int(offset[row]),
            tuple(name for name, mask in found.items() if mask[row]),
        )
        for row in np.flatnonzero(bad)
    ]


def _why(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "it is missing"
    what = str(error).strip().partition("\n")[0].rstrip(".")
    return f"it is no Parquet file that can be read ({what})"
