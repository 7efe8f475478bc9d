"""Names of the files of a batch, and of the records about its rows.

Numbers are zero-padded, so that the order of names is the order of offsets.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, ClassVar, Final, TypeAlias
from uuid import UUID

from streams.storage.paths import NamePart, StoredPath

__all__ = [
    "PASSED_OVER",
    "Batch",
    "CoveragePath",
    "Owner",
    "StreamFilePath",
    "TakenOutPath",
    "TopicPartition",
]

Batch: TypeAlias = Annotated[str, NamePart("[0-9a-z]+")]
"""Identifier of what a worker flushed of one topic at once: unique, of letters and digits."""

PASSED_OVER: Final = "passedover"
"""The batch of records of passed-over offsets. No worker's batch has this name, and there is at
most one such record of the same offsets.
"""


@dataclass(frozen=True, slots=True, order=True)
class TopicPartition:
    """One partition of one incarnation of a topic (a re-created topic has another `topic_id`)."""

    topic: str
    topic_id: UUID
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}~{self.topic_id}/{self.partition:06d}"

    @property
    def incarnation(self) -> str:
        """The topic and its id, as they are in the file names of all its partitions."""
        return f"{self.topic}~{self.topic_id}"


@lru_cache(maxsize=4096)
def _owner(text: str) -> TopicPartition:
    """Parse the text of a partition, the inverse of `str`; raises ValueError."""
    topic, _, rest = text.partition("~")
    topic_id, _, partition = rest.partition("/")
    return TopicPartition(topic, UUID(topic_id), int(partition))


Owner: TypeAlias = Annotated[
    TopicPartition,
    NamePart(
        "[^/~]+~[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/[0-9]{6}",
        _owner,
        shape="TOPIC~UUID/PARTITION",
    ),
]
"""The partition of a file, as a part of its name."""


@dataclass(frozen=True, slots=True, order=True)
class CoveragePath(StoredPath):
    """Name of a coverage record: the offsets `[first, next)` of a partition that a batch covers."""

    TEMPLATE: ClassVar = "coverage/{partition}/{first:020d}-{next:020d}-{batch}"
    WHAT: ClassVar = "a coverage record"

    partition: Owner
    first: int
    next: int
    batch: Batch

    @property
    def is_passed_over(self) -> bool:
        """Whether a person has passed over these offsets: nothing is stored of them."""
        return self.batch == PASSED_OVER


@dataclass(frozen=True, slots=True, order=True)
class StreamFilePath(StoredPath):
    """Name of a Parquet file: one batch's rows of one stream, of one UTC day of append."""

    TEMPLATE: ClassVar = "streams/{stream}/day={day}/{batch}.parquet"
    WHAT: ClassVar = "a stream's file"

    stream: str
    day: dt.date
    batch: Batch


@dataclass(frozen=True, slots=True, order=True)
class TakenOutPath(StoredPath):
    """Name of the record that a stored row was taken out; it says where the row is."""

    TEMPLATE: ClassVar = "taken-out/{partition}/{offset:020d}.json"
    WHAT: ClassVar = "a record of a row that was taken out"

    partition: Owner
    offset: int
