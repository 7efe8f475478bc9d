"""Turn a flush into durable files: decode, write, dead letters, coverage — in this order.

Used by the worker for what Kafka brings and by the range reader for what is read again, so that
both leave the same files behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.bounds import FIRST_MOMENT_MS, LAST_MOMENT_MS
from streams.coverage import CoverageRecord, DeadLetter
from streams.dead_letters import DeadLetters, Poison
from streams.layout import Batch, CoveragePath, TopicPartition
from streams.partitions import META, Partitions, StreamRows
from streams.record_stream import PIECE_BYTES
from streams.records import Chunk, Flush, placed
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

    @property
    def batch(self) -> pa.RecordBatch:
        """The decoded rows, in order."""

    @property
    def rows(self) -> npt.NDArray[np.int64]:
        """For each row, the index of its record, ascending."""

    @property
    def refused(self) -> Sequence[Refusal]:
        """The other records."""


class Decoder(Protocol):
    """Decodes the values of one topic; raises RegistryError where the registry can't be asked."""

    def decode(self, values: pa.Array, keys: pa.Array) -> Decoded:
        """Decode binary arrays of one length."""


class Erasure(Protocol):
    """Knows whose deletion was recorded: see `streams.personal.Writes`."""

    def emptied(self, rows: pa.Table, topic_id: UUID) -> pa.Table:
        """Return rows (event columns and META) without the personal data of the gone."""


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
        erasure: Erasure | None = None,
    ) -> None:
        self.topic = topic
        self.streams = tuple(streams)
        self._decoder = decoder
        self.partitions = partitions
        self._dead_letters = dead_letters
        self._erasure = erasure

    def write(self, flush: Flush, topic_id: UUID) -> Written:
        """Make a flush durable; a second call with the same flush is a repeat that readers settle.

        Raises PartitionError or RegistryError; then nothing of the flush exists for a reader.
        """
        chunks, nbytes = flush.chunks, flush.nbytes  # its owner may let go of them meanwhile
        rows, poison = self._decoded(chunks)
        files: tuple[StreamRows, ...] = ()
        if rows:
            kept = self._without_the_gone(pa.Table.from_batches(rows), topic_id)
            files = self.partitions.write_files(kept, self.streams, flush.batch)
        if poison:
            self._dead_letters.send(poison)
        for chunk in chunks:
            self.partitions.write_coverage(
                self._coverage(flush.batch, chunk, topic_id, files, poison)
            )
        return Written(flush.batch, sum(map(len, rows)), len(poison), nbytes)

    def _decoded(self, chunks: Sequence[Chunk]) -> tuple[list[pa.RecordBatch], list[Poison]]:
        rows: list[pa.RecordBatch] = []
        poison: list[Poison] = []
        for whole in placed(chunks, PIECE_BYTES):
            records, wrong = _without_wrong_times(whole)
            poison += [self._poison(whole, refusal) for refusal in wrong]
            if not len(records):
                continue
            decoded = self._decoder.decode(records.column("value"), records.column("key"))
            if decoded.batch.num_rows:
                rows.append(_with_meta(decoded, records))
            poison += [self._poison(records, refusal) for refusal in decoded.refused]
        return rows, poison

    def _without_the_gone(self, rows: pa.Table, topic_id: UUID) -> pa.Table:
        """Empty what was erased before: a mended range or a late worker must not bring it back."""
        return rows if self._erasure is None else self._erasure.emptied(rows, topic_id)

    def _poison(self, records: pa.RecordBatch, refusal: Refusal) -> Poison:
        at = {name: records.column(name)[refusal.index].as_py() for name in records.schema.names}
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
        batch: Batch,
        chunk: Chunk,
        topic_id: UUID,
        files: Sequence[StreamRows],
        poison: Sequence[Poison],
    ) -> CoverageRecord:
        owner = TopicPartition(self.topic, topic_id, chunk.partition)
        return CoverageRecord(
            CoveragePath(owner, chunk.first, chunk.next, batch),
            {stream.name: stream.fingerprint for stream in self.streams},
            tuple(f.as_seen_by(chunk.partition) for f in files if chunk.partition in f.rows),
            tuple(DeadLetter(p.offset, p.reason) for p in poison if p.partition == chunk.partition),
            chunk.appended,
        )


@dataclass(frozen=True, slots=True)
class _WrongTime:
    """A record that can't be stored by its append time: no engine reads it (SPEC §6)."""

    index: int
    reason: str


def _without_wrong_times(
    records: pa.RecordBatch,
) -> tuple[pa.RecordBatch, Sequence[_WrongTime]]:
    """Leave out the records whose append time isn't a moment: a replay gets a right one."""
    times = records.column("appended_at").to_numpy()
    wrong = (times < FIRST_MOMENT_MS) | (times > LAST_MOMENT_MS)
    if not wrong.any():
        return records, ()
    reason = (
        "its append time, {} ms since 1970, isn't between 0001-01-02 and 9999-12-30: a broker's"
        " clock is wrong; set it right, then replay the event"
    )
    refused = [_WrongTime(int(n), reason.format(times[n])) for n in np.flatnonzero(wrong)]
    return records.filter(pa.array(~wrong)), refused


def _with_meta(decoded: Decoded, records: pa.RecordBatch) -> pa.RecordBatch:
    at = records.select(["partition", "offset", "appended_at"])
    if len(decoded.rows) != len(records):
        at = at.take(pa.array(decoded.rows))
    partition, offset, appended_at = at.columns
    return pa.RecordBatch.from_arrays(
        [*decoded.batch.columns, partition, offset, appended_at.cast(META[2].type)],
        schema=pa.schema([*decoded.batch.schema, *META]),
    )
