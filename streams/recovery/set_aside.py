"""Partitions that are set aside as they can't continue (SPEC §6, *One trouble, one place*).

The reader that finds the trouble sets the partition aside, `status` shows it, and a person may pass
the offsets over. The reason is in a small file with the partition's name. It counts until coverage
includes the offset in it, because the offset was stored or passed over.
"""

from __future__ import annotations

import datetime as dt
import getpass
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from streams.storage.coverage import CoverageRecord, PassedOver, tile
from streams.storage.layout import PASSED_OVER, CoveragePath, Owner, TopicPartition
from streams.storage.partitions import Partitions
from streams.storage.paths import StoredPath

if TYPE_CHECKING:
    from streams.reading.fetch import UnreadableBatchError

__all__ = [
    "SetAside",
    "SetAsidePath",
    "SetAsides",
    "pass_over",
    "passed_over_until",
    "set_aside_by",
]


@dataclass(frozen=True, slots=True, order=True)
class SetAsidePath(StoredPath):
    """Name of the file with the reason why a partition is set aside."""

    TEMPLATE: ClassVar = "set-aside/{partition}"
    WHAT: ClassVar = "a partition that is set aside"

    partition: Owner


@dataclass(frozen=True, slots=True)
class SetAside:
    """A partition that can't continue from `offset`, and why. hint: what would mend it.

    next_offset: the first offset behind the trouble; None if it is unknown. since: ISO 8601, UTC.
    """

    partition: TopicPartition
    offset: int
    next_offset: int | None
    reason: str
    hint: str
    since: str

    @property
    def where(self) -> str:
        """Topic and partition, for people."""
        return f"{self.partition.topic}/{self.partition.partition}"

    @property
    def command(self) -> str:
        """The command that lets the partition continue without the offsets that can't be read."""
        to = "OFFSET" if self.next_offset is None else self.next_offset
        place = f"{self.partition.topic} {self.partition.partition}"
        return f"deltadrop pass-over {place} --to {to} --reason '…'"

    @property
    def settled_by(self) -> str:
        """The ways to settle it: what would mend it, and the command that passes it over."""
        over = f"to go on without it: {self.command}"
        return f"{self.hint}; {over}" if self.hint else over

    def to_json(self) -> bytes:
        """Serialise all but the partition, which is in the name."""
        fields = {
            "offset": self.offset,
            "next_offset": self.next_offset,
            "reason": self.reason,
            "hint": self.hint,
            "since": self.since,
        }
        return (json.dumps(fields, indent=1) + "\n").encode()

    @classmethod
    def from_json(cls, partition: TopicPartition, content: bytes) -> SetAside:
        """Read back what `to_json` wrote."""
        fields = json.loads(content)
        names = ("offset", "next_offset", "reason", "hint", "since")
        return cls(partition, *(fields[name] for name in names))


@dataclass(frozen=True, slots=True)
class SetAsides:
    """The partitions that are set aside in a store."""

    partitions: Partitions

    def record(self, found: SetAside) -> SetAside:
        """Record that a partition is set aside, and return the record that counts.

        An existing record stays if it has the same offset or an earlier one.
        """
        known = self.of(found.partition)
        if known is not None and known.offset <= found.offset:
            return known
        name, content = str(SetAsidePath(found.partition)), found.to_json()
        self.partitions.store.write(name, lambda file: file.write(content))
        return found

    def of(self, partition: TopicPartition) -> SetAside | None:
        """Return why a partition is set aside; None if it isn't, or isn't any more."""
        found = self._read(partition)
        if found is None:
            return None
        paths = self.partitions.coverage(partition)
        is_covered = any(path.first <= found.offset < path.next for path in paths)
        return None if is_covered else found

    def all(self) -> Iterator[SetAside]:
        """Yield all partitions that are set aside, by name; other files there are left out."""
        for path in SetAsidePath.among(self.partitions.store.names(SetAsidePath.folder())):
            found = self.of(path.partition)
            if found is not None:
                yield found

    def forget(self, partition: TopicPartition) -> None:
        """Remove the record of a partition; nothing happens if there is none."""
        self.partitions.store.remove(str(SetAsidePath(partition)))

    def _read(self, partition: TopicPartition) -> SetAside | None:
        try:
            content = self.partitions.store.read(str(SetAsidePath(partition)))
            return SetAside.from_json(partition, content)
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None  # unparsable: it is written again when the trouble is found again


def set_aside_by(error: UnreadableBatchError, partition: TopicPartition, at: int) -> SetAside:
    """Return the record that a batch that can't be read sets its partition aside.

    at: the offset before which everything was read.
    """
    behind = error.next_offset if error.next_offset > at else None
    offset = max(error.offset, at)
    return SetAside(partition, offset, behind, error.what, error.hint, _now())


def pass_over(
    partitions: Partitions, partition: TopicPartition, first: int, end: int, reason: str
) -> list[CoverageRecord]:
    """Pass over the offsets of `[first, end)` that aren't stored; return the records that say so.

    Stored offsets stay. Doing it again, or twice at the same time, changes nothing.
    """
    why = PassedOver(reason, getpass.getuser(), _now())
    written = []
    for hole in tile(partitions.coverage(partition), first, end).holes:
        path = CoveragePath(partition, hole.first, hole.next, PASSED_OVER)
        partitions.write_coverage(CoverageRecord(path, {}, (), (), None, why))
        written.append(partitions.record(path))
    return written


def passed_over_until(partitions: Partitions, partition: TopicPartition, offset: int) -> int:
    """Return where to continue reading: behind the offsets that were passed over from `offset` on.

    If none were, it is `offset` itself.
    """
    for path in partitions.coverage(partition):  # in order of offsets
        if path.is_passed_over and path.first <= offset < path.next:
            offset = path.next
    return offset


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
