"""The batch transport alone, on real Kafka: nothing lost, nothing doubled, whatever happens."""

from __future__ import annotations

import os
import random
import secrets
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.parts import KafkaBroker
from tests.faults.rig import (
    MIB,
    Site,
    Traffic,
    assert_exactly,
    assert_tiles_are_exact,
    create_topic,
    numbered,
    producer,
    publish,
    small_disk,
    wait_until,
)
from tests.shop.forked import ForkedProcess

MakeSite = Callable[..., Site]

KILLS = 6
NEVER_COMMITTED = -1001  # what Kafka says of a partition without a commit


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


def terminate(worker: ForkedProcess, seconds: float = 30) -> float:
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
    # Far above what a worker takes (benchmarks tell), far below what keeping the events would.
    assert site.most()["memory_mb"] < 1000


def test_killed_and_joining_workers_lose_and_double_nothing(
    kafka: KafkaBroker, make_site: MakeSite
) -> None:
    site = make_site(kafka)
    seed = int(os.environ.get("DELTADROP_SEED", random.randrange(10_000)))
    print(f"DELTADROP_SEED={seed}")
    chance = random.Random(seed)
    quick = {"batch_seconds": 0.2}
    workers = [site.start_and_wait(limits=quick), site.start_and_wait(limits=quick)]
    with Traffic(site, per_second=5_000) as traffic:
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.2, 4.0))
            victim = workers.pop(chance.randrange(len(workers)))
            victim.kill()
            victim.wait()
            workers.append(site.start_and_wait(limits=quick))
        workers.append(site.start_and_wait(limits=quick))
        terminate(workers.pop(0))
    until_committed(site, 90)
    for worker in workers:
        terminate(worker)

    overlaps, mended = site.overlaps(), site.mend()

    assert_tiles_are_exact(site)
    assert_exactly(site, range(traffic.published))
    print(f"{traffic.published} events, {overlaps} batches written again, {mended} holes mended")


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


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_compressed_batches_are_read(kafka: KafkaBroker, make_site: MakeSite, codec: str) -> None:
    site = make_site(kafka, partitions=2)
    publish(site.kafka, site.topic, numbered(20_000), compression_type=codec)

    worker = site.start()
    until_committed(site)
    terminate(worker)

    assert_exactly(site, range(20_000))


def test_a_quiet_topics_tail_is_flushed_in_time(kafka: KafkaBroker, make_site: MakeSite) -> None:
    site = make_site(kafka, partitions=2)
    worker = site.start_and_wait(limits={"batch_seconds": 2.0})
    publish(site.kafka, site.topic, numbered(100))
    until_committed(site)

    publish(site.kafka, site.topic, numbered(7, 100))
    took = wait_until(lambda: not site.holes(), 10, "the tail's files")

    assert took < 2.0 + 1.0
    until_committed(site, 5)
    terminate(worker)
    assert_exactly(site, range(107))


def test_transaction_markers_at_a_partitions_end_are_covered_and_aborted_records_are_no_rows(
    kafka: KafkaBroker, make_site: MakeSite
) -> None:
    site = make_site(kafka, partitions=2)
    worker = site.start_and_wait()
    sender = producer(site.kafka, transactional_id=site.topic)
    sender.init_transactions()
    for first, is_committed in ((0, True), (1_000, False), (2_000, True), (3_000, False)):
        sender.begin_transaction()
        for number, value in enumerate(numbered(1_000, first)):
            sender.produce(site.topic, key=str(number), value=value)
        if is_committed:
            sender.commit_transaction()
        else:
            sender.flush()
            sender.abort_transaction()

    until_committed(site)
    terminate(worker)

    ends = site.end_offsets()
    assert sum(ends.values()) == 4_000 + 2 * 4, "a marker in each partition for each transaction"
    assert site.committed() == ends
    assert_exactly(site, [*range(1_000), *range(2_000, 3_000)])


def test_what_is_in_an_open_transaction_waits_for_its_end(
    kafka: KafkaBroker, make_site: MakeSite
) -> None:
    site = make_site(kafka, partitions=1)
    worker = site.start_and_wait()
    sender = producer(site.kafka, transactional_id=site.topic)
    sender.init_transactions()
    publish(site.kafka, site.topic, numbered(100))
    sender.begin_transaction()
    sender.produce(site.topic, value=next(numbered(1, 100)))
    sender.flush()
    publish(site.kafka, site.topic, numbered(100, 101))

    wait_until(lambda: site.committed() == {0: 100}, 20, "the commit up to the open transaction")
    time.sleep(2.0)
    assert site.committed() == {0: 100}
    sender.commit_transaction()
    until_committed(site)

    terminate(worker)
    assert_exactly(site, range(201))


def test_a_writer_that_fails_for_a_while_goes_on(kafka: KafkaBroker, make_site: MakeSite) -> None:
    site = make_site(kafka, partitions=2)
    site.root.mkdir()
    obstacle = site.root / "streams"
    obstacle.write_text("a file in the place of a folder")
    worker = site.start_and_wait()
    publish(site.kafka, site.topic, numbered(50_000))
    wait_until(lambda: "batch not written, trying again" in site.said(), 20, "the failed write")
    time.sleep(3.0)
    assert set(site.committed().values()) == {NEVER_COMMITTED}

    obstacle.unlink()
    until_committed(site)

    terminate(worker)
    assert_exactly(site, range(50_000))


def test_a_writer_that_fails_for_long_stops_the_worker_and_nothing_is_lost(
    kafka: KafkaBroker, make_site: MakeSite
) -> None:
    site = make_site(kafka, partitions=2)
    site.root.mkdir()
    obstacle = site.root / "streams"
    obstacle.write_text("a file in the place of a folder")
    publish(site.kafka, site.topic, numbered(5_000))

    worker = site.start(retry_seconds=2.0)
    assert worker.wait(timeout=40) == 1
    failed = site.failure()
    assert str(obstacle) in failed
    assert "a file is in the place of a folder" in failed
    obstacle.unlink()
    worker = site.start()
    until_committed(site)

    terminate(worker)
    assert_exactly(site, range(5_000))


def test_a_full_disk_stops_the_worker_and_nothing_is_lost(
    kafka: KafkaBroker, make_site: MakeSite
) -> None:
    site = make_site(kafka, partitions=2)
    publish(site.kafka, site.topic, (os.urandom(100) for _ in range(60_000)))
    with small_disk(site.root, "1m") as grow:
        worker = site.start(retry_seconds=2.0)
        assert worker.wait(timeout=40) == 1
        assert "No space left on device; free some space" in site.failure()
        grow("100m")
        worker = site.start()
        until_committed(site)
        terminate(worker)

        assert_tiles_are_exact(site)
        assert len(site.rows()) == 60_000


def test_sigterm_writes_what_was_gathered_and_hands_over_at_once(
    kafka: KafkaBroker, make_site: MakeSite
) -> None:
    site = make_site(kafka)
    site.session_timeout = 30.0
    slow = {"batch_seconds": 600.0, "batch_bytes": 64 * MIB, "bytes_in_flight": 128 * MIB}
    first = site.start_and_wait(limits=slow)
    publish(site.kafka, site.topic, numbered(10_000))
    other = site.start_and_wait()
    time.sleep(5.0)
    assert sum(site.committed().values()) < 10_000, "nothing of the first worker's is due"

    left = terminate(first)
    publish(site.kafka, site.topic, numbered(1_000, 10_000))
    handed_over = until_committed(site, 30)

    terminate(other)
    assert_exactly(site, range(11_000))
    print(f"left after {left:.2f} s, the other had everything {handed_over:.2f} s later")
    assert left < 3.0
    assert handed_over < 10.0, "well before the session time-out of 30 s"


def test_sigterm_ends_an_idle_worker_at_once(kafka: KafkaBroker, make_site: MakeSite) -> None:
    site = make_site(kafka)
    worker = site.start_and_wait()
    time.sleep(2.0)

    took = terminate(worker)

    print(f"ended after {took:.2f} s")
    assert took < 3.0


@pytest.mark.parametrize(
    "end", [pytest.param(KafkaBroker.stop, marks=pytest.mark.soak), KafkaBroker.kill]
)
def test_a_broker_that_goes_away_and_comes_back_is_survived(
    own_kafka: KafkaBroker, make_site: MakeSite, end: Callable[[KafkaBroker], None]
) -> None:
    site = make_site(own_kafka)
    worker = site.start_and_wait()
    publish(site.kafka, site.topic, numbered(20_000))
    time.sleep(1.0)

    end(own_kafka)
    time.sleep(15.0)
    own_kafka.start()
    publish(site.kafka, site.topic, numbered(20_000, 20_000))
    back = until_committed(site, 60)

    print(f"all was committed {back:.1f} s after the broker's return")
    assert worker.poll() is None, site.said()
    terminate(worker)
    mended = site.mend()
    assert_exactly(site, range(40_000))
    print(f"{mended} holes mended")


def test_a_worker_without_any_topic_doesnt_start(kafka: KafkaBroker, make_site: MakeSite) -> None:
    site = make_site(kafka)

    worker = site.start(topics=["transport.missing"])

    assert worker.wait(timeout=40) == 1
    assert site.failure() == (
        "topics don't exist: transport.missing; create them with `deltadrop topics create`"
    )
