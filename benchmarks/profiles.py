"""Time closes with ten `profile-` columns beside more and more profiles, and the making of their
base: each in its own process (``python -m benchmarks.isolated benchmarks.profiles ROOT RESULT``
makes a base).
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.closing import Took, timed_close, took
from benchmarks.installation import CLOSE, settings
from benchmarks.profile_data import BASE, EXPORT, ProfileScale, prepare, topic_of_profiles
from sinks.setup import Sinks


@dataclass(frozen=True, slots=True)
class Grown:
    """What closes took beside so many profiles, and making their base.

    first_base: from all that was ever told; base: from the one before and the rows since.
    """

    profiles: int
    closes: tuple[Took, ...]
    first_base: Took
    base: Took

    @property
    def close_s(self) -> float:
        """Seconds of a close; the median."""
        return median(close.seconds for close in self.closes)

    @property
    def close_cpu_s(self) -> float:
        """Seconds of all processors that a close takes; the median."""
        return median(close.cpu_seconds for close in self.closes)

    @property
    def close_peak_mb(self) -> float:
        """Memory of the largest close."""
        return max(close.peak_mb for close in self.closes)

    @property
    def base_peak_mb(self) -> float:
        """Memory of making either base."""
        return max(self.first_base.peak_mb, self.base.peak_mb)


def time_growth(
    folder: Path, scales: Mapping[str, ProfileScale], rounds: int, say: Callable[[str], None]
) -> dict[str, Grown]:
    """Close the same window beside so many profiles, one scale after the other; by their names."""
    return {name: _time_one(folder, scale, rounds, say) for name, scale in scales.items()}


def _time_one(folder: Path, scale: ProfileScale, rounds: int, say: Callable[[str], None]) -> Grown:
    root = folder / f"profiles-{scale.profiles}"
    prepare(root, scale)
    try:
        first_base = took("benchmarks.profiles", str(root), result=root / "first-base.json")
        closes = [timed_close(root, EXPORT, root / f"close-{n}.json") for n in range(rounds)]
        base = took("benchmarks.profiles", str(root), result=root / "base.json")
    finally:
        shutil.rmtree(root)
    grown = Grown(scale.profiles, tuple(closes), first_base, base)
    say(
        f"  {scale.profiles:,} profiles: {grown.close_s:.2f} s; their base {base.seconds:.1f} s,"
        f" the first {first_base.seconds:.1f} s"
    )
    return grown


def _make_base(root: Path) -> Took:
    """Make the first base, or where it is there the next: from it and the rows since."""
    sinks = Sinks.of(settings(root))
    topic = topic_of_profiles(sinks.settings.kafka.topic_prefix)
    before = sinks.rebase.bases.latest(topic.name, CLOSE)
    cut = sinks.cuts.recorded(topic.name, CLOSE if before else BASE)
    assert cut is not None

    def work() -> tuple[int, int]:
        choices = sinks.rebase.intentions.prove(cut, before)
        made = sinks.rebase.selection.remake(topic, cut, before.name if before else None, choices)
        return sum(cut.offsets), sum(made.rows.values())

    return Took.by(work)


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(_make_base(Path(sys.argv[1])).to_json())
