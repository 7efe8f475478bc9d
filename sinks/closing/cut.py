"""Cuts: per partition, the first offset at or after an instant. Taken once, recorded for good.

A window is the offsets from an export's previous cut to this one, so each event is in exactly one,
whatever clocks do: time only decides where the cut falls. A cut is recorded for each topic by
itself, so that a topic that is read for the first time gets its cut at past instants too.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol
from uuid import UUID

import pyarrow.compute as pc
import pyarrow.parquet as pq
import structlog
from kafka import KafkaConsumer
from kafka import TopicPartition as KafkaPartition
from kafka.errors import KafkaError

from schemas.errors import CloseError, HeldError
from schemas.kafka_settings import KafkaSettings
from schemas.reach import KAFKA_HINT, wait_until_reachable
from sinks.instants import milliseconds, parse_stamp, stamp
from streams.kafka import Topics, plain_consumer
from streams.layout import TopicPartition
from streams.partitions import Partitions
from streams.store import Store

log = structlog.get_logger(__name__)

_NO_OFFSET: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class TopicCut:
    """One topic's cut at an instant: the first offset that is not before it, by partition."""

    topic: str
    topic_id: UUID
    instant: dt.datetime
    offsets: tuple[int, ...]

    def is_of(self, other: TopicCut) -> bool:
        """Whether the topic was the same at another cut: not created again in between."""
        return self.topic_id == other.topic_id

    def to_json(self) -> bytes:
        """Serialise; the topic and the instant are in the name."""
        return json.dumps({"topic_id": str(self.topic_id), "offsets": self.offsets}).encode()

    @classmethod
    def from_json(cls, topic: str, instant: dt.datetime, content: bytes) -> TopicCut:
        """Read back what `to_json` wrote."""
        fields = json.loads(content)
        return cls(topic, UUID(fields["topic_id"]), instant, tuple(fields["offsets"]))


@dataclass(frozen=True, slots=True)
class Span:
    """The offsets `[first, next)` of a partition between two cuts."""

    partition: TopicPartition
    first: int
    next: int


def spans(first: TopicCut | None, last: TopicCut) -> tuple[Span, ...]:
    """Return the offsets between two cuts of a topic (None: from its beginning), by partition.

    Partitions that the first cut doesn't know start at 0. Raises HeldError where the topic was
    created again between the two: its offsets don't continue.
    """
    if first is not None and not first.is_of(last):
        raise HeldError(
            what="the topic was deleted and created again between "
            f"{stamp(first.instant)} and {stamp(last.instant)}",
            where=f"topic {last.topic}",
            hint="what the old topic held after the earlier cut can't be proven delivered; an"
            " export of another name begins with the new topic's first event",
        )
    known = first.offsets if first is not None else ()
    starts = known + (0,) * (len(last.offsets) - len(known))
    return tuple(
        Span(TopicPartition(last.topic, last.topic_id, number), start, end)
        for number, (start, end) in enumerate(zip(starts, last.offsets, strict=True))
    )


@dataclass(frozen=True, slots=True)
class Found:
    """The first offset at or after an instant; not `sure` where the log starts with it, so that an
    earlier one may have been there.
    """

    offset: int
    sure: bool


class Offsets(Protocol):
    """What a cut asks Kafka."""

    def at(self, topic: str, partitions: int, instant_ms: int) -> Sequence[Found]:
        """Return the first offset at or after an instant, by partition."""


class KafkaOffsets:
    """Looks offsets up by time; only committed records count: the end is the last stable offset."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka

    def at(self, topic: str, partitions: int, instant_ms: int) -> Sequence[Found]:
        """See Offsets.at; raises CloseError where the broker doesn't answer."""
        wanted = [KafkaPartition(topic, number) for number in range(partitions)]
        with self._asking(topic) as consumer:
            # The end is asked first: what arrives between the two answers is not before the cut.
            ends = consumer.end_offsets(wanted)
            starts = consumer.beginning_offsets(wanted)
            found = consumer.offsets_for_times(dict.fromkeys(wanted, instant_ms))
        return [self._offset(found[tp], starts[tp], ends[tp]) for tp in wanted]

    def start(self, topic: str, partition: int) -> int:
        """Return the first offset that Kafka still has of a partition."""
        wanted = KafkaPartition(topic, partition)
        with self._asking(topic) as consumer:
            first: int = consumer.beginning_offsets([wanted])[wanted]
        return first

    def ends(self, topic: str, partitions: int) -> list[int]:
        """Return the last stable offset of each partition."""
        wanted = [KafkaPartition(topic, number) for number in range(partitions)]
        with self._asking(topic) as consumer:
            ends = consumer.end_offsets(wanted)
        return [ends[tp] for tp in wanted]

    @contextmanager
    def _asking(self, topic: str) -> Iterator[KafkaConsumer]:
        wait_until_reachable(self._kafka, CloseError)
        try:
            with plain_consumer(self._kafka) as consumer:
                yield consumer
        except KafkaError as error:
            raise CloseError(
                what=f"offsets of topic {topic} can't be looked up: {error!r}",
                where=f"Kafka {self._kafka.bootstrap_servers}",
                hint=KAFKA_HINT,
            ) from error

    def _offset(self, found: Any, start: int, end: int) -> Found:
        if found is None:
            return Found(end, sure=True)
        return Found(found.offset, sure=found.offset != start or start == 0)


class Cuts:
    """Takes cuts and keeps them: `ledger/cuts/<instant>/<topic>.json`."""

    def __init__(
        self, store: Store, topics: Topics, offsets: Offsets, partitions: Partitions
    ) -> None:
        self._store = store
        self._topics = topics
        self._offsets = offsets
        self._partitions = partitions

    def take(self, topics: Sequence[str], instant: dt.datetime) -> dict[str, TopicCut]:
        """Return each topic's cut at an instant, taking and recording those that weren't yet."""
        cuts = {name: cut for name in topics if (cut := self.recorded(name, instant)) is not None}
        missing = [name for name in topics if name not in cuts]
        if not missing:
            return cuts
        for name, identity in self._topics.identities(missing).items():
            offsets = self._look_up(identity.name, identity.topic_id, identity.partitions, instant)
            cut = self._monotone(TopicCut(name, identity.topic_id, instant, offsets))
            if self._store.create(self._name(name, instant), cut.to_json()):
                log.info("cut taken", topic=name, instant=stamp(instant), offsets=cut.offsets)
            recorded = self.recorded(name, instant)
            assert recorded is not None  # created just now, here or by another closer
            cuts[name] = recorded
        return cuts

    def recorded(self, topic: str, instant: dt.datetime) -> TopicCut | None:
        """Return a cut taken before, if there is one."""
        try:
            return TopicCut.from_json(topic, instant, self._store.read(self._name(topic, instant)))
        except FileNotFoundError:
            return None

    def instants(self) -> list[dt.datetime]:
        """Return all instants at which any cut was taken, oldest first."""
        names = {name.split("/")[2] for name in self._store.names("ledger/cuts")}
        return sorted(parse_stamp(name) for name in names)

    def _name(self, topic: str, instant: dt.datetime) -> str:
        return f"ledger/cuts/{stamp(instant)}/{topic}.json"

    def _look_up(
        self, topic: str, topic_id: UUID, partitions: int, instant: dt.datetime
    ) -> tuple[int, ...]:
        found = self._offsets.at(topic, partitions, milliseconds(instant))
        return tuple(
            answer.offset
            if answer.sure
            else self._from_files(TopicPartition(topic, topic_id, number), instant, answer.offset)
            for number, answer in enumerate(found)
        )

    def _from_files(self, partition: TopicPartition, instant: dt.datetime, log_start: int) -> int:
        """Find a late cut in our own files; the log's start where they hold nothing so late."""
        at = milliseconds(instant)
        for path in self._partitions.coverage(partition):
            record = self._partitions.record(path)
            if record.appended is not None and record.appended[1] >= at:
                firsts = [self._first_at(file.path, partition, at) for file in record.files]
                return min([*firsts, log_start])
        return log_start

    def _first_at(self, file: str, partition: TopicPartition, at: int) -> int:
        rows = pq.read_table(
            self._store.location(file),
            columns=["_offset", "_appended_at"],
            filters=[("_partition", "=", partition.partition)],
        )
        late = rows.filter(pc.greater_equal(rows["_appended_at"].cast("int64"), at))
        smallest: int | None = pc.min(late["_offset"]).as_py()
        return smallest if smallest is not None else _NO_OFFSET

    def _monotone(self, cut: TopicCut) -> TopicCut:
        """Clamp a cut between its recorded neighbours: never past a later one, nor before one."""
        offsets = cut.offsets
        for instant in self.instants():
            other = self.recorded(cut.topic, instant)
            if other is None or other.topic_id != cut.topic_id or instant == cut.instant:
                continue
            bound = min if instant > cut.instant else max
            # A partition that the other cut doesn't know was not there yet.
            known = other.offsets + offsets[len(other.offsets) :]
            offsets = tuple(bound(a, b) for a, b in zip(offsets, known, strict=False))
        return replace(cut, offsets=offsets)
