"""deltadrop: its worker as it runs in production, with one stream that holds what the job wants.

Everything is on: coverage records, dead letters, offsets in the rows, files flushed to the disk,
the contract's checks.
"""

from __future__ import annotations

import logging
import sys
from typing import Final
from unittest.mock import patch
from uuid import UUID

import pyarrow as pa
import structlog
from faust.types import TP

from benchmarks.job import EVENT_TYPES, SOURCES, Job
from benchmarks.stopwatch import Stopwatch
from benchmarks.topic import catalog
from schemas.decoding.decode import Decoder
from schemas.registry.registry import Registry
from schemas.settings.kafka import KafkaSettings
from schemas.topics import dead_letter_topic
from streams.reading import faust_transport as transport
from streams.reading.gather import Gather, Limits
from streams.reading.kafka import Topics
from streams.reading.records import Flush
from streams.storage.folder import FolderStore
from streams.storage.partitions import Partitions
from streams.storage.stream import Stream, builtin_streams
from streams.worker import Worker, WorkerOptions
from streams.writing.batch import BatchWriter, Written
from streams.writing.dead_letter_topic import DeadLetterTopic

BUILTIN: Final = "builtin"
"""Second argument of a run that stores all events in the built-in streams, as production does."""


class TimedWriter(BatchWriter):
    """The worker's writer, which also tells the stopwatch what is durable."""

    def __init__(self, watch: Stopwatch, job: Job, streams: tuple[Stream, ...]) -> None:
        kafka = KafkaSettings(bootstrap_servers=job.bootstrap_servers)
        super().__init__(
            topic=job.topic.name,
            streams=streams,
            decoder=Decoder(Registry(job.registry_url), job.topic, catalog()),
            partitions=Partitions(FolderStore(job.output)),
            dead_letters=DeadLetterTopic(dead_letter_topic(job.topic.prefix), kafka),
        )
        self._watch = watch
        self._events = 0

    def write(self, flush: Flush, topic_id: UUID) -> Written:
        """See BatchWriter.write."""
        written = super().write(flush, topic_id)
        self._events += written.rows + written.dead_letters
        self._watch.durable(self._events)
        return written


def main(job: Job, streams: tuple[Stream, ...]) -> None:
    """Run the job; the process ends when it is done."""
    quiet = structlog.make_filtering_bound_logger(logging.ERROR)
    plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(wrapper_class=quiet, processors=[plain])
    watch = Stopwatch(job)
    options = WorkerOptions(
        KafkaSettings(bootstrap_servers=job.bootstrap_servers),
        group=job.group,
        limits=Limits(batch_bytes=job.batch_bytes),
    )
    topics = Topics(KafkaSettings(bootstrap_servers=job.bootstrap_servers))
    worker = Worker(options, {job.topic.name: TimedWriter(watch, job, streams)}, topics)
    with patch.object(transport, "Gather", _timed_gather(watch)):
        worker.run()


def _timed_gather(watch: Stopwatch) -> type[Gather]:
    """The transport's gathering, which also starts the stopwatch at the first record."""

    class TimedGather(Gather):
        def _add_piece(self, tp: TP, piece: pa.RecordBatch) -> None:
            watch.start()
            super()._add_piece(tp, piece)

    return TimedGather


def wanted_stream(job: Job) -> Stream:
    """The job's filter as a stream."""
    return Stream("benchmark", job.topic.name, EVENT_TYPES, SOURCES)


if __name__ == "__main__":
    given = Job.from_json(sys.argv[1])
    main(
        given,
        builtin_streams([given.topic]) if BUILTIN in sys.argv[2:] else (wanted_stream(given),),
    )
