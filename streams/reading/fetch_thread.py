"""The batch transport's thread for Kafka: fetches, positions, and faults of single partitions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import aiokafka
import pyarrow as pa
import structlog
from aiokafka.errors import (
    ConsumerStoppedError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
    RecordTooLargeError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from streams.reading.fetch import AskingClient, ColumnConsumer, ColumnRecords, UnreadableBatchError

__all__ = ["BatchConsumerThread", "Fetched", "Trouble"]

log = structlog.get_logger(__name__)

_FETCH_BYTES: Final = 12 << 20  # of one fetch from one broker, not counted as bytes in flight


@dataclass(frozen=True, slots=True)
class Trouble:
    """The reason why a partition can't be read further than `offset`, and a hint what to do.

    next_offset: the offset from which reading could continue; None if that isn't known.
    """

    offset: int
    next_offset: int | None
    reason: str
    hint: str


@dataclass(frozen=True, slots=True)
class Fetched:
    """The result of one fetch: records (schema RECORDS) by partition.

    before, positions: each partition's position before and after the fetch. sought: the new
    positions of partitions that had no valid one. troubles: for partitions that can't go on; these
    are paused.
    """

    records: Mapping[TP, Sequence[pa.RecordBatch]]
    before: Mapping[TP, int]
    positions: Mapping[TP, int]
    sought: Mapping[TP, int] = field(default_factory=dict)
    troubles: Mapping[TP, Trouble] = field(default_factory=dict)


_NOTHING: Final = Fetched({}, {}, {})


class BatchConsumerThread(driver.AIOKafkaConsumerThread):
    """The consumer's thread for Kafka; it returns fetched records as columns."""

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        # The driver has no setting for the classes of its consumer and client.
        consumer.__class__, consumer._client.__class__ = ColumnConsumer, AskingClient
        # The driver reads uncommitted records unless its exactly-once mode is on (DESIGN, "The
        # batch transport"). The fetcher, which uses the setting, is made when the consumer starts.
        consumer._isolation_level = "read_committed"
        consumer._fetch_max_bytes = _FETCH_BYTES
        return consumer

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seek to the committed offsets and return the new positions.

        A partition without a committed offset starts at its log's start, with a warning in the log.
        """
        sought: Mapping[TP, int] = await self.call_thread(self._seek_to_committed)
        return sought

    async def _seek_to_committed(self) -> Mapping[TP, int]:
        consumer = self._ensure_consumer()
        if not consumer.assignment():
            return {}
        committed = await consumer.seek_to_committed()
        unknown = [tp for tp, offset in committed.items() if offset is None]
        starts = await self._seek_to_start(unknown, "no offset was committed yet")
        return {_tp(tp): offset for tp, offset in {**committed, **starts}.items()}

    async def _seek_to_start(
        self, partitions: Iterable[aiokafka.TopicPartition], why: str
    ) -> Mapping[aiokafka.TopicPartition, int]:
        consumer = self._ensure_consumer()
        assigned = [tp for tp in partitions if tp in consumer.assignment()]
        starts = await consumer.beginning_offsets(assigned) if assigned else {}
        for tp, start in starts.items():
            consumer.seek(tp, start)
        for topic in sorted({tp.topic for tp in starts}):
            offsets = {tp.partition: at for tp, at in sorted(starts.items()) if tp.topic == topic}
            log.warning("reading from the log's start", topic=topic, offsets=offsets, why=why)
        return dict(starts)

    async def fetch(self, active: set[TP], timeout: float) -> Fetched:
        """Take the next fetched piece of the `active` partitions, within `timeout` seconds."""
        fetched: Fetched = await self.call_thread(self._fetch, active, timeout)
        return fetched

    async def _fetch(self, active: set[TP], timeout: float) -> Fetched:
        consumer = self._ensure_consumer()
        if not self.consumer.flow_active:
            return _NOTHING
        fetcher = consumer._fetcher
        if consumer._closed or fetcher._closed:
            raise ConsumerStoppedError
        before = dict(self._positions(active))
        fetched: Mapping[aiokafka.TopicPartition, Sequence[pa.RecordBatch]] = {}
        sought: Mapping[aiokafka.TopicPartition, int] = {}
        troubles: Mapping[TP, Trouble] = {}
        try:
            with fetcher._subscriptions.fetch_context():
                fetched = await fetcher.fetched_records(active, timeout=timeout, max_records=1)
        except NoOffsetForPartitionError as error:
            sought = await self._seek_to_start(_of(error), "no offset was committed yet")
        except OffsetOutOfRangeError as error:
            why = "the committed offset is no longer in the log: a hole"
            sought = await self._seek_to_start(_of(error), why)
        except (UnreadableBatchError, RecordTooLargeError, TopicAuthorizationFailedError) as error:
            troubles = dict(self._set_aside(error))
        starts = {_tp(tp): offset for tp, offset in sought.items()}
        return Fetched(
            {_tp(tp): pieces for tp, pieces in fetched.items()},
            {tp: offset for tp, offset in before.items() if tp not in starts},
            {tp: offset for tp, offset in self._positions(active) if tp not in starts},
            starts,
            troubles,
        )

    def _set_aside(
        self, error: UnreadableBatchError | RecordTooLargeError | TopicAuthorizationFailedError
    ) -> Iterable[tuple[TP, Trouble]]:
        """Pause the partitions that an error is about, at the position behind all that was read."""
        consumer = self._ensure_consumer()
        positions = dict(self._positions(self.assignment()))
        for partition in consumer.assignment():
            at = positions.get(_tp(partition), 0)
            trouble = _trouble(error, partition, at)
            if trouble is not None:
                if isinstance(error, UnreadableBatchError):
                    trouble = _with_next(trouble, consumer._fetcher._records.get(partition))
                consumer.seek(partition, trouble.offset)  # discards the rest of the fetch
                consumer.pause(partition)
                yield _tp(partition), trouble

    async def go_on(self, offsets: Mapping[TP, int]) -> Mapping[TP, int]:
        """Read partitions from these offsets, also paused ones; return those still assigned."""
        going: Mapping[TP, int] = await self.call_thread(self._go_on, offsets)
        return going

    async def _go_on(self, offsets: Mapping[TP, int]) -> Mapping[TP, int]:
        consumer = self._ensure_consumer()
        assigned = {_tp(partition): partition for partition in consumer.assignment()}
        going = {tp: offset for tp, offset in offsets.items() if tp in assigned}
        for tp, offset in going.items():
            consumer.seek(assigned[tp], offset)
            consumer.resume(assigned[tp])
        return going

    async def starts(self, topic: str) -> Mapping[TP, int]:
        """Return the log's start of each assigned partition of a topic that was just created.

        Raises KafkaError if the broker doesn't know the topic yet.
        """
        starts: Mapping[TP, int] = await self.call_thread(self._starts, topic)
        return starts

    async def _starts(self, topic: str) -> Mapping[TP, int]:
        consumer = self._ensure_consumer()
        # Without this the topic is noticed after up to five minutes. The group then assigns its
        # partitions.
        await consumer._client.force_metadata_update()
        if not consumer._client.cluster.partitions_for_topic(topic):
            raise UnknownTopicOrPartitionError(topic)
        own = [partition for partition in consumer.assignment() if partition.topic == topic]
        starts = await consumer.beginning_offsets(own) if own else {}
        return {_tp(partition): offset for partition, offset in starts.items()}

    def ends(self) -> Mapping[TP, int | None]:
        """The last stable offset of each assigned partition at its last fetch; None before one."""
        subscription = self._consumer and self._consumer._subscription.subscription
        assignment = subscription and subscription.assignment
        if not assignment:
            return {}
        states = {_tp(tp): assignment.state_value(tp) for tp in assignment.tps}
        return {tp: state.lso if state else None for tp, state in states.items()}

    def _positions(self, active: set[TP]) -> Iterable[tuple[TP, int]]:
        subscription = self._ensure_consumer()._subscription.subscription
        if subscription is None or subscription.assignment is None:
            return
        for partition in subscription.assignment.tps:
            state = subscription.assignment.state_value(partition)
            if state is not None and state.has_valid_position and _tp(partition) in active:
                yield _tp(partition), state.position


def _tp(partition: Any) -> TP:
    return TP(partition.topic, partition.partition)


def _of(error: Exception) -> list[aiokafka.TopicPartition]:
    """The partitions that one of aiokafka's offset errors is about."""
    about = error.args[0]
    return list(about) if isinstance(about, dict) else [about]


def _with_next(trouble: Trouble, fetched: Any) -> Trouble:
    """A copy of a trouble whose `next_offset` is behind all consecutive unreadable batches.

    A fault often affects several batches in a row, and a person should have to pass them over only
    once. Only batches of the same fetch are examined.

    fetched: aiokafka's result of the fetch, after all readable batches were taken from it.
    """
    records: ColumnRecords | None = fetched and fetched._partition_records
    behind = trouble.next_offset
    while records is not None and behind is not None:
        records._records_iterator = records._unpack_records()  # the error ended the old one
        try:
            if any(len(piece) for piece in records):
                break
        except UnreadableBatchError as error:
            if error.next_offset > behind:
                behind = error.next_offset
                continue
        break
    return trouble if behind == trouble.next_offset else replace(trouble, next_offset=behind)


def _trouble(
    error: UnreadableBatchError | RecordTooLargeError | TopicAuthorizationFailedError,
    partition: aiokafka.TopicPartition,
    at: int,
) -> Trouble | None:
    """The trouble of a partition at an offset, from an error; None if that is about others."""
    match error:
        case UnreadableBatchError(topic=topic, partition=number):
            if (topic, number) != (partition.topic, partition.partition):
                return None
            behind = error.next_offset if error.next_offset > at else None
            return Trouble(at, behind, error.what, error.hint)
        case RecordTooLargeError(args=(_, about, offset, *_)):
            if about != partition:
                return None
            what = f"the record batch at offset {offset} can't be read: it says that it is longer"
            hint = "is the disk of a broker failing? a replica may have it whole"
            return Trouble(offset, None, f"{what} than all that Kafka gives", hint)
        case _:
            if partition.topic not in error.args:
                return None
            return Trouble(at, None, "Kafka doesn't let us read the topic", "give us its READ")
