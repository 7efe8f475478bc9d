"""The benchmarks run from end to end. Nothing is timed here: figures are for `make bench`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.parts import KafkaBroker, SchemaRegistry

PROJECT = Path(__file__).parents[2]
PROMISED = {
    "worker_events_per_s",
    "worker_vs_faust",
    "worker_vs_quixstreams",
    "worker_vs_bytewax",
    "worker_peak_mb",
    "cli_help_cpu_s",
    "cli_validate_cpu_s",
    "cli_status_cpu_s",
    "cli_history_cpu_s",
    "close_rows_per_s",
    "close_gzip_rows_per_s",
    "close_peak_mb",
    "close_2m_s",
    "profile_columns_1m_s",
    "profile_columns_2m_s",
    "profile_columns_5m_s",
    "profile_columns_5m_peak_mb",
    "profile_base_5m_s",
    "profile_base_5m_peak_mb",
    "machine",
    "versions",
}


@pytest.mark.timeout(600)
def test_quick_benchmarks_write_every_figure_and_say_which_floors_are_met(
    kafka: KafkaBroker, registry: SchemaRegistry, tmp_path: Path
) -> None:
    results = tmp_path / "results.json"
    parts = {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "SCHEMA_REGISTRY_URL": registry.url,
    }

    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", "--results", str(results)],
        cwd=PROJECT,
        env={**os.environ, **parts},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(results.read_text())
    assert figures.keys() >= PROMISED
    said = [line for line in done.stdout.splitlines() if line.startswith(("met", "MISSED"))]
    assert len(said) == 14
