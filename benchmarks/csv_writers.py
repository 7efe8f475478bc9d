"""Ways to write a drop of 2 million openings as CSV: ours beside those of polars, DuckDB and Arrow.

    uv run python -m benchmarks.csv_writers [--rows N] [--runs N]

Each writes the same nine columns, moments in Europe/Brussels, to a file in a temporary folder. Ours
counts, hashes and compresses on the way; the others don't. Best of the runs.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv

from benchmarks.stopwatch import peak_memory_mb
from sinks.rendering.compress import Compression
from sinks.rendering.layout import Layout, RenderedColumn, ValueFormats
from sinks.rendering.render import render

ZONE = "Europe/Brussels"
MOMENT = "%Y-%m-%d %H:%M:%S"


def openings(rows: int) -> pa.Table:
    """A day of first openings, as a close hands them to be rendered."""
    random = np.random.default_rng(1)
    campaigns = random.integers(0, 100, rows)
    profiles = random.integers(1, 5_000_000, rows)
    digits = pa.array(profiles).cast(pa.string())
    names = pa.array([f"campaign_technical_{i}_ab12" for i in range(100)])
    subscriptions = pa.array(["newsletter", "offers"])
    moments = 1_780_000_000_000 + random.integers(0, 86_400_000, rows)
    return pa.table(
        {
            "interactionId": pa.array(np.arange(rows) + 900_000_000_000),
            "campaignId": pa.array(campaigns + 1000),
            "abVersion": pa.nulls(rows, pa.string()),
            "profileId": pa.array(profiles),
            "subscription": subscriptions.take(pa.array(random.integers(0, 2, rows))),
            "eventTime": pa.array(moments, pa.timestamp("ms", "UTC")),
            "emailAddress": pc.binary_join_element_wise(digits, "user@example.org", "."),
            "campaignTechnicalName": names.take(pa.array(campaigns)),
            "customerId": pc.binary_join_element_wise("C", digits, ""),
        }
    )


def ours(table: pa.Table, path: Path, compression: Compression, threads: int) -> None:
    columns = [RenderedColumn(name, name) for name in table.column_names]
    layout = Layout(columns, ValueFormats(time_zone=ZONE), compression=compression)
    with path.open("wb") as out:
        render([table], layout, out, inner_name="drop.csv", threads=threads)


def by_polars(table: pa.Table, path: Path) -> None:
    local = pl.col("eventTime").dt.convert_time_zone(ZONE).dt.strftime(MOMENT)
    pl.from_arrow(table).with_columns(local).write_csv(path)  # type: ignore[union-attr]


def by_duckdb(table: pa.Table, path: Path) -> None:
    with duckdb.connect() as connection:
        connection.execute(f"set timezone = '{ZONE}'")
        connection.register("openings", table)
        local = f"strftime(eventTime, '{MOMENT}') as eventTime"
        connection.execute(
            f"copy (select * replace ({local}) from openings) to '{path}' (header, delimiter ',')"
        )


def by_arrow(table: pa.Table, path: Path) -> None:
    seconds = table["eventTime"].cast(pa.timestamp("s", ZONE), safe=False)
    local = table.set_column(5, "eventTime", pc.strftime(seconds, MOMENT))
    options = arrow_csv.WriteOptions(quoting_style="none")  # "needed" quotes every text
    arrow_csv.write_csv(local, path, options)


WAYS: dict[str, Callable[[pa.Table, Path], None]] = {
    "deltadrop": partial(ours, compression=Compression.NONE, threads=2),
    "deltadrop, 1 thread": partial(ours, compression=Compression.NONE, threads=1),
    "deltadrop, gzip": partial(ours, compression=Compression.GZIP, threads=2),
    "deltadrop, zip": partial(ours, compression=Compression.ZIP, threads=2),
    "polars": by_polars,
    "duckdb": by_duckdb,
    "pyarrow": by_arrow,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    table = openings(arguments.rows)
    with tempfile.TemporaryDirectory() as folder:
        for name, write in WAYS.items():
            path = Path(folder) / "drop.csv"
            runs = [_seconds(write, table, path) for _ in range(arguments.runs)]
            best, processor = (min(seconds) for seconds in zip(*runs, strict=True))
            size = path.stat().st_size / 1e6
            peak = peak_memory_mb()
            rate = arguments.rows / best / 1e6
            print(
                f"{name:20} {best:6.2f} s ({processor:4.2f} s of processor)  "
                f"{rate:5.2f} M rows/s  {size:6.1f} MB  peak so far {peak:.0f} MB"
            )


def _seconds(
    write: Callable[[pa.Table, Path], None], table: pa.Table, path: Path
) -> tuple[float, float]:
    """Wall and processor time of one run."""
    path.unlink(missing_ok=True)
    begin, used = time.perf_counter(), time.process_time()
    write(table, path)
    return time.perf_counter() - begin, time.process_time() - used


if __name__ == "__main__":
    main()
