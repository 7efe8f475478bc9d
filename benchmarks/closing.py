"""A close in a process of its own: ``python -m benchmarks.isolated benchmarks.closing ROOT EXPORT
RESULT``.

It is timed whole: its cuts were taken before it starts, and when it ends its file and manifest are
in their place and its outcome is recorded. Imports and reading the definitions are not in it.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.compare import run_process
from benchmarks.installation import CLOSE, settings
from benchmarks.stopwatch import peak_memory_mb
from sinks.setup import Sinks


@dataclass(frozen=True, slots=True)
class Took:
    """What one piece of work took: time, time of all threads, most memory, and its rows."""

    seconds: float
    cpu_seconds: float
    peak_mb: float
    input: int
    rows: int

    @classmethod
    def by(cls, work: Callable[[], tuple[int, int]]) -> Took:
        """Do a piece of work that returns its rows, read and written."""
        started, cpu_before = time.perf_counter(), time.process_time()
        read, written = work()
        seconds = time.perf_counter() - started
        cpu_seconds = time.process_time() - cpu_before
        return cls(seconds, cpu_seconds, peak_memory_mb(), read, written)

    def to_json(self) -> str:
        """Serialise for the result file."""
        return json.dumps(asdict(self))


def took(module: str, *arguments: str, result: Path) -> Took:
    """Run a module of this kind in a process of its own."""
    fields = run_process(module, *arguments, str(result), result=result)
    return Took(**json.loads(fields))


def timed_close(root: Path, export: str, result: Path) -> Took:
    """Close an export's window, as if nothing had been closed before."""
    for folder in ("ledger/exports", "transferbox"):
        shutil.rmtree(root / "var" / folder, ignore_errors=True)
    return took("benchmarks.closing", str(root), export, result=result)


def _close(root: Path, name: str) -> Took:
    sinks = Sinks.of(settings(root))
    export = next(export for export in sinks.exports if export.name == name)

    def work() -> tuple[int, int]:
        outcome = sinks.closer.close(export, CLOSE, lambda lags: None)
        return sum(outcome.balance.values()), outcome.rows

    return Took.by(work)


if __name__ == "__main__":
    Path(sys.argv[3]).write_text(_close(Path(sys.argv[1]), sys.argv[2]).to_json())
