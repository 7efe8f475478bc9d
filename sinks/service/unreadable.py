"""Let closes and workers continue without what can't be read. A person decides it and gives a
reason.
"""

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
    """A partition that is set aside, the offset at which to continue, and the reason."""

    topic: str
    partition: int
    to: int
    reason: str


@dataclass(frozen=True, slots=True)
class TakeOutRequest:
    """Rows of a partition, and the reason. offsets: None for all rows that can't be read."""

    topic: str
    partition: int
    offsets: Sequence[int] | None
    reason: str


def pass_over_offsets(sinks: Sinks, request: PassOverRequest) -> PassedOverNow:
    """Let a partition continue without the offsets that can't be read.

    Raises WrongInputError if these offsets can't be passed over, CloseError or PartitionError if
    Kafka doesn't answer.
    """
    streams = sinks.streams
    passing = PassingOver(streams.partitions, streams.topics, streams.kafka, sinks.offsets)
    return passing.until(request.topic, request.partition, request.to, request.reason)


def take_out_rows(streams: Streams, request: TakeOutRequest) -> TakeOutResult:
    """Take out stored rows that can't be read.

    Raises WrongInputError, with nothing changed, if a row can be read or isn't stored;
    UnreadableFilesError if a file can't be read at all.
    """
    restorer = Restorer(streams.partitions, streams.writers, streams.range_reader)
    work = TakeOut(streams.partitions, restorer)
    if request.offsets is None:
        return work.all_unreadable(request.topic, request.partition, request.reason)
    return work.rows(request.topic, request.partition, request.offsets, request.reason)
