"""Real purchases, a window a month: `make example-cdnow` (README.md tells it step by step)."""

import argparse
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from deploy.demo.report import Drop
from deploy.demo.workspace import (
    CommandError,
    Steps,
    Workspace,
    next_second,
    settings_of_one_machine,
)
from deploy.parts import PartError, running_kafka, running_registry
from examples.cdnow.convert import Book, months
from examples.cdnow.expected import (
    ComparisonError,
    expected_drops,
    read_drop,
    refuse_difference,
    summary,
)
from examples.cdnow.source import SourceError, read, source_file
from producers import Publisher
from schemas.errors import DeltadropError
from schemas.settings.settings import load_settings
from schemas.tables import load_catalog

HERE = Path(__file__).parent


FAILURES = (SourceError, ComparisonError, CommandError, PartError, DeltadropError)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the example; 1 with the reason where something of it fails."""
    parser = argparse.ArgumentParser(prog="python -m examples.cdnow", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("var/cdnow"), help="%(default)s")
    parser.add_argument("--months", type=int, default=18, help="all, unless fewer are asked for")
    arguments = parser.parse_args(argv)
    try:
        _example(arguments.folder, arguments.months)
    except FAILURES as error:
        print(f"cdnow: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("cdnow: stopped", file=sys.stderr)
        return 130
    return 0


def _example(folder: Path, count: int) -> None:
    say = Steps()
    source = source_file()
    say(f"the data set is there, and it is the right one: {source}")
    with running_kafka() as kafka, running_registry() as registry:
        say(f"Kafka is at {kafka.bootstrap_servers}, the schema registry at {registry.url}")
        settings = _settings(kafka.bootstrap_servers, registry.url)
        workspace = Workspace.create(folder, HERE, settings)
        workspace.run("topics", "create")
        with workspace.workers(1):
            closed = _publish_and_close(workspace, source, count, say)
    say("Kafka and the registry are stopped")
    expected = expected_drops(source)
    _compare(workspace, {month: expected[month] for month in closed}, closed)


def _publish_and_close(
    workspace: Workspace, source: Path, count: int, say: Steps
) -> dict[str, datetime]:
    """Publish and close month by month; gives the instant at which each was closed."""
    settings = load_settings(workspace.config)
    catalog = load_catalog(settings.tables)
    book, closed = Book(), {}
    for month, purchases in list(months(read(source)))[:count]:
        with Publisher(settings, settings.registry, catalog) as publisher:
            sent = publisher.publish_many(book.events(purchases))
        closed[month] = next_second()
        workspace.run("close", "--at", closed[month].isoformat())
        say(f"{month}: {len(purchases):,} purchases published as {sent:,} events, window closed")
    return closed


def _compare(
    workspace: Workspace,
    expected: dict[str, dict[str, pd.DataFrame]],
    closed: dict[str, datetime],
) -> None:
    """Hold every drop against pandas, line for line, and print both sums."""
    drops = {(drop.export, drop.closed_at): drop for drop in Drop.all_in(workspace.transferbox)}
    found: list[dict[str, pd.DataFrame]] = []
    for month, exports in expected.items():
        made = {name: read_drop(drops[name, closed[month]].file) for name in exports}
        for name, lines in exports.items():
            refuse_difference(f"{name} of {month}", made[name], lines)
        found.append(made)
    ours, theirs = summary(found), summary(list(expected.values()))
    print(f"\n{len(drops)} drops, line for line as pandas makes them of the source file:\n")
    print(f"  {'':20}{'the drops':>16}{'pandas':>16}")
    for what in theirs:
        print(f"  {what:20}{ours[what]:>16}{theirs[what]:>16}")
    if ours != theirs:
        raise ComparisonError("the sums differ")
    print(f"\nThe drops are in {workspace.transferbox}.")


def _settings(bootstrap_servers: str, registry_url: str) -> dict[str, dict[str, Any]]:
    prefix = f"cdnow-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    return settings_of_one_machine(
        bootstrap_servers, registry_url, prefix, batch_seconds=1, delay=0.5
    )


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    raise SystemExit(main())
