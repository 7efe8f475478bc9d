"""The batch transport: each Faust message carries a partition's part of a flush, not one event.

This is a driver for Faust's extension point `faust.transports` (URL scheme `deltadrop://`). It
subclasses the aiokafka driver: `getmany` gathers the records of a topic, and yields one message per
partition for each flush. Offsets are committed by flush. docs/decisions/0001-batch-transport.md has
measurements of Faust's own bookkeeping, and the reasons why parts of it are replaced here.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Iterable, Mapping, MutableMapping
from itertools import chain
from typing import Any, ClassVar
from weakref import WeakSet

import faust
import structlog
from aiokafka.errors import KafkaError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from schemas.errors import DeltadropError
from streams.reading.fetch_thread import BatchConsumerThread, Fetched, Trouble
from streams.reading.gather import Gather, Limits
from streams.reading.record_stream import PIECE_BYTES
from streams.reading.records import Flush, FlushPart

log = structlog.get_logger(__name__)

_PAUSE_SECONDS = 0.02  # how soon to check again whether a flush was written
_ROOM_BYTES = 2 * PIECE_BYTES  # a piece, with its offsets and times, and some reserve
_POLL_SECONDS = 0.5  # a quiet topic's batch is flushed at most this late


class BatchConsumer(driver.Consumer):
    """A consumer whose messages are parts of flushes, and which commits offsets by flush."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.gather = Gather(self.app.limits if isinstance(self.app, BatchApp) else Limits())
        self.draining = False
        self.failure: DeltadropError | None = None
        self.troubles: dict[TP, Trouble] = {}
        self._flushes: WeakSet[Flush] = WeakSet()
        self._hurried: set[str] = set()  # topics with a newly set aside partition: flush at once
        self._given_up: dict[str, dict[TP, int]] = {}  # by topic: first offsets not stored yet
        self._anew: set[str] = set()  # given-up topics that were created again
        self._wanted: dict[TP, int] = {}  # offsets at which set aside partitions continue
        self._yielded: MutableMapping[TP, deque[int]] = defaultdict(deque)

    _thread: BatchConsumerThread

    def _new_consumer_thread(self) -> BatchConsumerThread:
        return BatchConsumerThread(self, loop=self.loop, beacon=self.beacon)

    @property
    def bytes_in_flight(self) -> int:
        """Bytes of records in memory: gathered, or flushed and not yet written."""
        return self.gather.nbytes + sum(flush.nbytes for flush in self._flushes)

    def lags(self) -> Mapping[tuple[str, int], int | None]:
        """Number of offsets not stored yet, of each assigned partition; None before a fetch."""
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
        """Whether everything that was gathered is written."""
        return not self.gather.has_any and not any(flush.chunks for flush in self._flushes)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:
        """Gather what is fetched, and yield the parts of each flush that is due."""
        if not self.flow_active:
            await self.wait(self.can_resume_flow)  # type: ignore[arg-type]  # as Faust does
        await self._move()
        active = self._readable()
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
        """Whether another piece fits into memory; the first piece always fits."""
        held = self.bytes_in_flight
        return held == 0 or held + _ROOM_BYTES <= self.gather.limits.bytes_in_flight

    async def _fetch(self, active: set[TP], timeout: float) -> None:
        wait = min(timeout, self.gather.seconds_until_due(time.monotonic()))
        generation = self.app.consumer_generation_id
        try:
            fetched = await self._thread.fetch(active, wait)
        except DeltadropError as error:
            self.failure = error  # the worker sees it, and stops
            return
        if self.flow_active and generation == self.app.consumer_generation_id:
            self._add(fetched)
        else:
            await self._seek_back()

    def _take_due(self) -> Iterable[Flush]:
        """Flushes that are due. If many small ones leave no room, the largest is due as well."""
        now, hurried = time.monotonic(), self._hurried
        if hurried:
            self._hurried = set()
            return chain(self.gather.take_topics(hurried), self._take_due())
        if self.draining:
            return self.gather.take_all()
        if not self._has_room and not any(flush.nbytes for flush in self._flushes):
            return self.gather.take_largest()
        return self.gather.take_due(now)

    def _readable(self) -> set[TP]:
        """The partitions to read: all but those that are set aside, or wait for a new position."""
        return {tp for tp in self._get_active_partitions() if not self._is_set_aside(tp)}

    def _is_set_aside(self, tp: TP) -> bool:
        return tp in self.troubles or tp in self._wanted or tp.topic in self._given_up

    def _add(self, fetched: Fetched) -> None:
        for tp, start in fetched.sought.items():
            self._begin_at(tp, start)
        own = {tp: at for tp, at in fetched.before.items() if not self._is_set_aside(tp)}
        for tp, position in own.items():
            if self.gather.continue_at(tp, position):
                log.warning(
                    "reading leapt",
                    topic=tp.topic,
                    partition=tp.partition,
                    offset=position,
                )
        records = {tp: pieces for tp, pieces in fetched.records.items() if tp in own}
        positions = {tp: at for tp, at in fetched.positions.items() if tp in own}
        self.gather.add(records, positions, time.monotonic())
        self.troubles.update(fetched.troubles)
        self._hurried.update(tp.topic for tp in fetched.troubles)

    def set_back(self, failed: Flush, reason: str, hint: str) -> None:
        """Set aside the partitions of a flush that can't be written.

        All else that is gathered of the topic, or waits to be written, is read again.
        """
        if failed.is_dropped:
            return  # after a rebalance, the new owner of the partitions finds the fault again
        ends = {TP(failed.topic, chunk.partition): chunk.next for chunk in failed.chunks}
        for tp, first in self._give_back(failed.topic).items():
            if tp in ends:
                self.troubles[tp] = Trouble(first, ends[tp], reason, hint)
            else:
                self._wanted[tp] = first

    def give_up(self, topic: str) -> None:
        """Stop reading a topic that is gone, and discard what isn't stored of it."""
        if topic not in self._given_up:
            self._given_up[topic] = self._give_back(topic)

    def has_given_up(self, topic: str) -> bool:
        """Whether a topic was given up, and neither `read_on` nor `read_anew` was called since."""
        return topic in self._given_up and topic not in self._anew

    def read_on(self, topic: str) -> None:
        """Read a given-up topic again, from the first offset that wasn't stored."""
        self._wanted.update(self._given_up.pop(topic, {}))

    def read_anew(self, topic: str) -> None:
        """Read a given-up topic again, from the current start of its log."""
        if topic in self._given_up:
            self._anew.add(topic)

    def go_on(self, tp: TP, offset: int) -> bool:
        """Read a partition that is set aside again, from an offset on.

        Returns False, and does nothing, as long as records that were read of it aren't stored yet.
        """
        if not self._is_clear(tp):
            return False
        self._wanted[tp] = offset
        self.troubles.pop(tp, None)
        return True

    def _is_clear(self, tp: TP) -> bool:
        flushed = (f for f in list(self._flushes) if f.topic == tp.topic and not f.is_dropped)
        on_the_way = any(c.partition == tp.partition for flush in flushed for c in flush.chunks)
        return self.gather.is_empty(tp) and not on_the_way

    def _give_back(self, topic: str) -> dict[TP, int]:
        """Discard what isn't stored of a topic; return each partition's first discarded offset."""
        firsts = {tp: first for tp, first in self.gather.firsts().items() if tp.topic == topic}
        for flush in [
            waiting
            for waiting in self._flushes
            if waiting.topic == topic and not waiting.is_dropped
        ]:
            for chunk in flush.chunks:
                tp = TP(topic, chunk.partition)
                firsts[tp] = min(chunk.first, firsts.get(tp, chunk.first))
            flush.drop()
        for tp, first in firsts.items():
            self._begin_at(tp, first)
        return firsts

    async def _move(self) -> None:
        """Move partitions that continue to their new positions.

        It runs between two fetches, so that no fetch has records of both positions.
        """
        generation = self.app.consumer_generation_id
        for topic in list(self._anew):
            try:
                starts = await self._thread.starts(topic)
            except KafkaError as error:
                log.warning("a new topic can't be read yet", topic=topic, error=repr(error))
                break
            self._anew.discard(topic)
            self._given_up.pop(topic, None)
            self._wanted.update(starts)
        if self._wanted:
            going = await self._thread.go_on(self._wanted)
            if not self.flow_active or generation != self.app.consumer_generation_id:
                await self._seek_back()
                return
            for tp, offset in going.items():
                self._begin_at(tp, offset)
            self._wanted.clear()

    def _begin_at(self, tp: TP, offset: int) -> None:
        """Start a partition at an offset, which may be before its position.

        What was gathered and acknowledged of the partition is discarded.
        """
        self.gather.restart(tp, offset)
        self._read_offset[tp] = offset or None
        self._committed_offset[tp] = None
        for known in (self._yielded, self._acked, self._acked_index):
            known.pop(tp, None)

    async def _seek_back(self) -> None:
        # A rebalance began during the fetch, whose records are discarded. Faust seeks back in this
        # case, too.
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
                return  # a rebalance came while the first parts were processed
            tp = TP(flush.topic, chunk.partition)
            offset = chunk.next - 1
            self._yielded[tp].append(offset)
            part = FlushPart(flush, chunk.partition, len(chunks))
            yield tp, _message(tp, offset, part, generation)

    def _forget(self, starts: Mapping[TP, int | None] | None = None) -> None:
        self.gather.reset({tp: start for tp, start in (starts or {}).items() if start is not None})
        for flush in list(self._flushes):
            flush.drop()
        self.troubles.clear()
        self._wanted.clear()
        for firsts in self._given_up.values():
            firsts.clear()  # reassigned partitions start at their committed offsets
        self._yielded.clear()
        self._acked.clear()
        self._acked_index.clear()

    async def perform_seek(self) -> None:
        """Seek to the committed offsets, and discard what was gathered beyond them."""
        await super().perform_seek()
        self._forget(self._read_offset)

    async def seek(self, partition: TP, offset: int) -> None:
        """Seek one partition; what was gathered of it is discarded."""
        await super().seek(partition, offset)
        self.gather.restart(partition, offset)
        self._yielded.pop(partition, None)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Discard what was gathered; after a rebalance reading starts at the committed offsets."""
        self._forget()
        await super().on_partitions_revoked(revoked)

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Do nothing: there is no gap between two flushes. Faust would count each offset."""

    def _new_offset(self, tp: TP) -> int | None:
        """Return the offset to commit: behind the last flush before the first unwritten one.

        None if no further flush was written.
        """
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
    """A Faust app that reads in batches; `limits` says when they are flushed."""

    limits: Limits = Limits()


class BatchTransport(driver.Transport):
    """The Faust transport `deltadrop`; its producer is that of the aiokafka driver."""

    Consumer: ClassVar[type[BatchConsumer]] = BatchConsumer


def _message(tp: TP, offset: int, part: FlushPart, generation: int) -> ConsumerMessage:
    value: Any = part  # typed as bytes in Faust, which doesn't look at it
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
