"""Run all benchmarks, print what they found, and write it to ``benchmarks/results.json``.

``--quick`` runs everything once on little data: its figures say nothing, but everything has run.
"""

from __future__ import annotations

import argparse
import logging
import signal
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import structlog
from rich.console import Console

from benchmarks import report
from benchmarks.commands import time_commands
from benchmarks.compare import Place, Rounds, Scale, run_rounds
from benchmarks.job import activities
from benchmarks.profile_data import ProfileScale
from benchmarks.profiles import time_growth
from benchmarks.topic import fill, remove
from benchmarks.window import time_closes
from benchmarks.window_data import WindowScale
from deploy.parts import running_kafka, running_registry

_RESULTS: Final = Path(__file__).parent / "results.json"
_FULL: Final = Scale(events=4_000_000, batch_events=200_000, rounds=3)
_QUICK: Final = Scale(events=30_000, batch_events=5_000, rounds=1)
_QUICK_WINDOW: Final = WindowScale(rows=20_000, profiles=3_000, campaigns=20, earlier=60_000)
_MILLIONS: Final = {"1m": 1, "2m": 2, "5m": 5}
_GROWTH: Final = {name: ProfileScale(n * 1_000_000) for name, n in _MILLIONS.items()}
_QUICK_GROWTH: Final = {
    name: ProfileScale(n * 1_000, changes=500, facts=500) for name, n in _MILLIONS.items()
}
_OFFSET_AND_TIME: Final = 16  # bytes of a record beside key and value in deltadrop's memory
_ARROW_OFFSETS: Final = 8


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="little data, one round")
    parser.add_argument("--results", type=Path, default=_RESULTS, help="where to write the figures")
    arguments = parser.parse_args()
    quiet = structlog.make_filtering_bound_logger(logging.WARNING)
    structlog.configure(wrapper_class=quiet)
    console = Console()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that what runs is stopped too
    report.warn_where_busy(console)
    scale = _QUICK if arguments.quick else _FULL
    with tempfile.TemporaryDirectory(prefix="deltadrop-benchmarks-") as folder:
        rounds, commands = _with_kafka(Path(folder), scale, console)
        console.print("Closing a window")
        window = _QUICK_WINDOW if arguments.quick else WindowScale()
        closes = time_closes(Path(folder), window, scale.rounds, console.print)
        console.print("Closing with ten profile columns")
        growth = _QUICK_GROWTH if arguments.quick else _GROWTH
        grown = time_growth(Path(folder), growth, scale.rounds, console.print)
    figures = report.figures_of(rounds, commands, closes, grown, scale)
    report.show(figures, rounds, grown, console)
    report.write(figures, arguments.results)
    console.print(f"written to {arguments.results}")


def _with_kafka(folder: Path, scale: Scale, console: Console) -> tuple[Rounds, Mapping[str, float]]:
    console.print("Starting Kafka and the schema registry")
    kafka_at_its_pace = running_kafka(folder / "kafka", jvm_options=())
    with kafka_at_its_pace as kafka, running_registry() as registry:
        console.print(f"Publishing {scale.events:,} events")
        prefix = f"benchmark-{uuid.uuid4().hex[:8]}"
        topic = activities(prefix)
        record_bytes = fill(topic, kafka.bootstrap_servers, registry.url, scale.events)
        batch_bytes = int(scale.batch_events * (record_bytes + _OFFSET_AND_TIME + _ARROW_OFFSETS))
        place = Place(prefix, kafka.bootstrap_servers, registry.url, folder)
        try:
            rounds = run_rounds(place, scale, batch_bytes, console.print)
        finally:
            remove(topic, kafka.bootstrap_servers)
        console.print("Looking at an installation")
        return rounds, time_commands(place, scale.rounds, console.print)


if __name__ == "__main__":
    main()
