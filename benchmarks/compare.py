"""Run the job on all systems, in turns, each run a process of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.job import Job
from benchmarks.stopwatch import Outcome
from benchmarks.topic import wanted_share

_LONGEST_SECONDS: Final = 600
_OURS: Final = "deltadrop"
_TOLERANCE: Final = 0.03  # of the share of rows: systems read the partitions in different orders


@dataclass(frozen=True, slots=True)
class System:
    """A system, the module that runs it, and its share of the events: slow ones get fewer."""

    name: str
    module: str
    share: float
    arguments: tuple[str, ...] = ()


OURS: Final = System(_OURS, "benchmarks.systems.deltadrop_worker", 1.0)
EVERYTHING: Final = System(
    "deltadrop, all events kept", "benchmarks.systems.deltadrop_worker", 1.0, ("builtin",)
)
FAUST: Final = System("Faust", "benchmarks.systems.stock_faust", 0.04)
QUIX_STREAMS: Final = System("Quix Streams", "benchmarks.systems.quix_streams", 0.12)
BYTEWAX: Final = System("Bytewax", "benchmarks.systems.bytewax_flow", 0.2)
PEERS: Final = (FAUST, QUIX_STREAMS, BYTEWAX)


@dataclass(frozen=True, slots=True)
class Rounds:
    """Outcomes by system, one a round."""

    outcomes: Mapping[System, Sequence[Outcome]]

    def rate(self, system: System) -> float:
        """Events per second: the median of the rounds."""
        return median(outcome.events_per_s for outcome in self.outcomes[system])

    def rate_per_cpu(self, system: System) -> float:
        """Events per second of processor time: the median of the rounds."""
        return median(outcome.events / outcome.cpu_seconds for outcome in self.outcomes[system])

    def ratio(self, peer: System) -> float:
        """How many times a peer's rate ours is: the median of the ratios within each round."""
        pairs = zip(self.outcomes[OURS], self.outcomes[peer], strict=True)
        return median(ours.events_per_s / theirs.events_per_s for ours, theirs in pairs)

    def peak_mb(self, system: System) -> float:
        """Memory of the worst round."""
        return max(outcome.peak_mb for outcome in self.outcomes[system])


@dataclass(frozen=True, slots=True)
class Scale:
    """How large the comparison is: events of the topic, events of a file, rounds."""

    events: int
    batch_events: int
    rounds: int

    @property
    def measured(self) -> int:
        """Events that the clock stops at: the fetch must not run dry before."""
        return int(self.events * 0.9)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the job's parts are: topic, Kafka, the registry, and a folder to write to."""

    topic_prefix: str
    bootstrap_servers: str
    registry_url: str
    folder: Path


def run_rounds(place: Place, scale: Scale, batch_bytes: int, say: Callable[[str], None]) -> Rounds:
    """Run every system once a round, beginning with another one in each."""
    systems = (OURS, *PEERS, EVERYTHING)
    outcomes: dict[System, list[Outcome]] = {system: [] for system in systems}
    for number in range(scale.rounds):
        first = number % len(systems)
        for system in systems[first:] + systems[:first]:
            outcome = _run(system, place, scale, batch_bytes)
            outcomes[system].append(outcome)
            say(f"  round {number + 1}: {system.name}: {outcome.events_per_s:,.0f} events/s")
    return Rounds(outcomes)


def _run(system: System, place: Place, scale: Scale, batch_bytes: int) -> Outcome:
    folder = place.folder / uuid.uuid4().hex
    (folder / "output").mkdir(parents=True)
    whole_files = max(1, int(scale.measured * system.share) // scale.batch_events)
    job = Job(
        topic_prefix=place.topic_prefix,
        bootstrap_servers=place.bootstrap_servers,
        registry_url=place.registry_url,
        group=f"benchmark-{uuid.uuid4().hex}",
        events=whole_files * scale.batch_events,
        batch_events=scale.batch_events,
        batch_bytes=batch_bytes,
        output=folder / "output",
        result=folder / "result.json",
    )
    arguments = (job.to_json(), *system.arguments)
    try:
        outcome = Outcome.from_json(run_process(system.module, *arguments, result=job.result))
    finally:
        shutil.rmtree(folder)
    _refuse_other_rows(system, outcome)
    return outcome


def _refuse_other_rows(system: System, outcome: Outcome) -> None:
    """A system that keeps other rows does another job."""
    share = 1.0 if system is EVERYTHING else wanted_share()
    if abs(outcome.rows / outcome.events - share) > _TOLERANCE:
        stored = f"{outcome.rows:,} of {outcome.events:,} events"
        sys.exit(f"{system.name} kept {stored}; the job is to keep {share:.0%}")


def run_process(module: str, *arguments: str, result: Path) -> str:
    """Run a module in a process of its own and return what it wrote to `result`.

    Where it fails, so does the command, with the end of what the module said.
    """
    log = result.with_suffix(".log")
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.isolated", module, *arguments],
            cwd=Path(__file__).parent.parent,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            process.wait(_LONGEST_SECONDS)
        except subprocess.TimeoutExpired:
            sys.exit(f"{module} took more than {_LONGEST_SECONDS} s; it said:\n{_tail(log)}")
        finally:
            process.kill()
            process.wait()
    if not result.exists():
        sys.exit(f"{module} ended without a result; it said:\n{_tail(log)}")
    return result.read_text()


def _tail(log: Path, lines: int = 30) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
