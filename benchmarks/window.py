"""Time closes of the window in `window_data`: each in its own process, plain and gzip in turns.

A close is timed whole: its cuts were taken before it starts, and when it ends its file and manifest
are in their place and its outcome is recorded. Imports and reading the definitions are not in it.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.compare import run_process
from benchmarks.stopwatch import peak_memory_mb
from benchmarks.window_data import CLOSE, WindowScale, prepare, settings
from sinks.setup import Sinks

PLAIN: Final = "openings-plain"
GZIP: Final = "openings-gzip"


@dataclass(frozen=True, slots=True)
class Closes:
    """What the closes took: medians of the rounds, and the memory of the largest.

    gzip_vs_plain: the median of the rounds' ratios of speed, as for the workers.
    """

    window_rows: int
    drop_rows: int
    plain_s: float
    gzip_s: float
    gzip_vs_plain: float
    plain_cpu_s: float
    peak_mb: float


def time_closes(
    folder: Path, scale: WindowScale, rounds: int, say: Callable[[str], None]
) -> Closes:
    """Prepare the window and close it, so many times plain and so many times with gzip."""
    root = folder / "window"
    prepare(root, scale)
    runs: dict[str, list[Mapping[str, Any]]] = {PLAIN: [], GZIP: []}
    for number in range(rounds):
        for export, done in runs.items():
            _forget_closes(root)
            result = folder / f"{export}-{number}.json"
            told = run_process("benchmarks.window", str(root), export, str(result), result=result)
            done.append(json.loads(told))
            say(f"  round {number + 1}: {export}: {done[-1]['seconds']:.2f} s")
    everything = [run for done in runs.values() for run in done]
    return Closes(
        window_rows=everything[0]["input"],
        drop_rows=everything[0]["rows"],
        plain_s=_median(runs[PLAIN], "seconds"),
        gzip_s=_median(runs[GZIP], "seconds"),
        gzip_vs_plain=median(
            plain["seconds"] / gzip["seconds"]
            for plain, gzip in zip(runs[PLAIN], runs[GZIP], strict=True)
        ),
        plain_cpu_s=_median(runs[PLAIN], "cpu_seconds"),
        peak_mb=max(run["peak_mb"] for run in everything),
    )


def _median(runs: Sequence[Mapping[str, Any]], figure: str) -> float:
    return median(float(run[figure]) for run in runs)


def _forget_closes(root: Path) -> None:
    for folder in ("ledger/exports", "transferbox"):
        shutil.rmtree(root / "var" / folder, ignore_errors=True)


def close(root: Path, name: str) -> Mapping[str, Any]:
    """Close the window for one export and say what it took."""
    sinks = Sinks.of(settings(root))
    export = next(export for export in sinks.exports if export.name == name)
    started, cpu_before = time.perf_counter(), time.process_time()
    outcome = sinks.closer.close(export, CLOSE, lambda lags: None)
    seconds = time.perf_counter() - started
    return {
        "seconds": seconds,
        "cpu_seconds": time.process_time() - cpu_before,
        "input": sum(outcome.balance.values()),
        "rows": outcome.rows,
        "balance": dict(outcome.balance),
        "peak_mb": peak_memory_mb(),
    }


if __name__ == "__main__":
    Path(sys.argv[3]).write_text(json.dumps(close(Path(sys.argv[1]), sys.argv[2])))
