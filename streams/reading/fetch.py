"""Fetched record batches as Arrow columns, without a Python object for each record.

`record_batches` reads the batches, `record_columns` their records, and `record_stream` the records
of a batch that may be large. aiokafka does everything else: requests to brokers, positions, and the
list of aborted transactions.

`ColumnConsumer` is an AIOKafkaConsumer whose `getmany` returns record batches (schema RECORDS).
"""

from __future__ import annotations

import asyncio
import struct
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeVar

import aiokafka
import numpy as np
import pyarrow as pa
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer import consumer as aiokafka_consumer
from aiokafka.consumer import fetcher as aiokafka_fetcher
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.record.control_record import ABORT_MARKER, ControlRecord

from schemas.errors import PartitionError
from streams.reading.inflate import InflateError, Payload
from streams.reading.record_batches import CorruptBatchError, KafkaBatch, KafkaBatches
from streams.reading.record_columns import CorruptRecordsError, columns_of
from streams.reading.record_stream import NOTHING, PIECE_BYTES, PIECE_RECORDS, RecordStream

_MARKER_BYTES: Final = 4 << 10  # more than any transaction marker has
_CORRUPT_HINT: Final = "is the disk of a broker failing? a replica may have it whole"
_TIME_HINT: Final = (
    "set message.timestamp.type=LogAppendTime; `deltadrop topics check` lists such topics"
)


class UnreadableBatchError(PartitionError):
    """A record batch can't be read, now or later; its partition can't go on without help.

    offset: the batch's first offset. next_offset: the offset behind the batch. Everything before
    the batch was delivered.
    """

    def __init__(
        self, why: str, *, topic: str, partition: int, offset: int, next_offset: int, hint: str
    ) -> None:
        last = next_offset - 1
        which = f"the record batch at offset {offset}"
        super().__init__(
            f"{which} can't be read: {why}"
            if last <= offset
            else f"{which} to {last} can't be read: {why}",
            where=f"{topic}/{partition}",
            hint=hint,
        )
        self.topic = topic
        self.partition = partition
        self.offset = offset
        self.next_offset = next_offset


class ColumnRecords(aiokafka_fetcher.PartitionRecords):  # type: ignore[misc]
    """The result of a fetch for one partition, as record batches (schema RECORDS).

    Iteration raises UnreadableBatchError at a batch that can't be read, after it has delivered
    everything before that batch.
    """

    next_fetch_offset: int

    def _unpack_records(self) -> Iterator[pa.RecordBatch]:
        try:
            yield from self._pieces()
        except CorruptBatchError as error:
            raise UnreadableBatchError(
                error.why,
                topic=self._tp.topic,
                partition=self._tp.partition,
                offset=error.offset,
                next_offset=error.next_offset,
                hint=error.hint or _CORRUPT_HINT,
            ) from error

    def _pieces(self) -> Iterator[pa.RecordBatch]:
        while True:
            group = self._next_group()
            yield from self._unpack(group.batches, group.payloads)
            self._pass(group.upto)
            if group.large is not None:
                yield from self._streamed(group.large)
            elif group.corrupt is not None:
                yield NOTHING  # moves the position behind the batches skipped before it
                raise group.corrupt
            elif group.is_last:
                return

    def _next_group(self) -> _Group:
        """Take small batches until they fill a piece, or the next batch is large or corrupt."""
        group = _Group(self.next_fetch_offset)
        try:
            while group.has_room and group.large is None:
                if not self._records.has_next():
                    group.is_last = True
                    break
                batch = self._records.next_batch()
                if not self._is_skipped(batch) and batch.has_records:
                    small = batch.count <= PIECE_RECORDS
                    payload = batch.records_if_small(PIECE_BYTES) if small else None
                    group.add(batch, payload)
                if group.large is None:
                    group.upto = batch.next_offset
        except CorruptBatchError as error:
            group.corrupt = error
        return group

    def _unpack(
        self, batches: list[KafkaBatch], payloads: list[Payload]
    ) -> Iterator[pa.RecordBatch]:
        """Yield the records of some batches, up to the first corrupt batch.

        Raises CorruptBatchError at a batch whose records contradict it.
        """
        if not batches:
            return
        try:
            columns = columns_of(batches, payloads)
        except CorruptRecordsError as error:
            if len(batches) == 1:
                raise batches[0].corrupt(str(error)) from error
            for batch, payload in zip(batches, payloads, strict=True):
                yield from self._unpack([batch], [payload])
            return
        yield from self._wanted(columns, batches[-1].next_offset)

    def _streamed(self, batch: KafkaBatch) -> Iterator[pa.RecordBatch]:
        """Yield the records of a batch that may be large, while it is decompressed.

        The last piece is yielded only after the whole batch was read. If the end of the batch can't
        be read, the position therefore stays inside the batch.
        """
        last: pa.RecordBatch | None = None
        try:
            for piece in RecordStream(batch, batch.source()).pieces():
                if not len(piece):
                    yield piece
                    continue
                if last is not None:
                    yield from self._wanted(last, last.column("offset")[-1].as_py() + 1)
                last = piece
        except (CorruptRecordsError, InflateError) as error:
            raise batch.corrupt(str(error)) from error
        if last is not None:
            yield from self._wanted(last, batch.next_offset)

    def _wanted(self, columns: pa.RecordBatch, upto: int) -> Iterator[pa.RecordBatch]:
        """Yield the records from the requested offset on; a batch may begin before that offset."""
        wanted = np.searchsorted(columns.column("offset").to_numpy(), self.next_fetch_offset)
        self._pass(upto)
        if wanted < len(columns):
            yield columns.slice(int(wanted))

    def _pass(self, upto: int) -> None:
        """Set where the next fetch begins; only records that were yielded count as read."""
        self.next_fetch_offset = max(self.next_fetch_offset, upto)

    def _is_skipped(self, batch: KafkaBatch) -> bool:
        """Whether a batch has no events: it is a marker, or its transaction was aborted (KIP-98).

        Raises CorruptBatchError if the checksum is wrong, or the time isn't the append time.
        """
        if self._check_crcs and not batch.validate_crc():
            raise batch.corrupt("its checksum (CRC-32C) is wrong")
        if self._isolation_level == aiokafka_fetcher.READ_COMMITTED and batch.producer_id >= 0:
            self._consume_aborted_up_to(batch.base_offset)
            if batch.is_control_batch and _is_abort_marker(batch):
                self._aborted_producers.discard(batch.producer_id)
            if batch.is_transactional and batch.producer_id in self._aborted_producers:
                return True
        if not batch.is_control_batch and not batch.has_append_time:
            # Windows are cut by append time (SPEC §3); a topic with other times can't be closed.
            raise batch.corrupt(
                "its records carry their producer's time, not the broker's append time", _TIME_HINT
            )
        return batch.is_control_batch


@dataclass(slots=True)
class _Group:
    """Batches that are read together, up to the offset `upto`, and the reason why the group ends:
    the end of the fetch, a large batch, or a corrupt one.
    """

    upto: int
    batches: list[KafkaBatch] = field(default_factory=list)
    payloads: list[Payload] = field(default_factory=list)
    nbytes: int = 0
    records: int = 0
    large: KafkaBatch | None = None
    corrupt: CorruptBatchError | None = None
    is_last: bool = False

    @property
    def has_room(self) -> bool:
        return self.nbytes < PIECE_BYTES and self.records < PIECE_RECORDS

    def add(self, batch: KafkaBatch, payload: Payload | None) -> None:
        if payload is None:
            self.large = batch
            return
        self.batches.append(batch)
        self.payloads.append(payload)
        self.nbytes += len(payload)
        self.records += batch.count


def _is_abort_marker(batch: KafkaBatch) -> bool:
    try:
        payload = batch.records_if_small(_MARKER_BYTES) or b""
        key = columns_of([batch], [payload]).column("key")[0].as_py()
        return bool(ControlRecord.parse(key) == ABORT_MARKER)
    except (CorruptRecordsError, IndexError, TypeError, struct.error) as error:
        raise batch.corrupt(
            f"it should hold a transaction marker, and doesn't ({error})"
        ) from error


_Method = TypeVar("_Method", bound=Callable[..., Any])


def _with(method: _Method, **replaced: object) -> _Method:
    """Copy a method of aiokafka, with some of the global names that it uses replaced.

    aiokafka has no other way to replace the classes that it makes. If a new release doesn't use a
    name any more, importing this module raises ImportError, instead of silently falling back to the
    slow way.
    """
    unused = replaced.keys() - set(method.__code__.co_names)
    if unused:
        raise ImportError(f"aiokafka's {method.__qualname__} no longer uses {sorted(unused)}")
    names = {**method.__globals__, **replaced}
    copied = types.FunctionType(
        method.__code__, names, method.__name__, method.__defaults__, method.__closure__
    )
    copied.__kwdefaults__ = method.__kwdefaults__
    return copied  # type: ignore[return-value]


class ColumnFetcher(aiokafka_fetcher.Fetcher):  # type: ignore[misc]
    """aiokafka's fetcher, with batches and columns instead of records."""

    async def fetched_records(
        self, partitions: object, timeout: float = 0, max_records: int | None = None
    ) -> dict[Any, list[pa.RecordBatch]]:
        """Return fetched pieces by partition; these partitions then move behind the others."""
        fetched = await super().fetched_records(partitions, timeout, max_records)
        for tp in fetched:
            if tp in self._records:
                self._records.move_to_end(tp)
        return {tp: [piece for piece in pieces if len(piece)] for tp, pieces in fetched.items()}

    async def _proc_fetch_request(self, *fetch: object) -> bool:
        """Fetch, and return whether anything was fetched.

        Closing the consumer cancels running fetches. If the broker is gone and a fetch waits for
        its retry, aiokafka passes the cancellation on, and closing fails. Here it ends the fetch.
        """
        try:
            return bool(await self._fetched(*fetch))
        except asyncio.CancelledError:
            return False

    _fetched = _with(
        aiokafka_fetcher.Fetcher._proc_fetch_request,
        MemoryRecords=KafkaBatches,
        PartitionRecords=ColumnRecords,
    )


class AskingClient(AIOKafkaClient):  # type: ignore[misc]
    """aiokafka's client, whose requests for a missing topic don't make the broker create it.

    A broker would create the topic with its own settings.
    """

    _metadata_update = _with(
        AIOKafkaClient._metadata_update,
        MetadataRequest=partial(MetadataRequest, allow_auto_topic_creation=False),
    )


class ColumnConsumer(aiokafka.AIOKafkaConsumer):  # type: ignore[misc]
    """aiokafka's consumer; its `getmany` returns a list of record batches for each partition."""

    start = _with(aiokafka_consumer.AIOKafkaConsumer.start, Fetcher=ColumnFetcher)

    async def know(self, topic: str) -> None:
        """Wait until the client knows the topic's brokers; raises KafkaError.

        Call it before assigning partitions. Otherwise the client requests them in a loop without a
        pause, as long as no broker answers.
        """
        await self._client._wait_on_metadata(topic)
