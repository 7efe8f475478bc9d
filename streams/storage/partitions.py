"""Stored partitions: write a batch's files and coverage, list and choose them, read them.

The order of a write is: stream files, which are durable then; the dead letters (by the caller); the
coverage records. A file that no record names doesn't count. Readers choose records by
`coverage.tile` and clip files to them, so that a batch written twice is read once.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Final
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import PartitionError
from streams.storage.checked import RESTORE_IT, create_checked, read_checked
from streams.storage.coverage import (
    CoverageRecord,
    CoveredFile,
    Fingerprint,
    Tile,
    Tiling,
    tile,
)
from streams.storage.layout import Batch, CoveragePath, StreamFilePath, TopicPartition
from streams.storage.parquet import parquet_writer, write_rows
from streams.storage.readable import type_of, unreadable_columns, why_unreadable
from streams.storage.store import Store, age_of
from streams.storage.stream import Stream
from streams.storage.taken_out import TakenOutRows

META: Final = (
    pa.field("_partition", pa.int32(), nullable=False),
    pa.field("_offset", pa.int64(), nullable=False),
    pa.field("_appended_at", pa.timestamp("ms", tz="UTC"), nullable=False),
)
"""Columns that every stream file has beside those of the event: its place in Kafka and its append
time.
"""

_DAY_MS: Final = 86_400_000
_REMOVE_IT: Final = f"{RESTORE_IT}, or remove it: its offsets are then read from Kafka again"


@dataclass(frozen=True, slots=True)
class FileSlice:
    """A stream's file, and the part of it that counts.

    path: where it is on this machine. clips: the offsets that count, by partition; empty if all
    rows count.
    """

    name: str
    path: Path
    clips: tuple[tuple[int, int, int], ...]  # (partition, first, next)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A tiling of one partition, with the records of its tiles."""

    partition: TopicPartition
    tiling: Tiling
    records: Mapping[CoveragePath, CoverageRecord]

    @property
    def dead_letters(self) -> Iterator[tuple[int, str]]:
        """Offset and reason of each dead letter within the tiles."""
        for piece in self.tiling.tiles:
            for letter in self.records[piece.record].dead_letters:
                if piece.first <= letter.offset < piece.next:
                    yield letter.offset, letter.reason


class UnreadableOutputError(Exception):
    """The output of a stream's own function can't be read back. Nothing was written.

    rows: partition and offset of each such row, with a reason that names the stream and its column.
    """

    def __init__(self, rows: Mapping[tuple[int, int], str]) -> None:
        super().__init__("; ".join(sorted(set(rows.values()))))
        self.rows = rows


class Partitions:
    """Stream files and coverage records in a store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._record = lru_cache(maxsize=65_536)(self._read_record)

    @property
    def taken_out(self) -> TakenOutRows:
        """The rows that were taken out."""
        return TakenOutRows(self.store)

    def write_files(
        self, rows: pa.Table, streams: Sequence[Stream], batch: Batch
    ) -> tuple[StreamRows, ...]:
        """Write the rows of each stream, one file for each stream and UTC day of append.

        rows: the topic's event columns and META, in order of partition and offset. Raises
        UnreadableOutputError, before anything is written, if the engine can't read the output of a
        stream's own function.
        """
        made = {stream.name: _held(rows, stream) for stream in streams if stream.transform}
        _check_output(made)
        written: list[StreamRows] = []
        for stream in streams:
            held = made[stream.name] if stream.name in made else _held(rows, stream)
            for day, table in _by_day(held):
                path = str(StreamFilePath(stream.name, day, batch))
                self.store.write(path, partial(_write_parquet, table))
                written.append(StreamRows(stream.name, path, _rows_by_partition(table)))
        return tuple(written)

    def restore_files(
        self,
        rows: pa.Table,
        streams: Sequence[Stream],
        batch: Batch,
        expected: Mapping[str, Mapping[int, int]],
    ) -> None:
        """Write some files of a batch again, from the rows of the batch.

        expected: for each file's path, how many rows it has of each partition. Raises
        PartitionError, with nothing written, if these rows give other counts or can't be read.
        """
        made = {
            str(StreamFilePath(stream.name, day, batch)): table
            for stream in streams
            for day, table in _by_day(_held(rows, stream))
        }
        for path, counts in expected.items():
            found = _rows_by_partition(made[path]) if path in made else {}
            if found != counts or unreadable_columns(made[path]):
                raise PartitionError(
                    what=f"Kafka gives {sum(found.values())} rows, {sum(counts.values())} were"
                    " stored: an event, or the definitions, have changed",
                    where=path,
                )
        for path in expected:
            self.store.write(path, partial(_write_parquet, made[path]))

    def write_coverage(self, record: CoverageRecord) -> bool:
        """Write a coverage record; False if one with its name exists already."""
        return create_checked(self.store, str(record.path), record.to_json())

    def coverage(self, partition: TopicPartition) -> list[CoveragePath]:
        """Return the names of all coverage records of a partition, in order of offsets."""
        names = self.store.names(CoveragePath.folder(partition))
        return list(CoveragePath.among(names))

    def partitions_of(self, topic: str) -> dict[str, set[int]]:
        """Return the partitions of a topic with coverage, by the topic's UUID (hex with dashes)."""
        found: dict[str, set[int]] = defaultdict(set)
        for path in CoveragePath.among(self.store.names(CoveragePath.folder())):
            if path.partition.topic == topic:
                found[str(path.partition.topic_id)].add(path.partition.partition)
        return found

    def records_of(self, owner: TopicPartition, batch: Batch) -> list[CoveragePath]:
        """Return the names of a batch's coverage records, in all partitions of a topic's
        incarnation.
        """
        names = self.store.names(CoveragePath.folder(owner.incarnation))
        return [path for path in CoveragePath.among(names) if path.batch == batch]

    def record(self, path: CoveragePath) -> CoverageRecord:
        """Return a coverage record. Records never change, so each is read once and cached."""
        return self._record(path)

    def choose(
        self,
        partition: TopicPartition,
        first: int,
        end: int,
        streams: Mapping[str, Fingerprint],
    ) -> Chosen:
        """Choose records that tile `[first, end)`, among those that cover all of these streams."""
        records = {
            path: self._record(path)
            for path in self.coverage(partition)
            if path.next > first and path.first < end
        }
        fitting = [
            path
            for path, record in records.items()
            if all(record.covers(name, fingerprint) for name, fingerprint in streams.items())
        ]
        return self.chosen(partition, tile(fitting, first, end))

    def chosen(self, partition: TopicPartition, tiling: Tiling) -> Chosen:
        """Load the records of an earlier tiling, by which a recorded close finds its rows again."""
        return Chosen(partition, tiling, {t.record: self._record(t.record) for t in tiling.tiles})

    def slices(self, stream: str, chosen: Iterable[Chosen]) -> tuple[FileSlice, ...]:
        """Return the files of a stream that these choices name, each with the part that counts."""
        clips: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
        unclipped: dict[str, int] = defaultdict(int)
        totals: dict[str, int] = {}
        for choice in chosen:
            for piece in choice.tiling.tiles:
                for file in choice.records[piece.record].files:
                    if file.stream == stream and file.rows:
                        clips[file.path].append(
                            (choice.partition.partition, piece.first, piece.next)
                        )
                        unclipped[file.path] += file.rows if _is_unclipped(piece) else 0
                        totals[file.path] = file.file_rows
        names = sorted(clips)
        return tuple(
            FileSlice(
                name, path, () if unclipped[name] == totals[name] else tuple(sorted(clips[name]))
            )
            for name, path in zip(names, self.store.local(names), strict=True)
        )

    def topics_of_batches(self) -> dict[Batch, tuple[str, UUID]]:
        """Return topic name and topic id of every batch that a coverage record names."""
        found = {}
        for path in CoveragePath.among(self.store.names(CoveragePath.folder())):
            if not path.is_passed_over:  # nothing is stored of passed-over offsets
                found[path.batch] = path.partition.topic, path.partition.topic_id
        return found

    def files_of_batches(self) -> dict[Batch, list[StreamFilePath]]:
        """Return all files of streams by batch, including streams that are no longer defined."""
        found: dict[Batch, list[StreamFilePath]] = defaultdict(list)
        for path in StreamFilePath.among(self.store.names(StreamFilePath.folder())):
            found[path.batch].append(path)
        return found

    def sweep(self, older_than: float) -> int:
        """Remove what crashes left more than `older_than` seconds ago; return how many files.

        These are files that no coverage record names, and half-written files. Younger files may
        belong to a batch that is being written, as its record comes last. `older_than` must be well
        above the longest time that a worker tries to write a batch.
        """
        store = self.store
        streams, coverage = StreamFilePath.folder(), CoveragePath.folder()
        half = [store.remove_unfinished(folder, older_than) for folder in (streams, coverage)]
        whole = list(StreamFilePath.among(store.names(streams)))
        # Listed after the files, so that a record written meanwhile belongs to a younger batch.
        # Names of files and records have the batch, so no record need be read.
        found = {name: CoveragePath.match(name) for name in store.names(coverage)}
        covered = {path.batch for path in found.values() if path is not None}
        # A record that a person renamed still protects its files.
        others = "\n".join(name for name, path in found.items() if path is None)
        loose = (path for path in whole if path.batch not in covered and path.batch not in others)
        old = [name for name in map(str, loose) if age_of(store, name) > older_than]
        for name in old:
            store.remove(name)
        return sum(half) + len(old)

    def _read_record(self, path: CoveragePath) -> CoverageRecord:
        return read_checked(
            self.store,
            str(path),
            partial(CoverageRecord.from_json, path),
            kind="this coverage record",
            hint=RESTORE_IT if path.is_passed_over else _REMOVE_IT,
        )


@dataclass(frozen=True, slots=True)
class StreamRows:
    """A file that a batch wrote: its stream, its path, and how many rows of each partition."""

    stream: str
    path: str
    rows: Mapping[int, int]

    def as_seen_by(self, partition: int) -> CoveredFile:
        """Return the entry of this file in one partition's coverage record."""
        return CoveredFile(
            self.stream, self.path, self.rows.get(partition, 0), sum(self.rows.values())
        )


def _is_unclipped(piece: Tile) -> bool:
    return (piece.first, piece.next) == (piece.record.first, piece.record.next)


def _held(rows: pa.Table, stream: Stream) -> pa.Table:
    held = rows
    for column, wanted in (
        ("eventType", stream.event_types),
        ("source", stream.sources),
    ):
        if wanted:
            held = held.filter(pc.is_in(held.column(column), pa.array(sorted(wanted))))
    if stream.transform is not None:
        batches = [stream.transform(batch) for batch in held.combine_chunks().to_batches()]
        held = pa.Table.from_batches(batches) if batches else held
    return held


def _check_output(made: Mapping[str, pa.Table]) -> None:
    refused: dict[tuple[int, int], str] = {}
    for stream, rows in made.items():
        why = f"stream '{stream}' makes of it what can't be stored"
        refused = {**refusals(rows, why), **refused}
    if refused:
        raise UnreadableOutputError(refused)


def refusals(rows: pa.Table, why: str) -> dict[tuple[int, int], str]:
    """Return why the engine can't read back a row, by partition and offset; rows without faults
    aren't there.
    """
    found = unreadable_columns(rows)
    refused: dict[tuple[int, int], str] = {}
    for name, mask in found.items():
        places = rows.select([META[0].name, META[1].name]).filter(pa.array(mask)).to_pylist()
        reason = f"{why}: field '{name}' is {why_unreadable(type_of(rows.schema, name))}"
        for place in places:
            refused.setdefault((place[META[0].name], place[META[1].name]), reason)
    return refused


def _by_day(rows: pa.Table) -> Iterator[tuple[dt.date, pa.Table]]:
    if not rows.num_rows:
        return
    appended = rows.column("_appended_at").cast(pa.int64()).to_numpy() // _DAY_MS
    for day in np.unique(appended):
        date = dt.date(1970, 1, 1) + dt.timedelta(days=int(day))
        whole = bool((appended == day).all())
        yield date, rows if whole else rows.filter(pa.array(appended == day))


def _rows_by_partition(rows: pa.Table) -> dict[int, int]:
    partitions, counts = np.unique(rows.column("_partition").to_numpy(), return_counts=True)
    return {int(p): int(n) for p, n in zip(partitions, counts, strict=True)}


def _write_parquet(rows: pa.Table, file: object) -> None:
    with parquet_writer(file, rows.schema) as writer:
        write_rows(writer, rows)
