"""Time closes of the window in `window_data`: each in its own process, plain and gzip in turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.closing import Took, timed_close
from benchmarks.window_data import WindowScale, prepare

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
    runs: dict[str, list[Took]] = {PLAIN: [], GZIP: []}
    for number in range(rounds):
        for export, done in runs.items():
            done.append(timed_close(root, export, folder / f"{export}-{number}.json"))
            say(f"  round {number + 1}: {export}: {done[-1].seconds:.2f} s")
    everything = [run for done in runs.values() for run in done]
    return Closes(
        window_rows=everything[0].input,
        drop_rows=everything[0].rows,
        plain_s=_median(runs[PLAIN], "seconds"),
        gzip_s=_median(runs[GZIP], "seconds"),
        gzip_vs_plain=median(
            plain.seconds / gzip.seconds
            for plain, gzip in zip(runs[PLAIN], runs[GZIP], strict=True)
        ),
        plain_cpu_s=_median(runs[PLAIN], "cpu_seconds"),
        peak_mb=max(run.peak_mb for run in everything),
    )


def _median(runs: Sequence[Took], figure: str) -> float:
    return float(median(map(attrgetter(figure), runs)))
