"""Bytewax: its Kafka source, a batch operator that decodes and filters, a sink of its own."""

from __future__ import annotations

import sys
from typing import Any, Final

from bytewax import operators as op
from bytewax.connectors.kafka import KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.testing import run_main

from benchmarks.job import Job
from benchmarks.stopwatch import Stopwatch
from benchmarks.systems.rows import CHUNK, Decoder, ParquetFiles, Row, wanted

_POLL: Final = 1_000
"""Messages a poll: what its documentation advises for throughput; 10,000 were no faster."""


class Filter:
    """Decodes a batch of messages and keeps the rows that are wanted; counts what passes."""

    def __init__(self, job: Job, watch: Stopwatch) -> None:
        self.taken = 0
        self._decode = Decoder(job.registry_url)
        self._watch = watch

    def __call__(self, messages: list[Any]) -> list[Row]:
        self._watch.start()
        self.taken += len(messages)
        rows = [self._decode(message.value) for message in messages]
        return [row for row in rows if wanted(row)]


class ParquetPartition(StatelessSinkPartition[Row]):
    """Collects rows into chunks, and chunks into a file of so many events."""

    def __init__(self, job: Job, watch: Stopwatch, source: Filter) -> None:
        self._files = ParquetFiles(job)
        self._watch = watch
        self._source = source
        self._batch_events = job.batch_events
        self._next_file = job.batch_events
        self._rows: list[Row] = []

    def write_batch(self, items: list[Row]) -> None:
        """See StatelessSinkPartition.write_batch."""
        self._rows.extend(items)
        whole = self._source.taken >= self._next_file
        if len(self._rows) >= CHUNK or whole:
            self._files.add(self._rows)
            self._rows = []
        if whole:
            self._files.finish()
            self._next_file += self._batch_events
            self._watch.durable(self._source.taken)


class ParquetSink(DynamicSink[Row]):
    """The sink of the flow's only worker."""

    def __init__(self, partition: ParquetPartition) -> None:
        self._partition = partition

    def build(self, step_id: str, worker_index: int, worker_count: int) -> ParquetPartition:
        """See DynamicSink.build."""
        return self._partition


def main(job: Job) -> None:
    """Run the job; the process ends when it is done."""
    watch = Stopwatch(job)
    filtered = Filter(job, watch)
    flow = Dataflow("benchmark")
    source = KafkaSource([job.bootstrap_servers], [job.topic.name], batch_size=_POLL)
    messages = op.input("kafka", flow, source)
    rows = op.flat_map_batch("decode and filter", messages, filtered)
    op.output("parquet", rows, ParquetSink(ParquetPartition(job, watch, filtered)))
    run_main(flow)  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main(Job.from_json(sys.argv[1]))
