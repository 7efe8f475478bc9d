"""Stock Faust: an agent that takes events from its stream in batches, as its user guide shows it.

One event at a time costs it a little more: most is spent before the agent gets an event.
"""

from __future__ import annotations

import sys
from typing import Any

import faust

from benchmarks.job import Job
from benchmarks.stopwatch import Stopwatch
from benchmarks.systems.rows import CHUNK, Decoder, ParquetFiles, wanted


def main(job: Job) -> None:
    """Run the job; the process ends when it is done."""
    app = faust.App(
        job.group,
        broker=f"kafka://{job.bootstrap_servers}",
        key_serializer="raw",
        value_serializer="raw",
        consumer_auto_offset_reset="earliest",
        stream_buffer_maxsize=16_384,
        broker_max_poll_records=5_000,
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
    )
    topic = app.topic(job.topic.name, key_type=bytes, value_type=bytes)
    watch, decode, files = Stopwatch(job), Decoder(job.registry_url), ParquetFiles(job)

    @app.agent(topic)
    async def store(stream: Any) -> None:
        taken, next_file = 0, job.batch_events
        async for values in stream.take(CHUNK, within=1.0):
            watch.start()
            files.add([row for row in map(decode, values) if wanted(row)])
            taken += len(values)
            if taken >= next_file:
                files.finish()
                next_file += job.batch_events
                watch.durable(taken)

    faust.Worker(app, loglevel="ERROR", quiet=True).execute_from_commandline()


if __name__ == "__main__":
    main(Job.from_json(sys.argv[1]))
