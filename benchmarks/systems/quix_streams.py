"""Quix Streams: a deserialiser, a filter, and a batching sink that writes at each checkpoint."""

from __future__ import annotations

import logging
import sys

from quixstreams import Application
from quixstreams.models import Deserializer, SerializationContext
from quixstreams.sinks import BatchingSink, SinkBatch

from benchmarks.job import Job
from benchmarks.stopwatch import Stopwatch
from benchmarks.systems.rows import Decoder, ParquetFiles, Row, wanted


class ConfluentAvro(Deserializer):
    """Avro by fastavro, without the detour of the client's own deserialiser; counts events."""

    def __init__(self, job: Job, watch: Stopwatch) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.taken = 0
        self._decode = Decoder(job.registry_url)
        self._watch = watch

    def __call__(self, value: bytes, ctx: SerializationContext) -> Row:
        if not self.taken:
            self._watch.start()
        self.taken += 1
        return self._decode(value)


class ParquetSink(BatchingSink):
    """A file for each partition and checkpoint."""

    def __init__(self, job: Job, watch: Stopwatch, avro: ConfluentAvro) -> None:
        super().__init__()
        self._files = ParquetFiles(job)
        self._watch = watch
        self._avro = avro

    def write(self, batch: SinkBatch) -> None:
        """See BatchingSink.write."""
        self._files.write(item.value for item in batch)

    def flush(self) -> None:
        """Write all partitions' batches; then all that was taken is in files."""
        super().flush()  # type: ignore[no-untyped-call]
        self._watch.durable(self._avro.taken)


def main(job: Job) -> None:
    """Run the job; the process ends when it is done."""
    watch = Stopwatch(job)
    avro = ConfluentAvro(job, watch)
    app = Application(
        broker_address=job.bootstrap_servers,
        consumer_group=job.group,
        auto_offset_reset="earliest",
        commit_every=job.batch_events,
        commit_interval=60,
        auto_create_topics=False,
        state_dir=job.result.parent / "state",
        loglevel=logging.ERROR,
    )
    topic = app.topic(job.topic.name, value_deserializer=avro, key_deserializer="bytes")
    events = app.dataframe(topic)
    events = events.filter(wanted)
    events.sink(ParquetSink(job, watch, avro))
    app.run()


if __name__ == "__main__":
    main(Job.from_json(sys.argv[1]))
