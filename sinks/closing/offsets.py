"""Look-ups in Kafka for a close: offsets by time, the ends of a log, and append times."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from kafka import KafkaConsumer
from kafka import TopicPartition as KafkaPartition

from schemas.errors import CloseError
from schemas.settings.kafka import KafkaSettings
from schemas.settings.reachable import errors_as, wait_until_reachable
from streams.reading.kafka import plain_consumer

if TYPE_CHECKING:
    from sinks.closing.append_runs import Runs

__all__ = ["KafkaOffsets", "OffsetAtTime", "Offsets"]


@dataclass(frozen=True, slots=True)
class OffsetAtTime:
    """The first offset at or after an instant, in a log of `[start, end)`; `end` if there is none.

    appended_at: its append time in UTC milliseconds; None if there is no such record.
    """

    offset: int
    start: int
    end: int
    appended_at: int | None = None

    @property
    def sure(self) -> bool:
        """Whether no earlier record can have been at or after the instant.

        Kafka may have removed records before the log's start. So it isn't sure if the offset is the
        log's start, as in an empty log, and that isn't 0.
        """
        return self.offset != self.start or self.start == 0


class Offsets(Protocol):
    """Look-ups of offsets and append times in Kafka."""

    def at(self, topic: str, partitions: int, instant_ms: int) -> Sequence[OffsetAtTime]:
        """Return the first offset at or after an instant (UTC ms) of each partition."""

    def runs(self, topic: str, partition: int, first: int, end: int) -> Runs:
        """Return append times of `[first, next)`: of at least one offset, none from `end` on."""


class KafkaOffsets:
    """Look-ups in Kafka. Only committed records count: the end is the last stable offset."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka

    def at(self, topic: str, partitions: int, instant_ms: int) -> Sequence[OffsetAtTime]:
        """See Offsets.at; raises CloseError if the broker doesn't answer."""
        return self.of_topics({topic: partitions}, instant_ms)[topic]

    def of_topics(
        self, partitions: Mapping[str, int], instant_ms: int
    ) -> dict[str, Sequence[OffsetAtTime]]:
        """Return the result of `at` for several topics, by one connection.

        partitions: how many partitions each topic has. Raises CloseError if the broker doesn't
        answer.
        """
        owners = {
            topic: [KafkaPartition(topic, number) for number in range(count)]
            for topic, count in partitions.items()
        }
        wanted = [owner for own in owners.values() for owner in own]
        with self._asking(*partitions) as consumer:
            # The end first: what arrives between the two answers is then not before the cut.
            ends = consumer.end_offsets(wanted)
            starts = consumer.beginning_offsets(wanted)
            found = consumer.offsets_for_times(dict.fromkeys(wanted, instant_ms))
        return {
            topic: [_found(found[owner], starts[owner], ends[owner]) for owner in own]
            for topic, own in owners.items()
        }

    def runs(self, topic: str, partition: int, first: int, end: int) -> Runs:
        """See Offsets.runs; raises CloseError if the broker doesn't answer."""
        # Imported here: `status` looks up offsets only, and needs no numpy.
        from sinks.closing.append_runs import read_runs

        with self._asking(topic) as consumer:
            return read_runs(consumer, KafkaPartition(topic, partition), first, end)

    def start(self, topic: str, partition: int) -> int:
        """Return the first offset of a partition that Kafka still has; raises CloseError as `at`
        does.
        """
        wanted = KafkaPartition(topic, partition)
        with self._asking(topic) as consumer:
            first: int = consumer.beginning_offsets([wanted])[wanted]
        return first

    def ends(self, topic: str, partitions: int) -> list[int]:
        """Return the last stable offset of each partition; raises CloseError as `at` does."""
        wanted = [KafkaPartition(topic, number) for number in range(partitions)]
        with self._asking(topic) as consumer:
            ends = consumer.end_offsets(wanted)
        return [ends[tp] for tp in wanted]

    @contextmanager
    def _asking(self, *topics: str) -> Iterator[KafkaConsumer]:
        wait_until_reachable(self._kafka, CloseError)
        names = f"topic{'s' if len(topics) > 1 else ''} {', '.join(topics)}"
        what = f"offsets of {names} can't be looked up"
        where = f"Kafka {self._kafka.bootstrap_servers}"
        with (
            errors_as(CloseError, what, where=where),
            plain_consumer(self._kafka) as consumer,
        ):
            yield consumer


def _found(found: Any, start: int, end: int) -> OffsetAtTime:
    if found is None:
        return OffsetAtTime(end, start, end)
    return OffsetAtTime(found.offset, start, end, found.timestamp)
