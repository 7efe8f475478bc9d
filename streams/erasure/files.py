"""Empty personal values in existing files; names, offsets and counts stay.

A file is written under another name first, and then replaced in one step. So a reader has the old
or the new file, and an interrupted run can be run again. A file with nothing to erase isn't
touched.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Final
from uuid import UUID

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.events import KINDS
from schemas.topics import Topic
from streams.erasure.personal import PersonalData, facts_of, judged_columns, keys_of_nobody
from streams.erasure.tombstones import Mask, Tombstones
from streams.storage.layout import StreamFilePath
from streams.storage.parquet import parquet_file, parquet_writer
from streams.storage.partitions import Partitions
from streams.storage.store import Store
from streams.storage.stream import builtin_name
from streams.storage.stream_files import META

__all__ = ["BatchErasure", "Erased", "GoneRows", "erase_in_file"]

_PLACE: Final = [META[0].name, META[1].name]

GoneRows = Mapping[int, npt.NDArray[np.int64]]
"""Offsets of rows whose people are gone, by partition, in ascending order."""


@dataclass(frozen=True, slots=True)
class Erased:
    """What was erased."""

    files: int = 0
    """Files that were rewritten."""
    rows: int = 0
    """Rows in which values were emptied."""
    values: int = 0
    """Values that were emptied."""

    def __add__(self, other: Erased) -> Erased:
        return Erased(self.files + other.files, self.rows + other.rows, self.values + other.values)


def erase_in_file(
    store: Store, name: str, personal: PersonalData, gone: Mask, ours: Iterable[str] = ()
) -> Erased:
    """Empty the personal columns of some rows of a Parquet file.

    gone: a flag for each row of the file. ours: further columns of the file that aren't personal,
    beside those of the topic.
    """
    if not gone.any():
        return Erased()
    with parquet_file(store, name) as file:
        names = personal.columns(file.schema_arrow, ours)
        rows, values = 0, 0
        for group, within in _groups(file, gone):
            if within.any() and names:
                held = file.read_row_group(group, columns=list(names))
                _, went = personal.emptied(held, within, names)
                rows += int(np.count_nonzero(within)) if went else 0
                values += went
        if values:
            store.write(name, _filled(file, personal, gone, names))
    return Erased(1, rows, values) if values else Erased()


def _filled(
    file: pq.ParquetFile, personal: PersonalData, gone: Mask, names: Sequence[str]
) -> Callable[[BinaryIO], None]:
    def fill(out: BinaryIO) -> None:
        with parquet_writer(out, file.schema_arrow) as writer:
            for group, within in _groups(file, gone):
                emptied, _ = personal.emptied(file.read_row_group(group), within, names)
                writer.write_table(emptied, row_group_size=max(1, emptied.num_rows))

    return fill


def _groups(file: pq.ParquetFile, gone: Mask) -> Iterator[tuple[int, Mask]]:
    at = 0
    for group in range(file.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        yield group, gone[at : at + rows]
        at += rows


@dataclass(frozen=True, slots=True)
class BatchErasure:
    """Erases in the files of one topic's batches.

    after: the number of the last tombstones that were applied before; rows that are gone by newer
    ones are new.
    """

    partitions: Partitions
    topic: Topic
    personal: PersonalData
    silent_until: int | None
    after: int = 0

    def erase(
        self, files: Sequence[StreamFilePath], topic_id: UUID, tombstones: Tombstones
    ) -> tuple[Erased, GoneRows, int]:
        """Erase in the files of one batch.

        Returns what was erased, the places of rows that are gone by a new tombstone, and the last
        append time (UTC ms). Rows are judged in the files of built-in streams, which hold every
        event as it came. Rows of users' streams are found by their place.
        """
        builtin = {builtin_name(self.topic, kind) for kind in KINDS[self.topic.kind].event_types}
        gone, newly, last = _Places(), _Places(), 0
        for path in (path for path in files if path.stream in builtin):
            rows = _read(self.partitions.store, str(path), judged_columns(self.topic.kind))
            facts = facts_of(rows, self.topic.kind, topic_id)
            nobodys = keys_of_nobody(rows, self.topic.kind)
            gone.add(rows, tombstones.gone(facts, self.silent_until) | nobodys)
            newly.add(rows, tombstones.since(self.after).gone(facts, self.silent_until))
            last = max(last, int(facts.appended_at.max(initial=0)))
        offsets, erased = gone.sorted(), Erased()
        for path in files if offsets else ():
            erased += erase_in_file(
                self.partitions.store, str(path), self.personal, self._at(path, offsets)
            )
        return erased, newly.sorted(), last

    def _at(self, path: StreamFilePath, offsets: GoneRows) -> Mask:
        rows = _read(self.partitions.store, str(path), _PLACE)
        partition, offset = (rows[name].to_numpy().astype(np.int64) for name in _PLACE)
        gone = np.zeros(len(partition), np.bool_)
        for number, of_it in offsets.items():
            gone |= (partition == number) & np.isin(offset, of_it)
        return gone


class _Places:
    """Collects the places of rows, by partition."""

    def __init__(self) -> None:
        self._offsets: dict[int, list[npt.NDArray[np.int64]]] = defaultdict(list)

    def add(self, rows: pa.Table, wanted: Mask) -> None:
        partition, offset = (rows[name].to_numpy().astype(np.int64)[wanted] for name in _PLACE)
        for number in np.unique(partition):
            self._offsets[int(number)].append(offset[partition == number])

    def sorted(self) -> GoneRows:
        found = self._offsets.items()
        return {number: np.sort(np.concatenate(offsets)) for number, offsets in found}


def _read(store: Store, name: str, columns: Sequence[str]) -> pa.Table:
    with parquet_file(store, name) as file:
        return file.read(columns=list(columns))
