"""The demo, `make demo`: a realistic day of events through a real Kafka to CSV drops.

About 200,000 events are published in two halves, two workers store them, and both windows are
closed. The drops go to the transferbox, some also to S3 and SFTP, and mails report them. Then the
results are printed, as an operator would look at them. All files stay in `var/demo`; all processes
are stopped.
"""

import argparse
import json
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, date, datetime
from itertools import islice
from pathlib import Path
from textwrap import indent
from typing import Any

from deploy.demo.generator import day_of_events
from deploy.demo.partners import running_partners
from deploy.demo.report import SHOWN, Drop, show, what_next
from deploy.demo.stage import JsonEvent
from deploy.demo.workspace import (
    CommandError,
    Steps,
    Workspace,
    next_second,
    settings_of_one_machine,
)
from deploy.parts import PartError, running_kafka, running_registry
from schemas.errors import DeltadropError
from sinks.drops.verify import verify

HERE = Path(__file__).parent
WORKERS = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; return 1, and print the reason, if it fails."""
    parser = argparse.ArgumentParser(prog="python -m deploy.demo", description=__doc__)
    parser.add_argument("--events", type=int, default=200_000, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=7, help="default: %(default)s")
    parser.add_argument(
        "--folder", type=Path, default=Path("var/demo"), help="default: %(default)s"
    )
    arguments = parser.parse_args(argv)
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
    say("starting Kafka and a schema registry (the first time, they are downloaded)")
    with ExitStack() as running:
        kafka = running.enter_context(running_kafka())
        registry = running.enter_context(running_registry())
        say(f"they are at {kafka.bootstrap_servers} and {registry.url}; making the topics")
        workspace = Workspace.create(folder, HERE, _settings(kafka.bootstrap_servers, registry.url))
        workspace.add_seconds_to_drop_names()
        say("starting the partners' servers: S3, SFTP, and a mailbox")
        partners = running.enter_context(running_partners(workspace, say))
        workspace.run("topics", "create")
        say(f"generating {size:,} events of {day}, of all nine kinds, into {folder}")
        halves = _write_halves(folder, day_of_events(seed, size, day), size)
        say(f"starting {WORKERS} workers")
        with workspace.workers(WORKERS):
            for half in halves:
                say(f"publishing {half.name}")
                workspace.run("publish", str(half))
                instant = next_second()
                say(f"closing the window that ends at {instant:%H:%M:%S} UTC, for all exports")
                workspace.run("close", "--at", instant.isoformat())
            say("telling the workers to leave")
        drops = Drop.all_in(workspace.transferbox)
        say(f"verifying {len(drops)} drops")
        _verify(drops)
        status = workspace.run("status")
        say("stopping all servers")
    say("done")
    show(workspace, drops)
    partners.show(SHOWN)
    print(f"\n`deltadrop status`, before the servers were stopped:\n\n{indent(status, '  ')}")
    what_next(workspace, drops)


def _verify(drops: Sequence[Drop]) -> None:
    """Verify drops as a partner does with `deltadrop verify`; CommandError if one is spoilt."""
    for drop in drops:
        verified = verify(drop.file)
        if not verified.is_well:
            raise CommandError(str(verified))


def _settings(bootstrap_servers: str, registry_url: str) -> dict[str, dict[str, Any]]:
    """The demo's settings, with batches of seconds, as a demo shouldn't wait for a minute."""
    prefix = f"demo-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    return settings_of_one_machine(
        bootstrap_servers, registry_url, prefix, batch_seconds=5, delay=2
    )


def _write_halves(folder: Path, events: Iterator[JsonEvent], size: int) -> list[Path]:
    encode = json.JSONEncoder(ensure_ascii=False).encode
    halves = [folder / "morning.jsonl", folder / "afternoon.jsonl"]
    for file in halves:
        with file.open("w", encoding="utf-8") as out:
            out.writelines(encode(event) + "\n" for event in islice(events, (size + 1) // 2))
    return halves


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    raise SystemExit(main())
