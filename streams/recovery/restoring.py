"""Write missing or broken stream files again, under their own names, from what Kafka still has.

The files get the same rows as before, so that coverage and its proofs stay valid.
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
from streams.storage.stream_files import restore_files
from streams.writing.batch import BatchWriter

__all__ = ["Restorer"]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Restorer:
    """Writes stream files again. writers: by the names of the topics that are read."""

    partitions: Partitions
    writers: Mapping[str, BatchWriter]
    reader: RangeReader

    def restore(self, owner: TopicPartition, files: Collection[str]) -> None:
        """Write files again that coverage records of a topic name. owner: any partition of that
        topic.

        Raises OffsetsGoneError if Kafka no longer has the events. Raises PartitionError if Kafka
        can't be read, if no definition has the topic any more, or if the rows differ from those
        that were stored. Then no file of that batch is written.
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
        restore_files(self.partitions.store, rows, writer.streams, batch, expected)
        log.info("files read again", batch=batch, files=sorted(files))

    def _rows(self, file: str, records: Collection[CoveragePath]) -> dict[int, int]:
        """Return how many rows of each partition a file had, by its coverage records."""
        return {
            path.partition.partition: covered.rows
            for path in records
            for covered in self.partitions.record(path).files
            if covered.path == file and covered.rows
        }
