"""Stored partitions: their coverage records, and the files that these name.

A file that no record names doesn't count. Readers choose records by `coverage.tile` and clip files
to them, so that a batch written twice is read once. `stream_files` writes the files.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Final
from uuid import UUID

from streams.storage.checked import RESTORE_IT, create_checked, read_checked
from streams.storage.coverage import (
    CoverageRecord,
    Fingerprint,
    Tile,
    Tiling,
    tile,
)
from streams.storage.layout import Batch, CoveragePath, StreamFilePath, TopicPartition
from streams.storage.store import Store, age_of
from streams.storage.taken_out import TakenOutRows

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


class Partitions:
    """Stream files and coverage records in a store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._record = lru_cache(maxsize=65_536)(self._read_record)

    @property
    def taken_out(self) -> TakenOutRows:
        """The rows that were taken out."""
        return TakenOutRows(self.store)

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


def _is_unclipped(piece: Tile) -> bool:
    return (piece.first, piece.next) == (piece.record.first, piece.record.next)
