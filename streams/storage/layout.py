"""Names of the files that a batch leaves behind: values that parse and format themselves.

No other module joins or splits such a path. Numbers are zero-padded, so that the order of names
is the order of offsets, and `parse(str(path)) == path` holds for every path.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import Final, TypeAlias
from uuid import UUID

from schemas.errors import PartitionError

_TOMBSTONES: Final = re.compile(
    r"erasure/tombstones/(?P<topic>[^/]+)/(?P<number>[0-9]{20})\.parquet"
)
_BATCH: Final = re.compile(r"[0-9a-z]+")
_SET_ASIDE: Final = re.compile(r"set-aside/(?P<topic>[^/~]+)~(?P<id>[^/]+)/(?P<number>[0-9]{6})")
_TAKEN_OUT: Final = re.compile(
    r"taken-out/(?P<topic>[^/~]+)~(?P<id>[0-9a-f-]{36})/(?P<partition>[0-9]+)/(?P<offset>[0-9]{20})\.json"
)
_OFFSET_DIGITS: Final = 20  # a Kafka offset is a signed 64-bit integer: 19 digits at most
_PARTITION_DIGITS: Final = 6

Batch: TypeAlias = str
"""Identifier of what a worker flushed of one topic at once; unique, in letters and digits."""

PASSED_OVER: Final = "passedover"
"""The batch of records of offsets that a person has passed over: no worker's begins like that, and
there is one of the same offsets at most.
"""


@dataclass(frozen=True, slots=True, order=True)
class TopicPartition:
    """One partition of one incarnation of a topic (a re-created topic has another `topic_id`)."""

    topic: str
    topic_id: UUID
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}~{self.topic_id}/{self.partition:0{_PARTITION_DIGITS}d}"

    @property
    def folder(self) -> str:
        """Folder of this partition's coverage records, relative to the root."""
        return f"coverage/{self}"


@dataclass(frozen=True, slots=True, order=True)
class CoveragePath:
    """Name of a coverage record: the offsets `[first, next)` of a partition that a batch covers."""

    partition: TopicPartition
    first: int
    next: int
    batch: Batch

    @property
    def is_passed_over(self) -> bool:
        """Whether a person has passed these offsets over: nothing is stored of them."""
        return self.batch == PASSED_OVER

    def __str__(self) -> str:
        first, end = (f"{offset:0{_OFFSET_DIGITS}d}" for offset in (self.first, self.next))
        return f"{self.partition.folder}/{first}-{end}-{self.batch}"

    @classmethod
    def parse(cls, path: str) -> CoveragePath:
        """Read a path relative to the root; raises PartitionError where it is none."""
        try:
            kind, topic, partition, name = path.split("/")
            topic_name, topic_id = topic.split("~")
            first, end, batch = name.split("-")
            if kind != "coverage" or not _BATCH.fullmatch(batch):
                raise ValueError(path)
            owner = TopicPartition(topic_name, UUID(topic_id), int(partition))
            return cls(owner, int(first), int(end), batch)
        except ValueError:
            raise PartitionError(
                what=f"{path!r} is not the name of a coverage record",
                hint="expected coverage/TOPIC~UUID/PARTITION/FIRST-NEXT-BATCH",
            ) from None


@dataclass(frozen=True, slots=True, order=True)
class SetAsidePath:
    """Name of the file that says why a partition is set aside."""

    partition: TopicPartition

    def __str__(self) -> str:
        return f"set-aside/{self.partition}"

    @classmethod
    def parse(cls, path: str) -> SetAsidePath:
        """Read a path relative to the root; raises PartitionError where it is none."""
        try:
            found = _SET_ASIDE.fullmatch(path)
            if found is None:
                raise ValueError(path)
            owner = TopicPartition(found["topic"], UUID(found["id"]), int(found["number"]))
        except ValueError:
            raise PartitionError(
                what=f"{path!r} is not the name of a partition that is set aside",
                hint="expected set-aside/TOPIC~UUID/PARTITION",
            ) from None
        return cls(owner)


@dataclass(frozen=True, slots=True, order=True)
class StreamFilePath:
    """Name of a Parquet file: one batch's rows of one stream, of one UTC day of append."""

    stream: str
    day: dt.date
    batch: Batch

    def __str__(self) -> str:
        return f"streams/{self.stream}/day={self.day.isoformat()}/{self.batch}.parquet"

    @classmethod
    def parse(cls, path: str) -> StreamFilePath:
        """Read a path relative to the root; raises PartitionError where it is none."""
        try:
            kind, stream, day, name = path.split("/")
            batch = name.removesuffix(".parquet")
            if kind != "streams" or not day.startswith("day=") or not _BATCH.fullmatch(batch):
                raise ValueError(path)
            if batch == name:
                raise ValueError(path)
            return cls(stream, dt.date.fromisoformat(day.removeprefix("day=")), batch)
        except ValueError:
            raise PartitionError(
                what=f"{path!r} is not the name of a stream's file",
                hint="expected streams/STREAM/day=YYYY-MM-DD/BATCH.parquet",
            ) from None


@dataclass(frozen=True, slots=True, order=True)
class TombstonesPath:
    """Name of a file of tombstones: the deletions of a profile topic that one erase pass found."""

    topic: str
    number: int

    def __str__(self) -> str:
        return f"{tombstones_folder(self.topic)}/{self.number:0{_OFFSET_DIGITS}d}.parquet"

    @classmethod
    def parse(cls, path: str) -> TombstonesPath:
        """Read a path relative to the root; raises PartitionError where it is none."""
        found = _TOMBSTONES.fullmatch(path)
        if found is None:
            raise PartitionError(
                what=f"{path!r} is not the name of a file of tombstones",
                hint="expected erasure/tombstones/TOPIC/NUMBER.parquet",
            )
        return cls(found["topic"], int(found["number"]))


@dataclass(frozen=True, slots=True, order=True)
class TakenOutPath:
    """Name of the record that a stored row was taken out, and of the place where the row stands."""

    partition: TopicPartition
    offset: int

    def __str__(self) -> str:
        folder = taken_out_folder(self.partition.topic, self.partition.topic_id)
        number = f"{self.partition.partition:0{_PARTITION_DIGITS}d}"
        return f"{folder}/{number}/{self.offset:0{_OFFSET_DIGITS}d}.json"

    @classmethod
    def parse(cls, path: str) -> TakenOutPath:
        """Read a path relative to the root; raises PartitionError where it is none."""
        found = _TAKEN_OUT.fullmatch(path)
        if found is None:
            raise PartitionError(
                what=f"{path!r} is not the name of a record of a row that was taken out",
                hint="expected taken-out/TOPIC~UUID/PARTITION/OFFSET.json",
            )
        owner = TopicPartition(found["topic"], UUID(found["id"]), int(found["partition"]))
        return cls(owner, int(found["offset"]))


def taken_out_folder(topic: str, topic_id: UUID) -> str:
    """Folder of what was taken out of one incarnation of a topic, relative to the root."""
    return f"taken-out/{topic}~{topic_id}"


def tombstones_folder(topic: str) -> str:
    """Folder of a profile topic's tombstones, relative to the root."""
    return f"erasure/tombstones/{topic}"


def settled_name(topic: str) -> str:
    """Name of the file that lists what was erased already, of a profile topic's database."""
    return f"erasure/settled/{topic}.parquet"
