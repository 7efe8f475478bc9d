"""A worker for the tests of the transport alone: each value is a row, as it stands.

`python -m tests.faults.raw_worker OPTIONS-AS-JSON` runs until SIGTERM, and says at its end how
much it held at most.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.stopwatch import peak_memory_mb
from schemas.errors import DeltadropError
from schemas.settings.kafka import KafkaSettings
from streams.reading.gather import Limits
from streams.reading.kafka import Topics
from streams.storage.folder import FolderStore
from streams.storage.partitions import Partitions
from streams.storage.stream import Stream
from streams.worker import Worker, WorkerOptions
from streams.writing.batch import BatchWriter
from streams.writing.dead_letter_topic import DeadLetterTopic

POISON = b"poison"
BOMB = b"bomb"


@dataclass(frozen=True)
class Decoded:
    batch: pa.RecordBatch
    rows: np.ndarray
    refused: tuple[Refused, ...]


@dataclass(frozen=True)
class Refused:
    index: int
    reason: str


class RawDecoder:
    """Takes every value as it is; refuses nulls and `POISON`; nobody foresaw `BOMB`."""

    def decode(self, values: pa.Array, keys: pa.Array) -> Decoded:
        if pc.any(pc.equal(values, pa.scalar(BOMB, pa.binary()))).as_py():
            raise KeyError("somebody's data")
        good = pc.fill_null(pc.not_equal(values, pa.scalar(POISON, pa.binary())), False)
        taken = values.filter(good)
        batch = pa.RecordBatch.from_arrays(
            [taken, pa.repeat("X", len(taken)), pa.repeat("API", len(taken))],
            names=["value", "eventType", "source"],
        )
        mask = good.to_numpy(zero_copy_only=False)
        refused = tuple(Refused(int(index), "poison") for index in np.flatnonzero(~mask))
        return Decoded(batch, np.flatnonzero(mask), refused)


def stream(topic: str) -> Stream:
    """The one stream that holds all of a topic's events."""
    return Stream(f"all-{topic}", topic)


def writer(topic: str, root: Path, kafka: str, dead_letters: str = "") -> BatchWriter:
    return BatchWriter(
        topic=topic,
        streams=[stream(topic)],
        decoder=RawDecoder(),
        partitions=Partitions(FolderStore(root)),
        dead_letters=DeadLetterTopic(dead_letters, KafkaSettings(bootstrap_servers=kafka)),
    )


def main(options: dict[str, Any]) -> int:
    kafka, root = options["kafka"], Path(options["root"])
    worker = Worker(
        WorkerOptions(
            KafkaSettings(bootstrap_servers=kafka),
            group=options["group"],
            limits=Limits(**options["limits"]),
            session_timeout_seconds=options["session_timeout"],
            retry_seconds=options["retry_seconds"],
        ),
        {t: writer(t, root, kafka, options.get("dead_letters", "")) for t in options["topics"]},
        Topics(KafkaSettings(bootstrap_servers=kafka)),
    )
    most = _Most(worker)
    most.start()
    try:
        worker.run()
    except DeltadropError as error:
        print(f"FAILED {error}", file=sys.stderr)
        return error.exit_code
    finally:
        most_of = {"in_flight": most.in_flight, "memory_mb": peak_memory_mb()}
        print(f"MOST {json.dumps(most_of)}", file=sys.stderr)
    return 0


class _Most(threading.Thread):
    """Looks a hundred times a second how many bytes are in flight."""

    def __init__(self, worker: Worker) -> None:
        super().__init__(daemon=True)
        self._worker = worker
        self.in_flight = 0

    def run(self) -> None:
        while True:
            consumer = getattr(self._worker.app, "_consumer", None)
            if consumer is not None:
                self.in_flight = max(self.in_flight, consumer.bytes_in_flight)
            time.sleep(0.01)


if __name__ == "__main__":
    raise SystemExit(main(json.loads(sys.argv[1])))
