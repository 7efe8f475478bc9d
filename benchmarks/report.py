"""What the benchmarks found: `results.json`, a readable table, and which floors are met."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from benchmarks.compare import BYTEWAX, EVERYTHING, FAUST, OURS, PEERS, QUIX_STREAMS, Rounds, Scale
from benchmarks.profiles import Grown
from benchmarks.window import Closes

_PACKAGES: Final = (
    "aiokafka",
    "bytewax",
    "confluent-kafka",
    "duckdb",
    "fastavro",
    "faust-streaming",
    "ibis-framework",
    "numpy",
    "pyarrow",
    "quixstreams",
)


@dataclass(frozen=True, slots=True)
class Floor:
    """A figure that must be at least, or at most, a limit."""

    figure: str
    limit: float
    meaning: str
    at_most: bool = False

    def is_met(self, figures: Mapping[str, Any]) -> bool:
        """Whether the figures keep it."""
        value = float(figures[self.figure])
        return value <= self.limit if self.at_most else value >= self.limit


FLOORS: Final = (
    Floor("worker_vs_faust", 20, "worker against stock Faust"),
    Floor("worker_vs_quixstreams", 4, "worker against Quix Streams"),
    Floor("worker_vs_bytewax", 2.5, "worker against Bytewax"),
    Floor("worker_peak_mb", 600, "worker's memory in MB", at_most=True),
    Floor("close_rows_per_s", 1_000_000, "close, rows a second"),
    Floor("close_gzip_vs_plain", 0.85, "close with gzip against without"),
    Floor("close_peak_mb", 1_500, "close's memory in MB", at_most=True),
    Floor("profile_columns_5m_s", 60, "close beside 5 million profiles, seconds", at_most=True),
    Floor("profile_columns_5m_peak_mb", 3_000, "its memory in MB", at_most=True),
    Floor("profile_base_5m_peak_mb", 3_000, "memory of making their base in MB", at_most=True),
    Floor("cli_help_cpu_s", 0.25, "--help, seconds of CPU", at_most=True),
    Floor("cli_validate_cpu_s", 0.7, "validate, seconds of CPU", at_most=True),
    Floor("cli_status_cpu_s", 0.7, "status, seconds of CPU", at_most=True),
    Floor("cli_history_cpu_s", 0.7, "history, seconds of CPU", at_most=True),
)


def figures_of(
    rounds: Rounds,
    commands: Mapping[str, float],
    closes: Closes,
    grown: Mapping[str, Grown],
    scale: Scale,
) -> dict[str, Any]:
    """All figures under their names in `results.json`; no date, so that runs compare by line."""
    return {
        "worker_events_per_s": round(rounds.rate(OURS)),
        "worker_events_per_cpu_s": round(rounds.rate_per_cpu(OURS)),
        "worker_vs_faust": round(rounds.ratio(FAUST), 1),
        "worker_vs_quixstreams": round(rounds.ratio(QUIX_STREAMS), 1),
        "worker_vs_bytewax": round(rounds.ratio(BYTEWAX), 1),
        "worker_peak_mb": round(rounds.peak_mb(OURS)),
        "worker_all_events_per_s": round(rounds.rate(EVERYTHING)),
        "worker_all_peak_mb": round(rounds.peak_mb(EVERYTHING)),
        "faust_events_per_s": round(rounds.rate(FAUST)),
        "faust_events_per_cpu_s": round(rounds.rate_per_cpu(FAUST)),
        "faust_peak_mb": round(rounds.peak_mb(FAUST)),
        "quixstreams_events_per_s": round(rounds.rate(QUIX_STREAMS)),
        "quixstreams_events_per_cpu_s": round(rounds.rate_per_cpu(QUIX_STREAMS)),
        "quixstreams_peak_mb": round(rounds.peak_mb(QUIX_STREAMS)),
        "bytewax_events_per_s": round(rounds.rate(BYTEWAX)),
        "bytewax_events_per_cpu_s": round(rounds.rate_per_cpu(BYTEWAX)),
        "bytewax_peak_mb": round(rounds.peak_mb(BYTEWAX)),
        **{f"cli_{name}_cpu_s": round(seconds, 2) for name, seconds in commands.items()},
        "close_window_rows": closes.window_rows,
        "close_drop_rows": closes.drop_rows,
        "close_rows_per_s": round(closes.window_rows / closes.plain_s),
        "close_gzip_rows_per_s": round(closes.window_rows / closes.gzip_s),
        "close_gzip_vs_plain": round(closes.gzip_vs_plain, 2),
        "close_peak_mb": round(closes.peak_mb),
        "close_2m_s": round(closes.plain_s, 2),
        "close_2m_cpu_s": round(closes.plain_cpu_s, 2),
        **{name: value for size, growth in grown.items() for name, value in _grown(size, growth)},
        "topic_events": scale.events,
        "batch_events": scale.batch_events,
        "rounds": scale.rounds,
        "machine": _machine(),
        "versions": {"python": platform.python_version()}
        | {package: version(package) for package in _PACKAGES},
    }


def _grown(size: str, grown: Grown) -> Iterator[tuple[str, float]]:
    """The figures of closes with profile columns beside so many profiles."""
    yield f"profile_columns_{size}_s", round(grown.close_s, 2)
    yield f"profile_columns_{size}_cpu_s", round(grown.close_cpu_s, 2)
    yield f"profile_columns_{size}_peak_mb", round(grown.close_peak_mb)
    yield f"profile_base_{size}_s", round(grown.base.seconds, 1)
    yield f"profile_base_{size}_first_s", round(grown.first_base.seconds, 1)
    yield f"profile_base_{size}_peak_mb", round(grown.base_peak_mb)


def write(figures: Mapping[str, Any], file: Path) -> None:
    """Write the figures, one a line."""
    file.write_text(json.dumps(figures, indent=2) + "\n")


def show(
    figures: Mapping[str, Any], rounds: Rounds, grown: Mapping[str, Grown], console: Console
) -> None:
    """Print tables of rates, ratios and memory, and which floors are met."""
    console.print(_worker_table(rounds))
    console.print(_close_table(figures))
    console.print(_growth_table(grown))
    for floor in FLOORS:
        sign = "at most" if floor.at_most else "at least"
        met = "met   " if floor.is_met(figures) else "MISSED"
        console.print(
            f"{met} {floor.meaning}: {figures[floor.figure]:,} ({sign} {floor.limit:,})",
            highlight=False,
        )


def warn_where_busy(console: Console) -> None:
    """Say so where others use the machine: rates are too low then, whatever is compared."""
    cores = os.cpu_count() or 1
    load = os.getloadavg()[0]
    if load > cores / 2:
        console.print(
            f"[bold]Others are using this machine[/bold] (load {load:.1f} on {cores} cores):"
            " rates will be too low, and only figures by processor time say much",
            highlight=False,
        )


def _worker_table(rounds: Rounds) -> Table:
    table = Table(title="From Kafka to Parquet: the same topic, the same filter, one process each")
    table.add_column("system")
    for heading in ("events", "events/s", "deltadrop is", "events/s of CPU", "peak MB"):
        table.add_column(heading, justify="right")
    for system in (OURS, *PEERS, EVERYTHING):
        ratio = f"{rounds.ratio(system):,.1f}×" if system in PEERS else ""
        table.add_row(
            system.name,
            f"{rounds.outcomes[system][0].events:,}",
            f"{rounds.rate(system):,.0f}",
            ratio,
            f"{rounds.rate_per_cpu(system):,.0f}",
            f"{rounds.peak_mb(system):,.0f}",
        )
    return table


def _close_table(figures: Mapping[str, Any]) -> Table:
    table = Table(
        title="Close of a window of first openings, from the cut to the file in its place"
    )
    table.add_column("window")
    table.add_column("file")
    table.add_column("rows/s", justify="right")
    window = f"{figures['close_window_rows']:,} rows, {figures['close_drop_rows']:,} in the drop"
    table.add_row(window, "plain", f"{figures['close_rows_per_s']:,}")
    table.add_row("the same", "gzip", f"{figures['close_gzip_rows_per_s']:,}")
    table.caption = f"peak {figures['close_peak_mb']:,} MB, {figures['close_2m_cpu_s']} s of CPU"
    return table


def _growth_table(grown: Mapping[str, Grown]) -> Table:
    table = Table(title="Close with ten profile columns, and making the base of the profiles")
    table.add_column("profiles")
    for heading in ("lines", "close s", "s of CPU", "peak MB", "base s", "first s", "peak MB"):
        table.add_column(heading, justify="right")
    for growth in grown.values():
        table.add_row(
            f"{growth.profiles:,}",
            f"{growth.closes[0].rows:,}",
            f"{growth.close_s:,.2f}",
            f"{growth.close_cpu_s:,.2f}",
            f"{growth.close_peak_mb:,.0f}",
            f"{growth.base.seconds:,.1f}",
            f"{growth.first_base.seconds:,.1f}",
            f"{growth.base_peak_mb:,.0f}",
        )
    return table


def _machine() -> dict[str, object]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "system": platform.system(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(memory / 1e9),
    }


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
