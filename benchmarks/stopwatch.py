"""Time and memory of one run, taken inside its process: the same rule for every system.

The clock starts when the first record reaches the system's code, so that imports, joining the
consumer group and the first fetch are nobody's loss. It stops when files are finished that hold (or
were filtered from) enough events.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.job import Job


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to: events done in so many seconds, rows in files, most memory in MB.

    cpu_seconds: of all threads, in the same time; where the machine is shared it says more.
    """

    events: int
    seconds: float
    cpu_seconds: float
    rows: int
    peak_mb: float

    @property
    def events_per_s(self) -> float:
        """The rate."""
        return self.events / self.seconds

    def to_json(self) -> str:
        """Serialise for the result file of a run."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Outcome:
        """Read back what `to_json` wrote."""
        return cls(**json.loads(text))


class Stopwatch:
    """Times one run; ends the process when enough is done, since some systems take long to stop."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._started: float | None = None
        self._cpu_before = 0.0

    def start(self) -> None:
        """Say that a record has arrived; only the first call counts."""
        if self._started is None:
            self._started = time.perf_counter()
            self._cpu_before = time.process_time()

    def durable(self, events: int) -> None:
        """Say that so many events, from the first on, are in finished files.

        At the job's number the run ends, and with it the process.
        """
        now = time.perf_counter()
        if events < self._job.events:
            return
        assert self._started is not None
        outcome = Outcome(
            events,
            now - self._started,
            time.process_time() - self._cpu_before,
            rows_in(self._job.output),
            peak_memory_mb(),
        )
        self._job.result.write_text(outcome.to_json())
        os._exit(0)


def rows_in(folder: Path) -> int:
    """Rows of all Parquet files below a folder."""
    return sum(pq.read_metadata(file).num_rows for file in folder.rglob("[!.]*.parquet"))


def peak_memory_mb() -> float:
    """Most memory that this process had resident, in MB (1,000,000 bytes).

    On Linux from /proc: `getrusage` there counts what the parent had when it started this one, too.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
