"""Files of streams that are missing or broken are written again under their own names, from what
Kafka still has: with the same rows, so that coverage and its proofs hold.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import structlog

from schemas.errors import PartitionError
from streams.recovery.range_reader import RangeReader
from streams.storage.layout import Batch, CoveragePath, StreamFilePath, TopicPartition
from streams.storage.partitions import Partitions
from streams.writing.batch import BatchWriter

__all__ = ["Restorer"]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Restorer:
    """Writes files again. writers: of the topics that are read, by name."""

    partitions: Partitions
    writers: Mapping[str, BatchWriter]
    reader: RangeReader

    def restore(self, owner: TopicPartition, files: Collection[str]) -> None:
        """Write files of a topic again that its coverage records name; owner: any partition of it.

        Raises OffsetsGoneError where Kafka no longer has the events, PartitionError where it can't
        be read, or gives other rows than were stored: then no file of that batch is written.
        """
        batches: dict[Batch, list[str]] = defaultdict(list)
        for file in files:
            batches[StreamFilePath.parse(file).batch].append(file)
        for batch, together in sorted(batches.items()):
            self._restore(owner, batch, together)

    def _restore(self, owner: TopicPartition, batch: Batch, files: Collection[str]) -> None:
        writer = self.writers.get(owner.topic)
        if writer is None:
            raise PartitionError(
                what=f"no table defines topic '{owner.topic}' any more", where=owner.topic
            )
        records = self.partitions.records_of(owner, batch)
        chunks = [self.reader.fetched(path.partition, path.first, path.next) for path in records]
        rows = writer.rows_of(chunks, owner.topic_id)
        expected = {file: self._rows(file, records) for file in files}
        self.partitions.restore_files(rows, writer.streams, batch, expected)
        log.info("files read again", batch=batch, files=sorted(files))

    def _rows(self, file: str, records: Collection[CoveragePath]) -> dict[int, int]:
        """How many rows of each partition a file had, as coverage says."""
        return {
            path.partition.partition: covered.rows
            for path in records
            for covered in self.partitions.record(path).files
            if covered.path == file and covered.rows
        }
