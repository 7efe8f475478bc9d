"""A realistic day through real Kafka to CSV drops: `make demo`.

About 200,000 events are published in two halves, two workers store them, and both windows are
closed; then comes what an operator would look at. Everything is left in `var/demo`, nothing is
left running.
"""

import argparse
import json
import signal
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from itertools import islice
from pathlib import Path

from deploy.demo.generator import day_of_events
from deploy.demo.report import Drop, show
from deploy.demo.stage import JsonEvent
from deploy.demo.workspace import CommandError, Steps, Workspace, next_second
from deploy.parts import PartError, running_kafka, running_registry
from schemas.errors import DeltadropError
from sinks.verify import verify

HERE = Path(__file__).parent
WORKERS = 2


def main() -> int:
    """Run the demo; 1 with the reason where something of it fails."""
    parser = argparse.ArgumentParser(prog="python -m deploy.demo", description=__doc__)
    parser.add_argument("--events", type=int, default=200_000, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=7, help="default: %(default)s")
    parser.add_argument(
        "--folder", type=Path, default=Path("var/demo"), help="default: %(default)s"
    )
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _demo(arguments.folder, arguments.seed, arguments.events, datetime.now(UTC).date())
    except (CommandError, PartError, DeltadropError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: stopped", file=sys.stderr)
        return 130
    return 0


def _demo(folder: Path, seed: int, size: int, day: date) -> None:
    say = Steps()
    with running_kafka() as kafka, running_registry() as registry:
        say(f"Kafka is at {kafka.bootstrap_servers}, the schema registry at {registry.url}")
        workspace = Workspace.create(folder, HERE, _settings(kafka.bootstrap_servers, registry.url))
        workspace.tell_windows_apart_by_second()
        workspace.run("topics", "create")
        say(f"topics made; settings, tables and exports are in {folder}")
        halves = _write_halves(folder, day_of_events(seed, size, day), size)
        say(f"{size:,} events of {day} generated, of all nine kinds")
        with workspace.workers(WORKERS):
            say(f"{WORKERS} workers run")
            for half in halves:
                workspace.run("publish", str(half))
                instant = next_second()
                say(f"{half.name} published; its window ends at {instant:%H:%M:%S} UTC")
                workspace.run("close", "--at", instant.isoformat())
                say("window closed, for all exports")
        say("the workers have left")
        drops = Drop.all_in(workspace.transferbox)
        for drop in drops:
            verified = verify(drop.file)
            if not verified.is_well:
                raise CommandError(str(verified))
        say("every drop verified")
    say("Kafka and the registry are stopped")
    show(workspace, drops)


def _settings(bootstrap_servers: str, registry_url: str) -> dict[str, object]:
    """Settings for one machine, and batches of seconds: a demo doesn't wait for a minute."""
    prefix = f"demo-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    return {
        "kafka": {
            "bootstrap_servers": bootstrap_servers,
            "topic_prefix": prefix,
            "replication_factor": 1,
            "min_insync_replicas": 1,
        },
        "registry": {"url": registry_url},
        "worker": {"group": prefix, "batch_seconds": 10},
        "close": {"delay_seconds": 2, "wait_seconds": 120},
    }


def _write_halves(folder: Path, events: Iterator[JsonEvent], size: int) -> list[Path]:
    encode = json.JSONEncoder(ensure_ascii=False).encode
    halves = [folder / "morning.jsonl", folder / "afternoon.jsonl"]
    for file in halves:
        with file.open("w", encoding="utf-8") as out:
            out.writelines(encode(event) + "\n" for event in islice(events, (size + 1) // 2))
    return halves


if __name__ == "__main__":
    raise SystemExit(main())
