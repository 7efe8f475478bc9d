"""Read a range of offsets again, by a plain consumer without a group, into the usual files.

This mends holes before a close. It also fills a stream that was added or changed later, as far back
as Kafka still has the offsets.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import reduce

import aiokafka
import pyarrow as pa
import pyarrow.compute as pc
import structlog

from schemas.errors import PartitionError
from schemas.settings.kafka import KafkaSettings
from schemas.settings.reachable import wait_until_reachable
from streams.reading.fetch import ColumnConsumer, UnreadableBatchError
from streams.reading.gather import BATCH_RECORDS, MIB
from streams.reading.kafka import OffsetsGoneError
from streams.reading.kafka_access import aiokafka_errors_as, aiokafka_options
from streams.reading.records import Chunk, Flush
from streams.storage.layout import TopicPartition
from streams.writing.batch import BatchWriter

log = structlog.get_logger(__name__)

_OFFSET_AND_TIME = ("offset", "appended_at")
_FETCH_BYTES = 8 * MIB
_IDLE_SECONDS = 30.0  # how long a broker may send nothing of a range that it says it has


@dataclass(frozen=True, slots=True)
class RangeReader:
    """Reads ranges of partitions, and writes them as batches of at most `batch_bytes`."""

    kafka: KafkaSettings
    batch_bytes: int = 64 * MIB

    def read(self, writer: BatchWriter, partition: TopicPartition, first: int, end: int) -> int:
        """Read offsets `[first, end)` of a partition into files and coverage; return the number of
        rows.

        Raises OffsetsGoneError if Kafka no longer has the offsets, and PartitionError if Kafka
        doesn't answer. Raises UnreadableBatchError if a batch can't be read; the offsets before it
        are then stored.
        """
        wait_until_reachable(self.kafka, PartitionError)
        return asyncio.run(self._read(writer, partition, first, end))

    def fetched(self, partition: TopicPartition, first: int, end: int) -> Chunk:
        """Return the records of offsets `[first, end)` of a partition, all in memory.

        Raises OffsetsGoneError if Kafka no longer has the offsets, PartitionError if they can't be
        read.
        """
        wait_until_reachable(self.kafka, PartitionError)
        return asyncio.run(self._fetched(partition, first, end))

    async def _fetched(self, partition: TopicPartition, first: int, end: int) -> Chunk:
        records: list[pa.RecordBatch] = []
        with self._errors():
            async for chunk in self._chunks(_tp(partition), first, end):
                records += chunk.records
        return Chunk(partition.partition, first, end, tuple(records))

    def _errors(self) -> AbstractContextManager[None]:
        where = f"Kafka {self.kafka.bootstrap_servers}"
        return aiokafka_errors_as(PartitionError, "can't be read", where=where)

    def find(
        self, partition: TopicPartition, first: int, end: int, texts: Sequence[str]
    ) -> list[tuple[int, int]]:
        """Find the records within `[first, end)` whose values contain one of some texts.

        Returns offset and append time (UTC ms) of each. Raises PartitionError if Kafka can't be
        read.
        """
        return asyncio.run(self._find(partition, first, end, texts))

    def record(self, topic: str, partition: int, offset: int) -> pa.RecordBatch | None:
        """Return the record at an offset, as a row of RECORDS; None if there is none.

        Raises OffsetsGoneError if Kafka no longer has the offset, PartitionError if it can't be
        read.
        """
        wait_until_reachable(self.kafka, PartitionError)
        return asyncio.run(self._record(aiokafka.TopicPartition(topic, partition), offset))

    async def _record(self, tp: aiokafka.TopicPartition, offset: int) -> pa.RecordBatch | None:
        what, where = f"offset {offset} can't be read", f"{tp.topic}/{tp.partition}"
        with aiokafka_errors_as(PartitionError, what, where=where):
            async with self._reading(tp) as consumer:
                if (await consumer.end_offsets([tp]))[tp] <= offset:
                    return None
                await _refuse_where_gone(consumer, tp, offset, offset + 1)
                async for chunk in self._chunks_of(consumer, tp, offset, offset + 1):
                    return chunk.records[0] if chunk.records else None
        return None

    async def _find(
        self, partition: TopicPartition, first: int, end: int, texts: Sequence[str]
    ) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        what = f"offsets {first} to {end} can't be looked through"
        where = f"{partition.topic}/{partition.partition}"
        with aiokafka_errors_as(PartitionError, what, where=where):
            async for chunk in self._chunks(_tp(partition), first, end):
                for records in chunk.records:
                    values = records.column("value")
                    held = [pc.match_substring(values, text) for text in texts]
                    wanted = records.filter(pc.fill_null(reduce(pc.or_, held), False))
                    offsets, times = (wanted.column(n).to_pylist() for n in _OFFSET_AND_TIME)
                    found += zip(offsets, times, strict=True)
        return found

    async def _read(
        self, writer: BatchWriter, partition: TopicPartition, first: int, end: int
    ) -> int:
        rows = 0
        with self._errors():
            async for chunk in self._chunks(_tp(partition), first, end):
                written = await asyncio.to_thread(
                    writer.write, Flush(partition.topic, (chunk,)), partition.topic_id
                )
                rows += written.rows
        log.info(
            "range read again",
            partition=str(partition),
            first=first,
            next=end,
            rows=rows,
        )
        return rows

    async def _chunks(
        self, tp: aiokafka.TopicPartition, first: int, end: int
    ) -> AsyncIterator[Chunk]:
        async with self._reading(tp) as consumer:
            await _refuse_where_gone(consumer, tp, first, end)
            async for chunk in self._chunks_of(consumer, tp, first, end):
                yield chunk

    @asynccontextmanager
    async def _reading(self, tp: aiokafka.TopicPartition) -> AsyncIterator[ColumnConsumer]:
        consumer = ColumnConsumer(
            **aiokafka_options(self.kafka),
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            max_partition_fetch_bytes=_FETCH_BYTES,
        )
        await consumer.start()
        try:
            await consumer.know(tp.topic)
            consumer.assign([tp])
            yield consumer
        finally:
            await consumer.stop()

    async def _chunks_of(
        self, consumer: ColumnConsumer, tp: aiokafka.TopicPartition, first: int, end: int
    ) -> AsyncIterator[Chunk]:
        consumer.seek(tp, first)
        gathered: list[pa.RecordBatch] = []
        at = start = first
        while at < end:
            try:
                moved = await self._fetch(consumer, tp, gathered, at)
            except UnreadableBatchError as error:
                at = max(at, min(error.offset, end))  # everything before it was read
                if at > start:
                    yield Chunk(tp.partition, start, at, _until(gathered, end))
                if at < end:
                    raise
                return
            at = min(moved, end)
            if at >= end or self._is_worth_a_batch(gathered):
                yield Chunk(tp.partition, start, at, _until(gathered, end))
                gathered, start = [], at

    def _is_worth_a_batch(self, gathered: Sequence[pa.RecordBatch]) -> bool:
        return (
            sum(piece.nbytes for piece in gathered) >= self.batch_bytes
            or sum(map(len, gathered)) >= BATCH_RECORDS
        )

    async def _fetch(
        self,
        consumer: aiokafka.AIOKafkaConsumer,
        tp: aiokafka.TopicPartition,
        into: list[pa.RecordBatch],
        at: int,
    ) -> int:
        waited = 0.0
        while waited < _IDLE_SECONDS:
            fetched = await consumer.getmany(tp, timeout_ms=500, max_records=1)
            into += fetched.get(tp, ())
            position: int = await consumer.position(tp)
            if position > at:
                return position
            waited = 0.0 if tp in fetched else waited + 0.5  # a large record takes long
        raise PartitionError(
            what=f"nothing came of {tp.topic}/{tp.partition} from offset {at} on for "
            f"{_IDLE_SECONDS:.0f} s",
            where=f"Kafka {self.kafka.bootstrap_servers}",
            hint="is it up, and is a transaction still open there? run again",
        )


def _tp(partition: TopicPartition) -> aiokafka.TopicPartition:
    return aiokafka.TopicPartition(partition.topic, partition.partition)


async def _refuse_where_gone(
    consumer: aiokafka.AIOKafkaConsumer,
    tp: aiokafka.TopicPartition,
    first: int,
    end: int,
) -> None:
    start = (await consumer.beginning_offsets([tp]))[tp]
    if start > first:
        raise OffsetsGoneError(
            what=f"offsets {first} to {min(start, end)} are no longer in Kafka, whose log starts at"
            f" {start}",
            where=f"{tp.topic}/{tp.partition}",
            hint="raise the topic's retention; what was never stored can't be delivered",
        )


def _until(pieces: Iterable[pa.RecordBatch], end: int) -> tuple[pa.RecordBatch, ...]:
    """Return the records below offset `end`."""
    within = (
        piece.slice(0, int(piece.column("offset").to_numpy().searchsorted(end))) for piece in pieces
    )
    return tuple(piece for piece in within if len(piece))
