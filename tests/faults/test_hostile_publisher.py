"""Nothing that comes from outside stops the night, or comes out wrong (SPEC §6), on real servers.

A hostile publisher sends every case of `tests/hostile/corpus` among right events of all nine kinds,
while closes run: no process ends, no worker takes more memory than is stated, each right event is
in its drop as a plain reading of the topics has it, and each other one is a dead letter with its
own reason. Then partitions break: they are set aside, told and passed over, and right events behind
come; a topic that is created again holds its exports alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest

from deploy.demo.workspace import CommandError, Workspace, next_second
from deploy.parts import KafkaBroker, SchemaRegistry, kafka_on_java
from sinks.instants import stamp
from tests.faults.demo_site import topics_of
from tests.faults.held_against import drops_are_the_truth
from tests.faults.processes import log_of, start
from tests.faults.rig import wait_until
from tests.faults.traffic import Traffic
from tests.hostile.cases import ASIDE, DEAD, USABLE, Case, load_cases
from tests.hostile.damage import create_again, damage_on_disk, producers_time
from tests.hostile.letters import reasons_of
from tests.hostile.publishing import HostilePublisher, Origin, Sent, right_case
from tests.hostile.site import all_topics, hostile_site
from tests.hostile.truth import HostileTruth
from tests.shop.forked import ForkedProcess
from tests.shop.site import own_prefix

PARTITIONS = 3
MOST_MEMORY_MB = 700
FEWEST_KINDS = 80
RECREATED = "shop.row.stores"


@dataclass(frozen=True)
class Assault:
    """How often all cases are sent, and how many right events go along, over how many seconds."""

    rounds: int
    events: int
    seconds: float
    workers: int
    windows: int
    is_long: bool = False


SHORT = Assault(rounds=1, events=800, seconds=10, workers=1, windows=2)
LONG = Assault(rounds=4, events=30_000, seconds=180, workers=2, windows=4, is_long=True)


@pytest.mark.parametrize("seed", [pytest.param(20261201, id="seed-20261201")])
@pytest.mark.timeout(900)
def test_a_hostile_publisher_stops_nothing_and_nothing_comes_out_wrong(
    seed: int, own_kafka: KafkaBroker, registry: SchemaRegistry, tmp_path: Path
) -> None:
    assault(seed, SHORT, own_kafka, registry, tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("seed", [pytest.param(seed, id=f"seed-{seed}") for seed in range(1, 4)])
@pytest.mark.timeout(3600)
def test_a_hostile_publisher_stops_nothing_for_long(
    seed: int, registry: SchemaRegistry, tmp_path: Path
) -> None:
    # To look an offset up by time, the broker holds a whole record: one here has 400 MB.
    with kafka_on_java(tmp_path / "kafka", heap="3g") as kafka:
        assault(seed, LONG, kafka, registry, tmp_path)


@dataclass
class Night:
    """A site under assault, and what was done to it."""

    seed: int
    workspace: Workspace
    prefix: str
    kafka: KafkaBroker
    home: Path
    """The broker's folder."""
    registry: SchemaRegistry
    publisher: HostilePublisher
    sent: list[Sent] = field(default_factory=list)
    instants: list[datetime] = field(default_factory=list)
    lost: list[Origin] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)

    def publish(self, case: Case, partition: int | None = None) -> list[Sent]:
        """Send a case, and note what was sent."""
        sent = self.publisher.publish(case, partition)
        self.sent += sent
        return sent

    def workers(self, count: int) -> list[ForkedProcess]:
        return [start(self.workspace, "worker") for _ in range(count)]

    def leave(self, workers: Sequence[ForkedProcess]) -> None:
        """Tell workers to leave, note their memory, and fail if one had ended by itself."""
        ended = [worker.poll() for worker in workers]
        self.memory += [memory_mb(worker) for worker in workers if worker.poll() is None]
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.wait(timeout=60)
        logs = [log_of(worker).read_text(errors="replace")[-3000:] for worker in workers]
        assert ended == [None] * len(workers), (self.seed, ended, logs)


def assault(
    seed: int, how: Assault, kafka: KafkaBroker, registry: SchemaRegistry, folder: Path
) -> None:
    prefix, random = own_prefix(f"hostile{seed}"), Random(seed)
    workspace = hostile_site(folder, kafka, registry, prefix)
    publisher = HostilePublisher(kafka.bootstrap_servers, registry.url, prefix, random, PARTITIONS)
    night = Night(seed, workspace, prefix, kafka, folder / "kafka", registry, publisher)
    refused_schemas = [case for case in load_cases() if case.is_refused_by_the_registry]
    assert all(publisher.refuses(case) for case in refused_schemas)
    cases = sendable(how, random)

    published = send_all(night, how, cases)
    break_partitions(night)

    kinds = {one.case.name for one in night.sent} | {case.name for case in refused_schemas}
    print(f"seed {seed}: {len(kinds)} kinds in {len(night.sent)} messages among {published}")
    print(f"right events; peak memory of workers: {night.memory} MB")
    assert len(kinds) >= FEWEST_KINDS
    assert max(night.memory) < MOST_MEMORY_MB
    assert_letters(night)
    assert_drops(night)


def sendable(how: Assault, random: Random) -> list[Case]:
    """The cases that harm no partition, in an order by chance."""
    cases = [
        case
        for case in load_cases()
        if case.verdict != ASIDE
        and not case.is_refused_by_the_registry
        and (how.is_long or not case.is_for_soak)
    ]
    found = []
    for _ in range(how.rounds):
        random.shuffle(cases)
        found += cases
    return found


def send_all(night: Night, how: Assault, cases: Sequence[Case]) -> int:
    """Send cases among right events while closes run; return how many right events there were.

    The last window is closed when partitions are broken.
    """
    own = topics_of(night.prefix)
    traffic = Traffic(
        night.workspace, night.seed, how.events, how.seconds, own, night.kafka.bootstrap_servers
    )
    workers = night.workers(how.workers)
    traffic.start()
    close = None
    try:
        for window in range(how.windows):
            traffic.allowed = how.events * (window + 1) // how.windows
            for case in cases[window :: how.windows]:
                night.publish(case)
            if window < how.windows - 1:
                ended_well(close)
                night.instants.append(next_second())
                close = start(night.workspace, "close", "--at", night.instants[-1].isoformat())
        traffic.join()
        ended_well(close)
        wait_for_what_goes(night)
        assert traffic.failure is None, f"seed {night.seed}: {traffic.failure}"
    finally:
        traffic.allowed = how.events
        night.leave(workers)
    return traffic.published


def wait_for_what_goes(night: Night) -> None:
    """Wait until the topic that is created again has been read: the close of its exports waits."""
    exports = sorted(exports_on([RECREATED]))
    night.workspace.run("close", *exports, "--at", next_second().isoformat())


def ended_well(close: ForkedProcess | None) -> None:
    if close is not None:
        assert close.wait(timeout=300) == 0, log_of(close).read_text(errors="replace")[-3000:]


def break_partitions(night: Night) -> None:
    """Break partitions while no worker is there; the next one sets them aside, and goes on."""
    broken = {
        case.name: break_partition(night, case) for case in load_cases() if case.verdict == ASIDE
    }
    create_again(night.kafka.bootstrap_servers, f"{night.prefix}.{RECREATED}", PARTITIONS)
    for case in (*(one[0].case for one in broken.values()), right_case(RECREATED)):
        for partition in range(PARTITIONS):
            night.publish(right_case(case.topic, case.number + partition + 1), partition)
    workers = night.workers(1)
    try:
        told_in = night.workspace.folder / "set-aside"
        wait_until(lambda: files_in(told_in) == len(broken), 90, "partitions set aside")
        told = {(one["topic"], one["partition"]): one for one in aside(night)}
        night.instants.append(next_second())
        held = closes_that_are_held(night)
        for sent in broken.values():
            pass_over(night, sent, told)
        assert closes_that_are_held(night) == exports_on([RECREATED])
    finally:
        night.leave(workers)
    topics = [*(sent[0].case.topic for sent in broken.values()), RECREATED]
    assert held == exports_on(topics), "one trouble holds what needs it, and no more"


def break_partition(night: Night, case: Case) -> list[Sent]:
    """Send a case so that its partition can't go on from there."""
    topic = f"{night.prefix}.{case.topic}"
    if case.batch.damage == "time":
        with producers_time(night.kafka.bootstrap_servers, topic):
            sent = night.publish(case)
    else:
        sent = night.publish(case)
        content = sent[0].message.value
        assert content is not None
        damage_on_disk(night.home, topic, sent[0].origin[1], content)
    night.lost += [one.origin for one in sent]
    return sent


def files_in(folder: Path) -> int:
    return sum(1 for path in folder.rglob("*") if path.is_file())


def aside(night: Night) -> list[dict[str, Any]]:
    """What `status` tells of partitions that are set aside."""
    told = json.loads(night.workspace.run("status", "--json"))
    found: list[dict[str, Any]] = told["set_aside"]
    return found


def pass_over(night: Night, sent: Sequence[Sent], told: Mapping[Any, Any]) -> None:
    topic, partition, first = sent[0].origin
    one = told[topic, partition]
    reason = sent[0].case.reason.format(first=first, last=first + len(sent) - 1)
    assert (one["offset"], one["next_offset"]) == (first, first + len(sent))
    assert one["reason"] == reason
    to = str(one["next_offset"])
    night.workspace.run("pass-over", topic, str(partition), "--to", to, "--reason", "it is broken")


def closes_that_are_held(night: Night) -> set[str]:
    """Close all exports at the last instant; return those that are held."""
    instant = night.instants[-1]
    with pytest.raises(CommandError, match=" ended with 3: "):
        night.workspace.run("close", "--at", instant.isoformat())
    folder = night.workspace.folder
    return {
        file.stem
        for file in (folder / "exports").glob("*.yaml")
        if not (folder / "ledger/exports" / file.stem / stamp(instant) / "outcome.json").exists()
    }


EXPORTS = {
    "shop.segment-transition": "segment-transitions",
    "shop.marketing-consent": "consents",
    RECREATED: "stores",
}
"""By a topic the only export of its events; none needs it for anything else."""


def exports_on(topics: Sequence[str]) -> set[str]:
    return {EXPORTS[topic] for topic in topics}


def memory_mb(process: ForkedProcess) -> int:
    """The most memory that a process ever had, in MB."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    (peak,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(peak) // 1000


def assert_letters(night: Night) -> None:
    """Each message that must be refused is a dead letter with its own reason, and no other is."""
    reasons = reasons_of(night.kafka.bootstrap_servers, f"{night.prefix}.dead-letter")
    wrong = {
        f"{one.case.name} at {one.origin}": (reasons.get(one.origin), one.reason)
        for one in night.sent
        if one.case.verdict == DEAD and reasons.get(one.origin) != one.reason
    }
    assert not wrong, f"seed {night.seed}: {len(wrong)}: {dict(list(wrong.items())[:20])}"
    # Letters tell the topic's name, and offsets begin again in the one that was created again.
    before = {one.origin for one in night.sent if one.case.verdict == DEAD}
    refused = {
        one.case.name: reasons[one.origin]
        for one in night.sent
        if one.case.verdict == USABLE and one.origin in reasons and one.origin not in before
    }
    assert not refused, f"seed {night.seed}: {refused}"


def assert_drops(night: Night) -> None:
    """Every drop is, line for line, what a plain reading of the topics gives."""
    untold = [one.origin for one in night.sent if one.case.naive is not None]
    truth = HostileTruth(
        night.kafka.bootstrap_servers, night.registry.url, night.prefix, untold, night.lost
    )
    records = truth.records([topic for topic in all_topics(night.prefix) if RECREATED not in topic])
    recreated = exports_on([RECREATED])
    folder = night.workspace.folder
    for export in recreated:
        (folder / "exports" / f"{export}.yaml").unlink()
    exports = list((folder / "exports").glob("*.yaml"))

    told = drops_are_the_truth(night.seed, folder, night.prefix, records, lambda _: night.instants)

    assert len(told) > len(exports) // 2, f"seed {night.seed}: only {sorted(told)} exported a line"
