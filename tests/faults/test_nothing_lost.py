"""Nothing lost, nothing doubled: every change is in exactly one drop, whatever crashes (SPEC §3).

Traffic of all nine kinds goes on while workers are killed, frozen, told to leave and replaced, and
closes are killed. The drops of all nine exports must equal, line for line, what a plain reading of
the topics (`truth`) gives, judged by the naive model. The seed is in the test's name and in every
failure.
"""

import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from random import Random

import pytest

from deploy.demo.workspace import Workspace, next_second
from deploy.parts import KafkaBroker, SchemaRegistry
from tests.faults.demo_site import SESSION_SECONDS, demo_site, topics_of
from tests.faults.held_against import drops_are_the_truth
from tests.faults.processes import Workers, start, tormented_workers
from tests.faults.traffic import Traffic
from tests.faults.truth import Truth
from tests.shop.forked import ForkedProcess
from tests.shop.site import own_prefix


@dataclass(frozen=True)
class Torment:
    """How much traffic, over how many seconds and windows, and what happens to the workers
    meanwhile.
    """

    events: int
    seconds: float
    windows: int
    kills: int
    freezes: int


SHORT = Torment(events=8_000, seconds=30, windows=2, kills=4, freezes=1)
LONG = Torment(events=60_000, seconds=240, windows=3, kills=24, freezes=3)


@pytest.mark.parametrize("seed", [pytest.param(20261124, id="seed-20261124")])
@pytest.mark.timeout(600)
def test_nothing_is_lost_and_nothing_doubled(
    seed: int, kafka: KafkaBroker, registry: SchemaRegistry, tmp_path: Path
) -> None:
    hold_drops_against_the_truth(seed, SHORT, kafka, registry, tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("seed", [pytest.param(seed, id=f"seed-{seed}") for seed in range(1, 6)])
@pytest.mark.timeout(1800)
def test_nothing_is_lost_and_nothing_doubled_for_long(
    seed: int, kafka: KafkaBroker, registry: SchemaRegistry, tmp_path: Path
) -> None:
    hold_drops_against_the_truth(seed, LONG, kafka, registry, tmp_path)


def hold_drops_against_the_truth(
    seed: int, torment: Torment, kafka: KafkaBroker, registry: SchemaRegistry, folder: Path
) -> None:
    prefix = own_prefix(f"kill{seed}")
    workspace = demo_site(folder, kafka, registry, prefix)
    workspace.run("topics", "create")
    topics = topics_of(prefix)
    random = Random(seed)
    traffic = Traffic(
        workspace, seed, torment.events, torment.seconds, topics, kafka.bootstrap_servers
    )
    instants: list[datetime] = []
    with tormented_workers(workspace, random, SESSION_SECONDS) as crew:
        crew.add()
        crew.add()
        traffic.start()
        finisher = None
        for window in range(torment.windows):
            traffic.allowed = torment.events * (window + 1) // (torment.windows + 1)
            _torment(crew, random, torment, window)
            _wait_for(finisher)
            instants.append(next_second())
            _close_and_kill(workspace, random, instants[-1])
            finisher = start(workspace, "close", "--at", instants[-1].isoformat())
        traffic.allowed = torment.events
        traffic.join()
        _wait_for(finisher)
        assert traffic.failure is None, f"seed {seed}: {traffic.failure}"
        crew.replace_dead()
        for instant in instants:
            workspace.run("close", "--at", instant.isoformat())
        assert crew.kills >= torment.kills
    records = Truth(kafka.bootstrap_servers, registry.url, prefix).records(topics)
    assert len(records) >= torment.events
    exports = list((workspace.folder / "exports").glob("*.yaml"))
    assert len(exports) > 20
    told = drops_are_the_truth(seed, workspace.folder, prefix, records, lambda definition: instants)
    assert len(told) == len(exports), f"seed {seed}: only {sorted(told)} exported anything"


def _torment(crew: Workers, random: Random, torment: Torment, window: int) -> None:
    """A window's share of all that is to happen, at random moments of its share of the time."""
    windows = torment.windows
    share = torment.kills // windows + (window < torment.kills % windows)
    freezes = torment.freezes // windows + (window < torment.freezes % windows)
    acts = [crew.kill_one] * share + [crew.freeze_one] * freezes + [crew.add, crew.leave_one]
    random.shuffle(acts)
    for act in acts:
        time.sleep(random.uniform(0.2, 2 * torment.seconds / windows / len(acts)))
        crew.replace_dead()
        if act == crew.leave_one and len(crew.running) < 2:
            crew.add()
        act()


def _close_and_kill(workspace: Workspace, random: Random, instant: datetime) -> None:
    """Begin the close and kill it at a random moment, twice."""
    for _ in range(2):
        close = start(workspace, "close", "--at", instant.isoformat())
        time.sleep(random.uniform(0.5, 8.0))
        close.kill()
        close.wait()


def _wait_for(close: ForkedProcess | None) -> None:
    """Wait for a close that goes on while workers are tormented; it's run once more at the end."""
    if close is not None:
        close.wait(timeout=300)
