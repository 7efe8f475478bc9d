"""Let closes and workers go on without what can't be read: by a person's word, with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sinks.repair.pass_over import PassedOverNow, PassingOver
from sinks.repair.taking_out import TakeOut, TakeOutResult
from sinks.setup import Sinks
from streams.recovery.restoring import Restorer
from streams.setup import Streams

__all__ = ["PassOverRequest", "TakeOutRequest", "pass_over_offsets", "take_out_rows"]


@dataclass(frozen=True, slots=True)
class PassOverRequest:
    """A partition that is set aside, the offset to read on from, and why."""

    topic: str
    partition: int
    to: int
    reason: str


@dataclass(frozen=True, slots=True)
class TakeOutRequest:
    """Rows of a partition, and why; offsets None: all that can't be read."""

    topic: str
    partition: int
    offsets: Sequence[int] | None
    reason: str


def pass_over_offsets(sinks: Sinks, request: PassOverRequest) -> PassedOverNow:
    """Let a partition go on without the offsets that can't be read.

    Raises WrongInputError where that can't be, CloseError or PartitionError where Kafka can't be
    asked.
    """
    streams = sinks.streams
    passing = PassingOver(streams.partitions, streams.topics, streams.kafka, sinks.offsets)
    return passing.until(request.topic, request.partition, request.to, request.reason)


def take_out_rows(streams: Streams, request: TakeOutRequest) -> TakeOutResult:
    """Take out stored rows that can't be read.

    Raises WrongInputError, with nothing done, where one of them can be read or isn't stored;
    UnreadableFilesError where a file can't be read at all.
    """
    restorer = Restorer(streams.partitions, streams.writers, streams.range_reader)
    work = TakeOut(streams.partitions, restorer)
    if request.offsets is None:
        return work.all_unreadable(request.topic, request.partition, request.reason)
    return work.rows(request.topic, request.partition, request.offsets, request.reason)
