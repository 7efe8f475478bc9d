"""Gathering of each topic's fetched records, until they are large or old enough for a batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa
from faust.types import TP

from streams.reading.records import Chunk, Flush

MIB: Final = 1 << 20

BATCH_RECORDS: Final = 500_000
"""Records from which a batch is flushed. A limit is needed, as each record may become a dead letter
that the coverage record lists.
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of gathering: a batch's bytes and seconds, and the bytes of all records in memory."""

    batch_bytes: int = 64 * MIB
    batch_seconds: float = 60.0
    bytes_in_flight: int = 96 * MIB


@dataclass(slots=True)
class _Partition:
    first: int
    next: int
    records: list[pa.RecordBatch] = field(default_factory=list)


class Gather:
    """Records that were fetched and not flushed yet, by topic and partition.

    A partition's chunk runs from the end of its last chunk to the current position, even if some of
    these offsets have no record: no record may ever follow a transaction marker.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._partitions: MutableMapping[TP, _Partition] = {}
        self._since: dict[str, float] = {}
        self._bytes: dict[str, int] = {}
        self._records: dict[str, int] = {}

    @property
    def nbytes(self) -> int:
        """Bytes of the gathered records."""
        return sum(self._bytes.values())

    @property
    def has_any(self) -> bool:
        """Whether the position of any partition moved since its last chunk."""
        return bool(self._since)

    def firsts(self) -> dict[TP, int]:
        """For each partition, the first offset that isn't in a flush yet."""
        return {tp: part.first for tp, part in self._partitions.items()}

    def is_empty(self, tp: TP) -> bool:
        """Whether no offset of a partition is gathered."""
        part = self._partitions.get(tp)
        return part is None or part.next == part.first

    def reset(self, starts: Mapping[TP, int]) -> None:
        """Discard everything; reading restarts at these offsets."""
        self._partitions = {tp: _Partition(start, start) for tp, start in starts.items()}
        self._since, self._bytes, self._records = {}, {}, {}

    def restart(self, tp: TP, offset: int) -> None:
        """Discard what was gathered of one partition; its reading restarts at this offset."""
        gone = self._partitions.get(tp)
        if gone is not None and tp.topic in self._bytes:
            self._bytes[tp.topic] -= sum(batch.nbytes for batch in gone.records)
            self._records[tp.topic] -= sum(map(len, gone.records))
        self._partitions[tp] = _Partition(offset, offset)

    def continue_at(self, tp: TP, position: int) -> bool:
        """Set where the next fetch of a partition starts; return whether that is a jump.

        At a jump, the gathered records are discarded, as a chunk must not cover offsets that
        weren't read.
        """
        part = self._partitions.get(tp)
        if part is not None and part.next == position:
            return False
        self.restart(tp, position)
        return part is not None

    def add(
        self,
        records: Mapping[TP, Sequence[pa.RecordBatch]],
        positions: Mapping[TP, int],
        now: float,
    ) -> None:
        """Add the records of one fetch, in order, and the positions behind them.

        now: monotonic seconds.
        """
        for tp, pieces in records.items():
            for piece in pieces:
                self._add_piece(tp, piece)
                self._since.setdefault(tp.topic, now)
        for tp, position in positions.items():
            moved = self._partitions.get(tp)
            if moved is None:
                self._partitions[tp] = _Partition(position, position)
            elif position > moved.next:
                moved.next = position
                self._since.setdefault(tp.topic, now)

    def _add_piece(self, tp: TP, piece: pa.RecordBatch) -> None:
        first = piece.column("offset")[0].as_py()
        part = self._partitions.setdefault(tp, _Partition(first, first))
        part.records.append(piece)
        part.next = max(part.next, piece.column("offset")[-1].as_py() + 1)
        self._bytes[tp.topic] = self._bytes.get(tp.topic, 0) + piece.nbytes
        self._records[tp.topic] = self._records.get(tp.topic, 0) + len(piece)

    def seconds_until_due(self, now: float) -> float:
        """Seconds until the topic that was gathered first is due by time."""
        if not self._since:
            return self.limits.batch_seconds
        return max(0.0, min(self._since.values()) + self.limits.batch_seconds - now)

    def take_due(self, now: float) -> Iterator[Flush]:
        """Yield a flush for each topic that is due: large enough, or old enough."""
        for topic, since in list(self._since.items()):
            large = self._bytes.get(topic, 0) >= self.limits.batch_bytes
            many = self._records.get(topic, 0) >= BATCH_RECORDS
            if large or many or now - since >= self.limits.batch_seconds:
                yield self._take(topic)

    def take_all(self) -> Iterator[Flush]:
        """Yield a flush for each topic with anything gathered."""
        for topic in list(self._since):
            yield self._take(topic)

    def take_topics(self, topics: Iterable[str]) -> Iterator[Flush]:
        """Yield a flush for each of these topics with anything gathered."""
        for topic in sorted(topics):
            if topic in self._since:
                yield self._take(topic)

    def take_largest(self) -> Iterator[Flush]:
        """Yield a flush for the topic with the most gathered bytes, if there is one."""
        if self._bytes:
            yield self._take(max(self._bytes, key=self._bytes.__getitem__))

    def _take(self, topic: str) -> Flush:
        del self._since[topic]
        self._bytes.pop(topic, None)
        self._records.pop(topic, None)
        chunks = []
        for tp, part in sorted(self._partitions.items()):
            if tp.topic == topic and part.next > part.first:
                chunks.append(Chunk(tp.partition, part.first, part.next, tuple(part.records)))
                self._partitions[tp] = _Partition(part.next, part.next)
        return Flush(topic, tuple(chunks))
