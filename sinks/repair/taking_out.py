"""Take out stored rows that can't be read (SPEC §6, *One trouble, one place*).

A record is written first, then the files are made readable; a killed run is run again. Rows that
can be read are refused, so that nobody can withhold a fact this way.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final
from uuid import UUID

import structlog

from schemas.definitions.definitions import choices
from schemas.errors import DeltadropError, Fault, UnreadableFilesError, WrongInputError
from schemas.json_result import JsonResult
from schemas.one_line import joined
from sinks.wording import counted
from streams.recovery.restoring import Restorer
from streams.recovery.unreadable import Scanned, make_readable, offsets_in, scanned
from streams.storage.layout import CoveragePath, TakenOutPath, TopicPartition
from streams.storage.partitions import Partitions
from streams.storage.taken_out import TakenOut

__all__ = ["TakeOut", "TakeOutResult", "TakenOutReport", "TakenOutRow"]

log = structlog.get_logger(__name__)

_RESTORE: Final = "restore it from a backup of the root, then run again what failed"


@dataclass(frozen=True, slots=True)
class TakenOutRow(JsonResult):
    """A row that was taken out, by this run or before."""

    topic: str
    """The topic."""
    topic_id: str
    """The topic's id: another where it was created again."""
    partition: int
    """The partition."""
    offset: int
    """The offset of the row's event."""
    columns: tuple[str, ...]
    """The columns that can't be read."""
    reason: str
    """Why it was taken out."""
    taken_out_at: str
    """When it was taken out."""
    was_taken_out_before: bool
    """Whether it was taken out before this run."""


@dataclass(frozen=True, slots=True)
class TakenOutReport(JsonResult):
    """The result of taking rows out, for scripts."""

    rows: tuple[TakenOutRow, ...]
    """The rows that were taken out, now or before."""
    files: tuple[str, ...]
    """Files that were made readable."""
    restored: tuple[str, ...]
    """Files that were written again from Kafka's events."""
    left: tuple[str, ...]
    """Files that still can't be read at all, and why."""


@dataclass(frozen=True, slots=True)
class TakeOutResult:
    """The result of taking rows out.

    rows: taken out now. before: taken out before. files: made readable. restored: written again
    from Kafka's events. left: why other files can't be read at all.
    """

    place: str
    rows: tuple[TakenOut, ...]
    before: tuple[TakenOut, ...]
    files: tuple[str, ...]
    restored: tuple[str, ...] = ()
    left: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the object that `--json` prints: a `TakenOutReport`."""
        rows = [_row(row, before=False) for row in self.rows]
        rows += [_row(row, before=True) for row in self.before]
        return TakenOutReport(tuple(rows), self.files, self.restored, self.left).to_json()

    def __str__(self) -> str:
        """For people."""
        return joined(self._lines())

    def _lines(self) -> Iterator[str]:
        for row in self.rows:
            columns = ", ".join(row.columns)
            yield f"{self.place}, offset {row.path.offset} ({columns}): taken out: {row.reason}"
        for row in self.before:
            offset, when = row.path.offset, row.taken_out_at
            yield f"{self.place}, offset {offset}: was taken out before, {when}: {row.reason}"
        if not (self.rows or self.before or self.restored or self.left):
            yield f"{self.place}: all rows can be read, nothing is taken out"
        elif self.rows:
            singular, plural = "it counts as a dead letter", "they count as dead letters"
            counts = singular if len(self.rows) == 1 else plural
            yield f"{counts} in each drop of which nothing was delivered yet"
        if self.files:
            yield f"made readable: {counted(len(self.files), 'file')}"
        for file in self.restored:
            yield f"read again from Kafka: {file}"
        for reason in self.left:
            yield f"NOT DONE: {reason}"


@dataclass(frozen=True, slots=True)
class TakeOut:
    """Takes rows out. restorer: writes files again of which nothing can be read."""

    partitions: Partitions
    restorer: Restorer

    def rows(
        self, topic: str, partition: int, offsets: Iterable[int], reason: str
    ) -> TakeOutResult:
        """Take out these rows; doing it again is safe, and finishes a killed run.

        Raises WrongInputError, with nothing changed, if a row isn't stored, is a dead letter, has
        no event, or can be read. Raises UnreadableFilesError if a file can't be read at all.
        """
        owners, faults = self._owners(topic, partition), []
        seen = _Look(self.partitions)
        found: dict[TakenOutPath, _Found] = {}
        for offset in sorted(set(offsets)):
            looks = [seen.at(TakenOutPath(owner, offset)) for owner in owners]
            ours = [look for look in looks if not look.fault]
            if ours:
                found[ours[0].path] = ours[0]
            else:
                where = f"{topic}/{partition}, offset {offset}"
                faults.append(Fault(where, looks[0].fault, looks[0].hint))
        if faults:
            raise WrongInputError(faults)
        return self._take_out(f"{topic}/{partition}", found, reason)

    def all_unreadable(self, topic: str, partition: int, reason: str) -> TakeOutResult:
        """Take out every unreadable row of a partition, after a look through all its files.

        Missing and broken files are written again from Kafka, if it still has their events; the
        result names the others. Raises WrongInputError if no such partition is stored.
        """
        found: dict[TakenOutPath, _Found] = {}
        restored: list[str] = []
        left: list[str] = []
        for owner in self._owners(topic, partition):
            look = _Look(self.partitions)
            for offset in look.unreadable(owner):
                row = look.at(TakenOutPath(owner, offset))
                found[row.path] = row
            for file, why in look.broken.items():
                try:
                    self.restorer.restore(owner, [file])
                    restored.append(file)
                except DeltadropError as error:
                    left.append(f"{file}: {why}; {error.reason(described=file)}; {_RESTORE}")
        done = self._take_out(f"{topic}/{partition}", found, reason)
        return replace(done, restored=tuple(restored), left=tuple(left))

    def _owners(self, topic: str, partition: int) -> list[TopicPartition]:
        """Return the partition of each stored incarnation of its topic."""
        stored = self.partitions.partitions_of(topic)
        if not stored:
            hint = choices(topic, sorted(self.restorer.writers))
            raise WrongInputError([Fault("TOPIC", f"nothing is stored of topic '{topic}'", hint)])
        owners = [
            TopicPartition(topic, UUID(topic_id), partition)
            for topic_id, numbers in sorted(stored.items())
            if partition in numbers
        ]
        if not owners:
            numbers = ", ".join(map(str, sorted(set().union(*stored.values()))))
            what = f"nothing is stored of partition {partition} of topic '{topic}'"
            raise WrongInputError([Fault("PARTITION", what, f"choose from {numbers}")])
        return owners

    def _take_out(
        self, place: str, found: dict[TakenOutPath, _Found], reason: str
    ) -> TakeOutResult:
        rows, before = [], []
        by_file: dict[tuple[str, int], list[int]] = defaultdict(list)
        for path, row in found.items():
            recorded = self.partitions.taken_out.of(path)
            if recorded is not None:
                before.append(recorded)
            else:
                taken = TakenOut(path, reason, _now(), row.columns)
                rows.append(self.partitions.taken_out.record(taken))
                log.info("row taken out", row=str(path), columns=row.columns, reason=reason)
            for file in row.files:
                by_file[file, path.partition.partition].append(path.offset)
        store = self.partitions.store
        mended = [
            file
            for (file, partition), offsets in sorted(by_file.items())
            if make_readable(store, file, partition, offsets)
        ]
        return TakeOutResult(place, tuple(rows), tuple(before), tuple(dict.fromkeys(mended)))


@dataclass(frozen=True, slots=True)
class _Found:
    """A stored row: the files and columns where it can't be read, or why it can't be taken out."""

    path: TakenOutPath
    columns: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    fault: str = ""
    hint: str = ""


class _Look:
    """Looks at stored files, each only once. broken: why files can't be read at all, by name."""

    def __init__(self, partitions: Partitions) -> None:
        self.broken: dict[str, str] = {}
        self._partitions = partitions
        self._scanned = cache(self._scan)
        self._coverage = cache(partitions.coverage)
        self._offsets = cache(self._read_offsets)

    def at(self, path: TakenOutPath) -> _Found:
        """Look at one row; see `_Found`."""
        owner, offset = path.partition, path.offset
        coverage = self._coverage(owner)
        records = [record for record in coverage if record.first <= offset < record.next]
        if not records:
            return _Found(path, fault="isn't stored", hint="`deltadrop status` says up to where")
        files: list[str] = []
        columns: list[str] = []
        for file in self._files(records):
            for row in self._scanned(file).rows:
                if (row.partition, row.offset) == (owner.partition, offset):
                    files.append(file)
                    columns += row.columns
        if files or self._partitions.taken_out.of(path) is not None:
            return _Found(path, tuple(dict.fromkeys(columns)), tuple(files))
        return self._readable(path, records)

    def unreadable(self, owner: TopicPartition) -> list[int]:
        """Return the offsets of all rows of a partition that can't be read."""
        files = self._files(self._coverage(owner))
        rows = (row for file in files for row in self._scanned(file).rows)
        return sorted({row.offset for row in rows if row.partition == owner.partition})

    def _readable(self, path: TakenOutPath, records: Sequence[CoveragePath]) -> _Found:
        owner, offset = path.partition, path.offset
        files = [file for file in self._files(records) if file not in self.broken]
        if any(offset in self._offsets(file, owner) for file in files):
            hint = "only what can't be read is taken out; `deltadrop trace` says where it went"
            return _Found(path, fault="can be read", hint=hint)
        for record in records:
            for letter in self._partitions.record(record).dead_letters:
                if letter.offset == offset:
                    hint = "it is in no drop; `deltadrop dead-letters show` has it"
                    return _Found(
                        path, fault=f"is a dead letter already: {letter.reason}", hint=hint
                    )
        if self.broken:
            raise UnreadableFilesError(
                what="; ".join(f"{file}: {why}" for file, why in self.broken.items()),
                where=f"{owner.topic}/{owner.partition}, offset {offset}",
                hint=f"to read it again from Kafka: --all-unreadable instead; or {_RESTORE}",
            )
        return _Found(path, fault="has no event", hint="Kafka has offsets that hold none")

    def _files(self, records: Iterable[CoveragePath]) -> list[str]:
        """Return the files that coverage records name, of all streams."""
        named = (
            file.path
            for record in records
            for file in self._partitions.record(record).files
            if file.rows
        )
        return list(dict.fromkeys(named))

    def _scan(self, file: str) -> Scanned:
        (path,) = self._partitions.store.local([file])
        found = scanned(path)
        if found.broken:
            self.broken[file] = found.broken
        return found

    def _read_offsets(self, file: str, owner: TopicPartition) -> frozenset[int]:
        (path,) = self._partitions.store.local([file])
        found = offsets_in(path, owner.partition)
        return frozenset(found.tolist())


def _row(row: TakenOut, *, before: bool) -> TakenOutRow:
    owner = row.path.partition
    return TakenOutRow(
        owner.topic,
        str(owner.topic_id),
        owner.partition,
        row.path.offset,
        row.columns,
        row.reason,
        row.taken_out_at,
        before,
    )


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
