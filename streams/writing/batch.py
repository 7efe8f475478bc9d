"""Writer of a flush: it decodes, writes files, sends dead letters and writes coverage, in this
order.

The worker uses it for new records, recovery for offsets that are read again. So both leave the same
files.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol
from uuid import UUID

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.bounds import FIRST_MOMENT_MS, LAST_MOMENT_MS
from schemas.errors import PartitionError
from schemas.reasons import reason_text
from streams.reading.record_stream import MOST_RECORD_BYTES, PIECE_BYTES
from streams.reading.records import Chunk, Flush, Part, placed
from streams.storage.coverage import CoverageRecord, DeadLetter
from streams.storage.layout import Batch, CoveragePath, TopicPartition
from streams.storage.partitions import Partitions
from streams.storage.stream import Stream
from streams.storage.stream_files import (
    META,
    StreamRows,
    UnreadableOutputError,
    refusals,
    write_files,
)
from streams.writing.dead_letter_topic import DeadLetters, Poison

_TOO_LARGE: Final = (
    f"the record has more than {MOST_RECORD_BYTES:,} bytes, as it is without compression"
)


class Refusal(Protocol):
    """A record that can't be used, and the reason."""

    @property
    def index(self) -> int:
        """The record's index in the decoder's input."""

    @property
    def reason(self) -> str:
        """Why it was refused."""


class DecodedRows(Protocol):
    """Decoded rows, the indexes of their records, and the refused records."""

    @property
    def batch(self) -> pa.RecordBatch:
        """The decoded rows, in order."""

    @property
    def rows(self) -> npt.NDArray[np.int64]:
        """For each row, the index of its record, ascending."""

    @property
    def refused(self) -> Sequence[Refusal]:
        """The records that couldn't be decoded."""


class RowDecoder(Protocol):
    """A decoder for the values of one topic."""

    def decode(self, values: pa.Array, keys: pa.Array) -> DecodedRows:
        """Decode values and their keys, two binary arrays of the same length.

        Raises RegistryError if the registry doesn't answer.
        """


class Erasure(Protocol):
    """Removal of deleted people's personal data: see `streams.erasure.personal.Writes`."""

    def emptied(self, rows: pa.Table, topic_id: UUID) -> pa.Table:
        """The rows (event columns and META), with deleted people's personal data emptied."""


@dataclass(frozen=True, slots=True)
class Written:
    """Numbers of a written batch: rows, dead letters, and bytes of the records as in Kafka."""

    batch: Batch
    rows: int
    dead_letters: int
    nbytes: int


class BatchWriter:
    """Writer of the flushes of one topic."""

    def __init__(
        self,
        *,
        topic: str,
        streams: Sequence[Stream],
        decoder: RowDecoder,
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
        """Make a flush durable. Readers use one copy, if the same flush is written twice.

        Raises PartitionError or RegistryError. Then chunks without a coverage record don't exist
        for readers; chunks with one do.
        """
        chunks, nbytes = flush.chunks, flush.nbytes  # the flush may be released meanwhile
        decoded, refused = self._decoded(chunks)
        files: tuple[StreamRows, ...] = ()
        stored = 0
        if decoded:
            rows = self._without_the_gone(pa.Table.from_batches(decoded), topic_id)
            files, unreadable = self._write_files(rows, flush.batch)
            refused += _refused_rows(chunks, unreadable)
            stored = rows.num_rows - len(unreadable)
        if refused:
            self._dead_letters.send(event for some in refused for event in some.events(self.topic))
        letters = _letters(refused)
        for chunk in chunks:
            self.partitions.write_coverage(
                self._coverage(flush.batch, chunk, topic_id, files, letters[chunk.partition])
            )
        return Written(flush.batch, stored, sum(map(len, letters.values())), nbytes)

    def rows_of(self, chunks: Sequence[Chunk], topic_id: UUID) -> pa.Table:
        """Decode records that were stored before, with deleted people's personal data emptied.

        Raises PartitionError if none of the records can be decoded.
        """
        decoded, _ = self._decoded(chunks)
        if not decoded:
            raise PartitionError(what="none of these records can be decoded", where=self.topic)
        return self._without_the_gone(pa.Table.from_batches(decoded), topic_id)

    def _write_files(
        self, rows: pa.Table, batch: Batch
    ) -> tuple[tuple[StreamRows, ...], dict[tuple[int, int], str]]:
        """Write the rows that the engine can read back.

        Returns the files, and the reasons for refused rows by partition and offset. The decoder
        refuses such values, too. This second check finds faults of the decoder, and of values that
        streams' own functions make.
        """
        refused = refusals(rows, "can't be stored")
        left = _without(rows, refused)
        while left.num_rows:
            try:
                return write_files(self.partitions.store, left, self.streams, batch), refused
            except UnreadableOutputError as error:
                before, refused = left.num_rows, {**refused, **error.rows}
                left = _without(left, error.rows)
                if left.num_rows == before:  # the unreadable row isn't in this batch
                    raise PartitionError(what=str(error), where=self.topic) from error
        return (), refused

    def _decoded(self, chunks: Sequence[Chunk]) -> tuple[list[pa.RecordBatch], list[_Refused]]:
        rows: list[pa.RecordBatch] = []
        refused: list[_Refused] = []
        for whole in placed(chunks, PIECE_BYTES):
            part = Part.of(whole)
            if part is not None:
                refused.append(_Refused(whole, (_TOO_LARGE,), part))
                continue
            records, wrong = _without_wrong_times(whole)
            if wrong:
                refused.append(_Refused.of(whole, wrong))
            if not len(records):
                continue
            decoded = self._decoder.decode(records.column("value"), records.column("key"))
            if decoded.batch.num_rows:
                rows.append(_with_meta(decoded, records))
            if decoded.refused:
                refused.append(_Refused.of(records, decoded.refused))
        return rows, refused

    def _without_the_gone(self, rows: pa.Table, topic_id: UUID) -> pa.Table:
        """Empty deleted people's personal data: an offset that is read again, or a late worker,
        must not bring erased data back.
        """
        return rows if self._erasure is None else self._erasure.emptied(rows, topic_id)

    def _coverage(
        self,
        batch: Batch,
        chunk: Chunk,
        topic_id: UUID,
        files: Sequence[StreamRows],
        letters: Sequence[DeadLetter],
    ) -> CoverageRecord:
        owner = TopicPartition(self.topic, topic_id, chunk.partition)
        return CoverageRecord(
            CoveragePath(owner, chunk.first, chunk.next, batch),
            {stream.name: stream.fingerprint for stream in self.streams},
            tuple(f.as_seen_by(chunk.partition) for f in files if chunk.partition in f.rows),
            tuple(letters),
            chunk.appended,
        )


@dataclass(frozen=True, slots=True)
class _WrongTime:
    """A record whose append time is outside the range that engines can read (SPEC §6)."""

    index: int
    reason: str


def _without_wrong_times(
    records: pa.RecordBatch,
) -> tuple[pa.RecordBatch, Sequence[_WrongTime]]:
    """(records whose append time is a valid moment, the refused others).

    A replay of a refused record gets a new append time.
    """
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


@dataclass(frozen=True, slots=True)
class _Refused:
    """Refused records (schema PLACED), with the reason of each; part: see Poison."""

    records: pa.RecordBatch
    reasons: tuple[str, ...]
    part: Part | None = None

    @classmethod
    def of(cls, records: pa.RecordBatch, refused: Sequence[Refusal]) -> _Refused:
        texts = {reason: reason_text(reason) for reason in {datum.reason for datum in refused}}
        index = pa.array([datum.index for datum in refused], pa.int64())
        return cls(records.take(index), tuple(texts[datum.reason] for datum in refused))

    def events(self, topic: str) -> Iterator[Poison]:
        """Yield the events one by one, as all together may take much memory."""
        columns = {name: self.records.column(name) for name in self.records.schema.names}
        for index, reason in enumerate(self.reasons):
            at = {name: column[index].as_py() for name, column in columns.items()}
            yield Poison(topic, reason=reason, part=self.part, **at)


def _letters(refused: Sequence[_Refused]) -> dict[int, list[DeadLetter]]:
    """The dead letters of each partition, in order of offsets."""
    found: dict[int, list[DeadLetter]] = defaultdict(list)
    for some in refused:
        places = (some.records.column(name).to_pylist() for name in ("partition", "offset"))
        for partition, offset, reason in zip(*places, some.reasons, strict=True):
            found[partition].append(DeadLetter(offset, reason))
    for letters in found.values():
        letters.sort(key=lambda letter: letter.offset)
    return found


def _without(rows: pa.Table, refused: Mapping[tuple[int, int], str]) -> pa.Table:
    if not refused:
        return rows
    partition, offset = (rows[field.name].to_numpy() for field in META[:2])
    gone = np.zeros(rows.num_rows, np.bool_)
    for number, offsets in _by_partition(refused).items():
        gone |= (partition == number) & np.isin(offset, offsets)
    return rows.filter(pa.array(~gone))


def _refused_rows(
    chunks: Sequence[Chunk], refused: Mapping[tuple[int, int], str]
) -> Iterator[_Refused]:
    """Yield the records of refused rows, as they are in Kafka."""
    if not refused:
        return
    offsets = _by_partition(refused)
    for records in placed((chunk for chunk in chunks if chunk.partition in offsets), PIECE_BYTES):
        places = [records.column(name).to_pylist() for name in ("partition", "offset")]
        reasons = [refused.get(place, "") for place in zip(*places, strict=True)]
        wanted = pa.array([bool(reason) for reason in reasons])
        found = tuple(reason_text(reason) for reason in reasons if reason)
        if found:
            yield _Refused(records.filter(wanted), found)


def _by_partition(places: Iterable[tuple[int, int]]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = defaultdict(list)
    for partition, offset in places:
        found[partition].append(offset)
    return found


def _with_meta(decoded: DecodedRows, records: pa.RecordBatch) -> pa.RecordBatch:
    at = records.select(["partition", "offset", "appended_at"])
    if len(decoded.rows) != len(records):
        at = at.take(pa.array(decoded.rows))
    partition, offset, appended_at = at.columns
    return pa.RecordBatch.from_arrays(
        [*decoded.batch.columns, partition, offset, appended_at.cast(META[2].type)],
        schema=pa.schema([*decoded.batch.schema, *META]),
    )
