"""The batch transport: Faust messages that carry what was fetched of a partition, not one event.

A driver for Faust's extension point `faust.transports` (URL scheme `deltadrop://`). It subclasses
the aiokafka driver: `getmany` gathers the records of a topic and yields one message a partition
for each flush; committing follows the flushes. What was measured about Faust's own bookkeeping,
and why parts of it are replaced here, is in docs/decisions/0001-batch-transport.md.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from weakref import WeakSet

import aiokafka
import faust
import pyarrow as pa
import structlog
from aiokafka.errors import (
    ConsumerStoppedError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from schemas.errors import DeltadropError
from streams.fetch import ColumnConsumer
from streams.gather import Gather, Limits
from streams.record_stream import PIECE_BYTES
from streams.records import Flush, FlushPart

log = structlog.get_logger(__name__)

_PAUSE_SECONDS = 0.02  # how soon to look again whether a flush was written
_ROOM_BYTES = 2 * PIECE_BYTES  # a piece, with its offsets and times, and some reserve
_FETCH_BYTES = 12 << 20  # fetched of one broker at once, beside what is in flight
_POLL_SECONDS = 0.5  # a quiet topic's batch is flushed at most this late


@dataclass(frozen=True, slots=True)
class Fetched:
    """What one fetch brought: columns by partition, and where each stood before and stands now."""

    records: Mapping[TP, Sequence[pa.RecordBatch]]
    before: Mapping[TP, int]
    positions: Mapping[TP, int]


_NOTHING = Fetched({}, {}, {})


class BatchConsumerThread(driver.AIOKafkaConsumerThread):
    """The thread that talks to Kafka: fetched records leave it as columns."""

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        consumer.__class__ = ColumnConsumer  # the driver names the class that it makes
        # The driver reads uncommitted unless its exactly-once mode is on (DESIGN, "The batch
        # transport"); the fetcher that uses the setting is made when the consumer starts.
        consumer._isolation_level = "read_committed"
        consumer._fetch_max_bytes = _FETCH_BYTES
        return consumer

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seek to the committed offsets; to the log's start, said so, where there is none."""
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
        """Take the next piece that was fetched, waiting up to `timeout` seconds for one."""
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
        try:
            with fetcher._subscriptions.fetch_context():
                fetched = await fetcher.fetched_records(active, timeout=timeout, max_records=1)
        except NoOffsetForPartitionError as error:
            await self._seek_to_start(_of(error), "no offset was committed yet")
            return _NOTHING
        except OffsetOutOfRangeError as error:
            await self._seek_to_start(
                _of(error), "the committed offset is no longer in the log: a hole"
            )
            return _NOTHING
        return Fetched(
            {_tp(tp): pieces for tp, pieces in fetched.items()},
            before,
            dict(self._positions(active)),
        )

    def ends(self) -> Mapping[TP, int | None]:
        """Tell, of each partition assigned, where its last stable offset was at the last fetch."""
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


class BatchConsumer(driver.Consumer):
    """Consumer whose messages are parts of flushes, and whose commits follow the flushes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.gather = Gather(self.app.limits if isinstance(self.app, BatchApp) else Limits())
        self.draining = False
        self.failure: DeltadropError | None = None
        self._flushes: WeakSet[Flush] = WeakSet()
        self._yielded: MutableMapping[TP, deque[int]] = defaultdict(deque)

    _thread: BatchConsumerThread

    def _new_consumer_thread(self) -> BatchConsumerThread:
        return BatchConsumerThread(self, loop=self.loop, beacon=self.beacon)

    @property
    def bytes_in_flight(self) -> int:
        """Bytes of records in memory: gathered, or flushed and not yet written."""
        return self.gather.nbytes + sum(flush.nbytes for flush in self._flushes)

    def lags(self) -> Mapping[tuple[str, int], int | None]:
        """Tell, of each partition assigned, the offsets not stored yet; None before a fetch."""
        stored = self.gather.firsts()
        for flush in list(self._flushes):
            for chunk in flush.chunks:
                tp = TP(flush.topic, chunk.partition)
                stored[tp] = min(chunk.first, stored.get(tp, chunk.first))
        return {
            (tp.topic, tp.partition): max(end - stored[tp], 0)
            if end is not None and tp in stored
            else None
            for tp, end in self._thread.ends().items()
        }

    @property
    def is_drained(self) -> bool:
        """Whether nothing is gathered or waits to be written."""
        return not self.gather.has_any and not any(flush.chunks for flush in self._flushes)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:
        """Gather what arrives, and yield the parts of each flush that is due."""
        if not self.flow_active:
            await self.wait(self.can_resume_flow)  # type: ignore[arg-type]  # as Faust does
        active = set(self._get_active_partitions())
        if self._may_fetch and active:
            await self._fetch(active, min(timeout, _POLL_SECONDS))
        else:
            await asyncio.sleep(_PAUSE_SECONDS)
        for flush in self._take_due():
            self._flushes.add(flush)
            for tp, message in self._messages(flush):
                yield tp, message

    @property
    def _may_fetch(self) -> bool:
        return not self.draining and self.failure is None and self._has_room

    @property
    def _has_room(self) -> bool:
        """Whether another piece fits; one always does where there is none yet."""
        held = self.bytes_in_flight
        return held == 0 or held + _ROOM_BYTES <= self.gather.limits.bytes_in_flight

    async def _fetch(self, active: set[TP], timeout: float) -> None:
        wait = min(timeout, self.gather.seconds_until_due(time.monotonic()))
        generation = self.app.consumer_generation_id
        try:
            fetched = await self._thread.fetch(active, wait)
        except DeltadropError as error:
            self.failure = error  # the worker looks for it, and stops
            return
        if self.flow_active and generation == self.app.consumer_generation_id:
            self._add(fetched)
        else:
            await self._seek_back()

    def _take_due(self) -> Iterable[Flush]:
        """Flushes that are due; the largest one also where many half-full ones leave no room."""
        now = time.monotonic()
        if self.draining:
            return self.gather.take_all()
        if not self._has_room and not any(flush.nbytes for flush in self._flushes):
            return self.gather.take_largest()
        return self.gather.take_due(now)

    def _add(self, fetched: Fetched) -> None:
        for tp, position in fetched.before.items():
            if self.gather.continue_at(tp, position):
                log.warning(
                    "reading leapt",
                    topic=tp.topic,
                    partition=tp.partition,
                    offset=position,
                )
        self.gather.add(fetched.records, fetched.positions, time.monotonic())

    async def _seek_back(self) -> None:
        # A rebalance began while the fetch was under way. Faust seeks back here too, since what
        # was fetched is thrown away.
        try:
            await self.perform_seek()
        except Exception as error:
            log.warning(
                "seek during a rebalance failed; the assignment seeks again",
                error=str(error),
            )

    def _messages(self, flush: Flush) -> Iterable[tuple[TP, ConsumerMessage]]:
        generation = self.app.consumer_generation_id
        chunks = flush.chunks
        for chunk in chunks:
            if flush.is_dropped:
                return  # a rebalance came while its first parts were on their way
            tp = TP(flush.topic, chunk.partition)
            offset = chunk.next - 1
            self._yielded[tp].append(offset)
            part = FlushPart(flush, chunk.partition, len(chunks))
            yield tp, _message(tp, offset, part, generation)

    def _forget(self, starts: Mapping[TP, int | None] | None = None) -> None:
        self.gather.reset({tp: start for tp, start in (starts or {}).items() if start is not None})
        for flush in list(self._flushes):
            flush.drop()
        self._yielded.clear()
        self._acked.clear()
        self._acked_index.clear()

    async def perform_seek(self) -> None:
        """Seek to the committed offsets, and forget what was gathered beyond them."""
        await super().perform_seek()
        self._forget(self._read_offset)

    async def seek(self, partition: TP, offset: int) -> None:
        """Seek one partition: what was gathered of it is dropped."""
        await super().seek(partition, offset)
        self.gather.restart(partition, offset)
        self._yielded.pop(partition, None)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Forget what was gathered: after a rebalance reading begins at the committed offsets."""
        self._forget()
        await super().on_partitions_revoked(revoked)

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Do nothing: between two flushes there is no gap (Faust would count each offset)."""

    def _new_offset(self, tp: TP) -> int | None:
        """Return the offset to commit: behind the last of the flushes written without a break."""
        yielded, acked = self._yielded[tp], self._acked_index[tp]
        last = None
        while yielded and yielded[0] in acked:
            last = yielded.popleft()
            acked.discard(last)
        if last is None:
            return None
        self._acked[tp] = [offset for offset in self._acked[tp] if offset > last]
        return last + 1


class BatchApp(faust.App):
    """A Faust app that reads in batches of some limits."""

    limits: Limits = Limits()


class BatchTransport(driver.Transport):
    """Faust transport by the name of `deltadrop`; the producer is the aiokafka driver's."""

    Consumer: ClassVar[type[BatchConsumer]] = BatchConsumer


def _message(tp: TP, offset: int, part: FlushPart, generation: int) -> ConsumerMessage:
    value: Any = part  # Faust would have bytes, but looks at none
    none: Any = None
    return ConsumerMessage(
        tp.topic,
        tp.partition,
        offset,
        time.time(),
        timestamp_type=none,
        headers=None,
        key=None,
        value=value,
        checksum=None,
        tp=tp,
        generation_id=generation,
    )


def _tp(partition: Any) -> TP:
    return TP(partition.topic, partition.partition)


def _of(error: Exception) -> list[aiokafka.TopicPartition]:
    """Partitions that one of aiokafka's offset errors is about."""
    about = error.args[0]
    return list(about) if isinstance(about, dict) else [about]
