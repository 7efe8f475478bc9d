"""Two schedulers and three workers at once, killed and frozen at random while events come in: every
change is in exactly one drop, each window is closed once, each export's in order.

Each export is there several times, with hours a minute apart, so that several close in one run.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

from deploy.demo.workspace import Workspace
from deploy.parts import KafkaBroker, SchemaRegistry
from sinks.instants import parse_stamp, stamp
from tests.faults.demo_site import SESSION_SECONDS, demo_site, topics_of
from tests.faults.held_against import drops_are_the_truth
from tests.faults.processes import Workers, tormented_workers
from tests.faults.traffic import Traffic
from tests.faults.truth import Truth
from tests.shop.site import own_prefix

LEASE_SECONDS = 3.0
EXPORTS = ("emails-sent", "emails-openings", "profiles-delta", "loyalty-cards", "sms-clicks")
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Night:
    """How many minutes, and how much traffic in each."""

    minutes: int
    events_a_minute: int


@pytest.mark.parametrize("seed", [pytest.param(20261125, id="seed-20261125")])
@pytest.mark.timeout(600)
def test_schedulers_and_workers_lose_and_double_nothing(
    seed: int, kafka: KafkaBroker, registry: SchemaRegistry, tmp_path: Path
) -> None:
    survive(seed, Night(1, 4_000), kafka, registry, tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("seed", [pytest.param(seed, id=f"seed-{seed}") for seed in range(1, 4)])
@pytest.mark.timeout(1800)
def test_schedulers_and_workers_lose_and_double_nothing_for_ten_minutes(
    seed: int, kafka: KafkaBroker, registry: SchemaRegistry, tmp_path: Path
) -> None:
    survive(seed, Night(10, 8_000), kafka, registry, tmp_path)


def survive(
    seed: int, night: Night, kafka: KafkaBroker, registry: SchemaRegistry, folder: Path
) -> None:
    prefix, random = own_prefix(f"night{seed}"), Random(seed)
    schedule = {"lease_seconds": LEASE_SECONDS, "retry_seconds": 0.5}
    workspace = demo_site(folder, kafka, registry, prefix, schedule=schedule)
    workspace.run("topics", "create")
    topics, events = topics_of(prefix), night.minutes * night.events_a_minute
    instants = _instants(night)
    exports = _exports(workspace, instants)
    traffic = Traffic(
        workspace, seed, events, 50.0 * night.minutes, topics, kafka.bootstrap_servers
    )
    traffic.allowed = events
    with (
        tormented_workers(workspace, random, SESSION_SECONDS) as workers,
        tormented_workers(workspace, random, LEASE_SECONDS, "schedule") as schedulers,
    ):
        for crew in (workers, workers, workers, schedulers, schedulers):
            crew.add()
        traffic.start()
        while datetime.now(UTC) < instants[-1] or traffic.is_alive():
            time.sleep(random.uniform(2, 6))
            _torment(random, workers, schedulers)
        assert traffic.failure is None, f"seed {seed}: {traffic.failure}"
        _wait_until_all_is_closed(workspace, exports, workers, schedulers, random)
        assert workers.kills + schedulers.kills >= 3
    records = Truth(kafka.bootstrap_servers, registry.url, prefix).records(topics)
    assert len(records) >= events

    def closes(definition: Mapping[str, Any]) -> list[datetime]:
        name = definition["export"]
        return _closes(workspace, name, exports[name])

    told = drops_are_the_truth(seed, workspace.folder, prefix, records, closes)
    assert {name.rpartition("-")[0] for name in told} == set(EXPORTS)


def _torment(random: Random, workers: Workers, schedulers: Workers) -> None:
    for crew in (workers, schedulers):
        crew.replace_dead()
    crew = random.choice([workers, schedulers, schedulers])
    random.choice([crew.kill_one, crew.kill_one, crew.kill_one, crew.freeze_one])()


def _wait_until_all_is_closed(
    workspace: Workspace,
    exports: Mapping[str, datetime],
    workers: Workers,
    schedulers: Workers,
    random: Random,
) -> None:
    """Torment them at first, then let them finish."""
    ends = time.monotonic() + 300
    torment_until = time.monotonic() + 12
    while open_ := [n for n, at in exports.items() if not _is_closed(workspace, n, at)]:
        assert time.monotonic() < ends, f"not closed: {open_}"
        time.sleep(random.uniform(1, 4))
        if time.monotonic() < torment_until:
            _torment(random, workers, schedulers)
        for crew in (workers, schedulers):
            crew.replace_dead()


def _is_closed(workspace: Workspace, export: str, instant: datetime) -> bool:
    folder = workspace.folder / "ledger" / "exports" / export
    return (folder / stamp(instant) / "outcome.json").exists()


def _instants(night: Night) -> list[datetime]:
    """The minutes at which windows end; the first leaves time to start."""
    first = (datetime.now(UTC) + timedelta(seconds=80)).replace(second=0, microsecond=0)
    return [first + minute * MINUTE for minute in range(night.minutes)]


def _exports(workspace: Workspace, instants: list[datetime]) -> dict[str, datetime]:
    """Write each export once for each instant, and leave no other."""
    folder, written = workspace.folder / "exports", {}
    definitions = [yaml.safe_load((folder / f"{name}.yaml").read_text()) for name in EXPORTS]
    for file in folder.glob("*.yaml"):
        file.unlink()
    for instant in instants:
        for definition in definitions:
            name = f"{definition['export']}-{instant:%H%M}"
            schedule = {"at": f"{instant:%H:%M}", "time_zone": "UTC"}
            own = {**definition, "export": name, "schedule": schedule}
            (folder / f"{name}.yaml").write_text(yaml.safe_dump(own, sort_keys=False))
            written[name] = instant
    return written


def _closes(workspace: Workspace, export: str, instant: datetime) -> list[datetime]:
    """Its windows: the first of a new export closes at the last instant that had passed when a
    scheduler first saw it, which is yesterday's where they started in time.
    """
    folder = workspace.folder / "ledger" / "exports" / export
    found = sorted(parse_stamp(close.name) for close in folder.iterdir())
    assert found in ([instant - timedelta(days=1), instant], [instant])
    return found
