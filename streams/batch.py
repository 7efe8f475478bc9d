"""Turn a flush into durable files: decode, write, dead letters, coverage — in this order.

Used by the worker for what Kafka brings and by the range reader for what is read again, so that
both leave the same files behind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

import numpy as np
import pyarrow as pa

from streams.coverage import CoverageRecord, DeadLetter
from streams.dead_letters import DeadLetters, Poison
from streams.layout import Batch, CoveragePath, TopicPartition
from streams.partitions import META, Partitions, StreamRows
from streams.records import Chunk, Flush
from streams.stream import Stream


class Refusal(Protocol):
    """Why the record at `index` of a batch can't be used."""

    @property
    def index(self) -> int:
        """Position among the records that were to be decoded."""

    @property
    def reason(self) -> str:
        """Why it was refused."""


class Decoded(Protocol):
    """Decoded rows, which records they are of, and the refused ones."""

    batch: pa.RecordBatch
    rows: np.ndarray
    refused: Sequence[Refusal]


class Decoder(Protocol):
    """Decodes the values of one topic; raises RegistryError where the registry can't be asked."""

    def decode(self, values: pa.Array, keys: pa.Array) -> Decoded:
        """Decode binary arrays of one length."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a batch held: decoded rows, dead letters, and the bytes of the records."""

    batch: Batch
    rows: int
    dead_letters: int
    nbytes: int


class BatchWriter:
    """Writes the flushes of one topic."""

    def __init__(
        self,
        *,
        topic: str,
        streams: Sequence[Stream],
        decoder: Decoder,
        partitions: Partitions,
        dead_letters: DeadLetters,
    ) -> None:
        self.topic = topic
        self.streams = tuple(streams)
        self._decoder = decoder
        self._partitions = partitions
        self._dead_letters = dead_letters

    def write(self, flush: Flush, topic_id: UUID) -> Written:
        """Make a flush durable; a second call with the same flush is a repeat that readers settle.

        Raises PartitionError or RegistryError; then nothing of the flush exists for a reader.
        """
        records = _concatenated(flush.chunks)
        decoded = self._decoder.decode(records.column("value"), records.column("key"))
        files: tuple[StreamRows, ...] = ()
        if decoded.batch.num_rows:
            files = self._partitions.write_files(
                _with_meta(decoded, records), self.streams, flush.batch
            )
        poison = [self._poison(records, refusal) for refusal in decoded.refused]
        if poison:
            self._dead_letters.send(poison)
        for chunk in flush.chunks:
            self._partitions.write_coverage(
                self._coverage(flush, chunk, topic_id, files, poison)
            )
        return Written(flush.batch, decoded.batch.num_rows, len(poison), flush.nbytes)

    def _poison(self, records: pa.RecordBatch, refusal: Refusal) -> Poison:
        at = {
            name: records.column(name)[refusal.index].as_py()
            for name in records.schema.names
        }
        return Poison(
            self.topic,
            at["partition"],
            at["offset"],
            at["appended_at"],
            at["key"],
            at["value"],
            refusal.reason,
        )

    def _coverage(
        self,
        flush: Flush,
        chunk: Chunk,
        topic_id: UUID,
        files: Sequence[StreamRows],
        poison: Sequence[Poison],
    ) -> CoverageRecord:
        owner = TopicPartition(self.topic, topic_id, chunk.partition)
        return CoverageRecord(
            CoveragePath(owner, chunk.first, chunk.next, flush.batch),
            {stream.name: stream.fingerprint for stream in self.streams},
            tuple(
                f.as_seen_by(chunk.partition)
                for f in files
                if chunk.partition in f.rows
            ),
            tuple(
                DeadLetter(p.offset, p.reason)
                for p in poison
                if p.partition == chunk.partition
            ),
            _appended(chunk),
        )


def _concatenated(chunks: Sequence[Chunk]) -> pa.RecordBatch:
    tables = [
        chunk.records.append_column(
            "partition",
            pa.repeat(pa.scalar(chunk.partition, pa.int32()), len(chunk.records)),
        )
        for chunk in chunks
    ]
    return pa.concat_batches(tables)


def _with_meta(decoded: Decoded, records: pa.RecordBatch) -> pa.Table:
    rows = pa.array(decoded.rows)
    meta: Mapping[str, pa.Array] = {
        "_partition": records.column("partition").take(rows),
        "_offset": records.column("offset").take(rows),
        "_appended_at": records.column("appended_at").take(rows).cast(META[2].type),
    }
    table = pa.Table.from_batches([decoded.batch])
    for column in META:
        table = table.append_column(column, meta[column.name])
    return table


def _appended(chunk: Chunk) -> tuple[int, int] | None:
    if not len(chunk.records):
        return None
    times = chunk.records.column("appended_at").to_numpy()
    return int(times.min()), int(times.max())
