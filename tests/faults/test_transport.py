"""The batch transport alone, on real Kafka: nothing lost, nothing doubled, whatever happens to its workers."""

from __future__ import annotations

import os
import random
import secrets
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.parts import KafkaBroker
from tests.faults.rig import (
    MIB,
    Site,
    assert_exactly,
    assert_tiles_are_exact,
    create_topic,
    numbered,
    publish,
    wait_until,
)

MakeSite = Callable[..., Site]


@pytest.fixture
def make_site(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[MakeSite]:
    sites: list[Site] = []

    def make(kafka: KafkaBroker, partitions: int = 4, **config: str) -> Site:
        name = request.node.name.translate(str.maketrans("[]", "--"))[:150]
        topic = f"transport.{name}.{secrets.token_hex(3)}"
        create_topic(kafka.bootstrap_servers, topic, partitions, config=config)
        sites.append(Site(kafka.bootstrap_servers, topic, tmp_path))
        return sites[-1]

    yield make
    for site in sites:
        site.stop()


def until_committed(site: Site, seconds: float = 60) -> float:
    """Wait until all that was published is committed."""
    ends = site.end_offsets()
    return wait_until(lambda: site.committed() == ends, seconds, "the commit of all offsets")


def terminate(worker: subprocess.Popen[bytes], seconds: float = 30) -> float:
    """SIGTERM; the worker must end well; return how long it took."""
    began = time.monotonic()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=seconds) == 0
    return time.monotonic() - began


def test_a_million_events_are_committed_exactly_and_stored_once(
    kafka: KafkaBroker, make_site: MakeSite
) -> None:
    site = make_site(kafka)
    publish(site.kafka, site.topic, numbered(1_000_000))
    limit = 48 * MIB

    worker = site.start(
        limits={"batch_bytes": 16 * MIB, "batch_seconds": 1.0, "bytes_in_flight": limit}
    )
    until_committed(site, 120)
    terminate(worker)

    assert site.committed() == site.end_offsets()
    assert sum(site.end_offsets().values()) == 1_000_000
    assert_tiles_are_exact(site)
    assert_exactly(site, range(1_000_000))
    assert site.most()["in_flight"] < limit
    assert site.most()["rss_kb"] < 600 * 1024


def test_killed_and_joining_workers_lose_and_double_nothing(
    kafka: KafkaBroker, make_site: MakeSite
) -> None:
    site = make_site(kafka)
    seed = int(os.environ.get("DELTADROP_SEED", "20"))
    chance = random.Random(seed)
    workers = [site.start_and_wait(), site.start()]
    published = 0
    for _ in range(6):
        publish(site.kafka, site.topic, numbered(40_000, published))
        published += 40_000
        time.sleep(chance.uniform(0.3, 3.0))
        victim = workers.pop(chance.randrange(len(workers)))
        victim.kill()
        victim.wait()
        workers.append(site.start_and_wait())
    terminate(workers.pop(0))
    publish(site.kafka, site.topic, numbered(40_000, published))
    published += 40_000
    until_committed(site, 90)
    for worker in workers:
        terminate(worker)

    mended = site.mend()

    assert_tiles_are_exact(site)
    assert_exactly(site, range(published))
    print(f"seed {seed}: {site.overlaps()} batches written again, {mended} holes mended")


def test_a_zombie_changes_nothing(kafka: KafkaBroker, make_site: MakeSite) -> None:
    site = make_site(kafka)
    zombie = site.start_and_wait()
    publish(site.kafka, site.topic, numbered(50_000))
    time.sleep(2.0)
    publish(site.kafka, site.topic, numbered(50_000, 50_000))
    zombie.send_signal(signal.SIGSTOP)
    other = site.start()
    time.sleep(site.session_timeout * 1.5)
    publish(site.kafka, site.topic, numbered(50_000, 100_000))
    until_committed(site)

    zombie.send_signal(signal.SIGCONT)
    publish(site.kafka, site.topic, numbered(50_000, 150_000))
    until_committed(site)
    terminate(other)
    publish(site.kafka, site.topic, numbered(1_000, 200_000))
    until_committed(site)  # the zombie has joined again
    terminate(zombie)

    mended = site.mend()
    assert_exactly(site, range(201_000))
    print(f"{site.overlaps()} batches written again, {mended} holes mended")
