"""The Faust worker: for each topic, an agent writes the flushes of the batch transport, then
acknowledges them.

Several workers share the load as a consumer group. A failed write is retried for a while; then the
worker stops with the reason. Nothing is lost, as offsets are committed only after their events are
durable. A fault of one partition or topic stops only that one: it is set aside, and the others
continue. On SIGTERM the worker writes and commits the gathered records, then leaves the group.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from tempfile import TemporaryDirectory
from typing import Any, Final, cast
from uuid import UUID

import faust
import pyarrow as pa
import structlog
from faust.types import EventT, StreamT
from structlog.contextvars import bound_contextvars
from yarl import URL

from schemas.errors import DeltadropError, PartitionError
from schemas.settings.kafka import KafkaSettings
from streams.clock_watch import ClockWatch
from streams.metrics import WorkerMetrics, WorkerPosition
from streams.reading.faust_transport import BatchApp, BatchConsumer
from streams.reading.gather import Limits
from streams.reading.kafka import TopicIdentity, TopicMissingError, TopicRecreatedError, Topics
from streams.reading.kafka_access import faust_credentials
from streams.reading.records import Chunk, Flush, FlushPart
from streams.recovery.setting_aside import SettingAside
from streams.writing.batch import BatchWriter, Written

log = structlog.get_logger(__name__)

_FETCH_BYTES: Final = 4 << 20  # a partition's share of one fetch
_COMMIT_SECONDS: Final = 1.0
_RATE_SECONDS: Final = 10.0
_DRAIN_SECONDS: Final = 30.0  # how long the worker may write gathered records after a SIGTERM
_LOOK_SECONDS: Final = 1.0  # how often to look at the position of each partition
_RETRY_PAUSE_SECONDS: Final = 1.0
_M_ARENA_MAX: Final = -8  # glibc, malloc.h
_SWEEP_SECONDS: Final = 3600.0  # the age from which files without a record are a crash's leftovers
_SEEN_BY_LOG: Final = "the worker's log shows where; nothing is lost"
_TOPICS_SECONDS: Final = 10.0  # how often to check whether the topics are still the same


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """Options of a worker; retry_seconds: after this time of failed writes the worker stops."""

    kafka: KafkaSettings
    group: str = "deltadrop"
    limits: Limits = field(default_factory=Limits)
    session_timeout_seconds: float = 30.0
    retry_seconds: float = 120.0


class _PassThrough(faust.Schema):  # type: ignore[type-arg]  # not subscriptable at runtime
    """A Faust schema that decodes nothing, as Faust acknowledges events that raise errors here."""

    def loads_key(self, app: Any, message: Any, **_: Any) -> Any:
        return message.key

    def loads_value(self, app: Any, message: Any, **_: Any) -> Any:
        return message.value


class Worker:
    """A worker: it runs an agent for each topic until it is stopped; `metrics` shows its state."""

    def __init__(
        self, options: WorkerOptions, writers: Mapping[str, BatchWriter], topics: Topics
    ) -> None:
        self.options = options
        self.writers = writers
        self.topics = topics
        self._folder = TemporaryDirectory(prefix="deltadrop-worker-")
        self.app = self._make_app()
        self._topic_ids: dict[str, UUID] = {}
        self._failure: DeltadropError | None = None
        self._rate = _Rate()
        tolerance_ms = round(options.kafka.clock_seconds * 1000)
        self._clocks = {topic: ClockWatch(tolerance_ms) for topic in writers}
        self._looked = float("-inf")
        self._missing: set[str] = set()
        self._changed = asyncio.Event()  # a topic is missing or was recreated: check the topics now
        self._aside = SettingAside({name: writer.partitions for name, writer in writers.items()})
        self.metrics = WorkerMetrics(writers, options.limits.batch_seconds)

    def run(self) -> None:
        """Run until SIGTERM or SIGINT; raises a DeltadropError if that made the worker stop."""
        _share_memory()
        with self._folder:
            asyncio.run(self._run())
        if self._failure is not None:
            raise self._failure

    def _make_app(self) -> faust.App:
        options = self.options
        app = BatchApp(
            options.group,
            broker=[URL(f"deltadrop://{server}") for server in options.kafka.servers],
            broker_credentials=faust_credentials(options.kafka),
            broker_session_timeout=options.session_timeout_seconds,
            broker_heartbeat_interval=options.session_timeout_seconds / 10,
            broker_commit_interval=_COMMIT_SECONDS,
            broker_max_poll_interval=max(1000.0, 2 * options.retry_seconds),
            consumer_auto_offset_reset="none",
            consumer_max_fetch_size=_FETCH_BYTES,
            stream_wait_empty=False,
            topic_allow_declare=False,
            topic_disable_leader=True,
            web_enabled=False,
            loghandlers=[],
            # Faust makes a folder for tables, even without any: not in the current folder.
            datadir=self._folder.name,
        )
        app.limits = options.limits
        for topic in self.writers:
            channel = app.topic(topic, schema=_PassThrough())
            app.agent(channel, name=f"write {topic}")(self._agent(topic))
        return app

    def _remember_topics(self) -> None:
        """Look the topics up; those that are missing are read later. At least one must exist."""
        found = self.topics.existing(self.writers)
        if not found:
            self.topics.identities(self.writers)  # raises with the names of the missing topics
        self._topic_ids = {name: identity.topic_id for name, identity in found.items()}

    async def _run(self) -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await asyncio.to_thread(self._remember_topics)
        logging.getLogger("faust").setLevel(logging.ERROR)
        self.app.finalize()
        await self.app.start()
        log.info("worker started", group=self.options.group, topics=len(self.writers))
        watches = [
            asyncio.create_task(self._watch_topics()),
            asyncio.create_task(self._watch_set_aside()),
        ]
        sweep = asyncio.create_task(asyncio.to_thread(self._sweep))
        await self._until(stop)
        for watch in watches:
            watch.cancel()
        sweep.cancel()
        if self._failure is None:
            await self._drain()
        await self.app.stop()
        log.info("worker stopped", **self._rate.totals())

    def _sweep(self) -> None:
        for partitions in {writer.partitions for writer in self.writers.values()}:
            try:
                swept = partitions.sweep(max(_SWEEP_SECONDS, 10 * self.options.retry_seconds))
            except (DeltadropError, OSError) as error:
                log.warning("leftovers not swept", error=str(error))
            else:
                log.info("leftovers of crashes swept", files=swept)

    async def _until(self, stop: asyncio.Event) -> None:
        while not stop.is_set() and self._failure is None:
            failure = self._failure_of_reading()
            if failure is not None:
                self._failure = failure
            self._rate.report_when_due()
            self._look()
            try:
                await asyncio.wait_for(stop.wait(), timeout=0.2)
            except TimeoutError:
                continue

    def _look(self) -> None:
        """Record in the metrics that the loop turns and, once a second, the worker's position."""
        standing, now, consumer = None, time.monotonic(), self.app.consumer
        if now - self._looked >= _LOOK_SECONDS and isinstance(consumer, BatchConsumer):
            aside, missing = self._aside.partitions, frozenset(self._missing)
            standing = WorkerPosition(consumer.lags(), consumer.bytes_in_flight, aside, missing)
            self._looked = now
        self.metrics.turned(standing)

    def _failure_of_reading(self) -> DeltadropError | None:
        consumer = self.app.consumer
        if isinstance(consumer, BatchConsumer) and consumer.failure is not None:
            return consumer.failure
        if not self.app.crashed:
            return None
        return PartitionError(
            what=f"the stream processor ended: {self.app.crash_reason!r}",
            hint="start the worker again; nothing is lost",
        )

    async def _watch_topics(self) -> None:
        """Watch for topics that are deleted, or created again, with offsets that restart."""
        found: Mapping[str, TopicIdentity]
        while True:
            try:
                found = await asyncio.to_thread(self.topics.existing, self.writers)
            except DeltadropError as error:
                log.warning("topics can't be checked", error=str(error))
            else:
                for topic in self.writers:
                    self._compare(topic, found.get(topic))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), _TOPICS_SECONDS)
            self._changed.clear()

    def _compare(self, topic: str, found: TopicIdentity | None) -> None:
        """Give up a missing topic. Read a topic that was created again from its start: what was
        gathered of the old topic is never stored as the new topic's.
        """
        consumer, known = self.app.consumer, self._topic_ids.get(topic)
        if not isinstance(consumer, BatchConsumer):
            return
        if found is None:
            consumer.give_up(topic)
            if topic not in self._missing:
                self._missing.add(topic)
                hint = "create it with `deltadrop topics create`; closes of its exports wait"
                log.error("topic is missing: the others go on", topic=topic, hint=hint)
            return
        if known is not None and found.topic_id != known:
            hint = "its exports' closes are held: `deltadrop status`"
            log.error(
                "topic was deleted and created again: the new one is read", topic=topic, hint=hint
            )
        elif topic in self._missing:
            log.info("topic is there again", topic=topic)
        elif found.topic_id == known and not consumer.has_given_up(topic):
            return
        consumer.give_up(topic)
        self._topic_ids[topic] = found.topic_id
        self._missing.discard(topic)
        (consumer.read_on if found.topic_id == known else consumer.read_anew)(topic)

    async def _watch_set_aside(self) -> None:
        """Check the partitions that are set aside, once a second."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            consumer = self.app.consumer
            if isinstance(consumer, BatchConsumer):
                try:
                    await self._aside.look(consumer, self._topic_ids)
                except Exception:
                    log.exception("partitions that are set aside not looked after")

    async def _drain(self) -> None:
        consumer = self.app.consumer
        if not isinstance(consumer, BatchConsumer):
            return
        consumer.draining = True
        deadline = time.monotonic() + _DRAIN_SECONDS
        while not consumer.is_drained and time.monotonic() < deadline and self._failure is None:
            await asyncio.sleep(0.02)
        await consumer.commit()

    def _agent(self, topic: str) -> Callable[[StreamT[Any]], Any]:
        async def write(stream: StreamT[Any]) -> None:
            flush: Flush | None = None
            events: list[EventT[Any]] = []
            async for event in cast("faust.Stream[Any]", stream).noack().events():
                part: Any = event.value
                assert isinstance(part, FlushPart)
                if part.flush is not flush:
                    # A rebalance may have dropped the rest of the old flush; it is read again.
                    flush, events = part.flush, []
                if part.flush.is_dropped:
                    continue
                events.append(event)
                if len(events) == part.parts:
                    with bound_contextvars(
                        topic=topic, batch=part.flush.batch, offsets=part.flush.offsets
                    ):
                        await self._write(topic, part.flush)
                    if not part.flush.is_dropped:
                        for done in events:
                            done.ack()
                    events = []

        return write

    async def _write(self, topic: str, flush: Flush) -> None:
        """Write a flush, with retries; returns only when the flush is durable or dropped."""
        deadline = time.monotonic() + self.options.retry_seconds
        flush.is_being_written = True
        while not flush.is_dropped:
            try:
                # Looked up at each try: flushes of a recreated topic are dropped with its old id.
                topic_id = self._topic_ids.get(topic)
                written = await asyncio.to_thread(self._write_once, topic, topic_id, flush)
            except (TopicRecreatedError, TopicMissingError) as error:
                log.warning("batch not written", error=str(error))
                self._consumer.give_up(topic)
                self._changed.set()
            except DeltadropError as error:
                if time.monotonic() >= deadline:
                    await self._fail(error)
                log.warning("batch not written, trying again", error=str(error))
                await asyncio.sleep(_RETRY_PAUSE_SECONDS)
            except Exception as error:
                log.exception("batch not written")
                if isinstance(error, OSError | MemoryError):  # affects all topics, not just this
                    await self._fail(_unexpected(topic, error))
                self._consumer.set_back(flush, _unexpected(topic, error).what, _SEEN_BY_LOG)
            else:
                self._rate.add(topic, written)
                break
        flush.is_being_written = False
        flush.release()

    @property
    def _consumer(self) -> BatchConsumer:
        consumer = self.app.consumer
        assert isinstance(consumer, BatchConsumer)
        return consumer

    async def _fail(self, error: DeltadropError) -> None:
        """Make the worker stop, and never return, so that the current flush isn't acknowledged."""
        self._failure = self._failure or error
        await asyncio.Event().wait()

    def _write_once(self, topic: str, topic_id: UUID | None, flush: Flush) -> Written:
        began = time.monotonic()
        if topic_id is None:
            raise TopicMissingError(what="the topic was created just now", where=f"topic {topic}")
        try:
            self.topics.refuse_recreated({topic: topic_id})
            chunks = flush.chunks  # a rebalance may release them during the write
            written = self.writers[topic].write(flush, topic_id)
        except Exception:
            self.metrics.not_written(topic)
            raise
        self.metrics.wrote(topic, written, time.monotonic() - began)
        self._look_at_clocks(topic, chunks)
        return written

    def _look_at_clocks(self, topic: str, chunks: Sequence[Chunk]) -> None:
        """Report append times from a broker's wrong clock, in the metrics and the log."""
        wrong = self._clocks[topic].look(chunks, int(time.time() * 1000))
        self.metrics.stamped(topic, wrong)
        if wrong.ahead or wrong.back:
            log.warning("a broker's clock is wrong", ahead=wrong.ahead, back=wrong.back)


def _unexpected(topic: str, error: Exception) -> PartitionError:
    """A PartitionError for an unexpected error, without its message, which may quote an event."""
    what = f"an unexpected error while writing: {type(error).__name__}"
    return PartitionError(what, where=topic, hint=_SEEN_BY_LOG)


def _share_memory() -> None:
    """Make all threads and Arrow allocate from one arena, so that freed memory is reused.

    With a glibc arena for each thread, the peak varied from 511 to 684 MB; with a single arena,
    from 519 to 541 MB, at the same speed (docs/decisions/0001-batch-transport.md).
    """
    pa.set_memory_pool(pa.system_memory_pool())
    with contextlib.suppress(OSError, AttributeError):  # a C library other than glibc
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


class _Rate:
    """Counters of what was written; a line in the log every ten seconds shows them."""

    def __init__(self) -> None:
        self._began = self._reported = time.monotonic()
        self._rows = self._dead = self._batches = self._rows_before = 0

    def add(self, topic: str, written: Written) -> None:
        self._rows += written.rows
        self._dead += written.dead_letters
        self._batches += 1
        log.debug("batch written", topic=topic, batch=written.batch, rows=written.rows)

    def report_when_due(self) -> None:
        elapsed = time.monotonic() - self._reported
        if elapsed >= _RATE_SECONDS:
            rate = round((self._rows - self._rows_before) / elapsed)
            log.info("rate", events_per_second=rate, **self.totals())
            self._reported, self._rows_before = time.monotonic(), self._rows

    def totals(self) -> dict[str, int]:
        return {
            "rows": self._rows,
            "batches": self._batches,
            "dead_letters": self._dead,
        }
