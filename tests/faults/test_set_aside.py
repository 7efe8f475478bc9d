"""What is wrong with one partition or topic stops just that, on real Kafka (SPEC §6, *One trouble,
one place*).
"""

from __future__ import annotations

import secrets
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from deploy.parts import KafkaBroker
from deploy.parts.kafka import kafka_on_java
from schemas.settings.kafka import KafkaSettings
from streams.reading.fetch import UnreadableBatchError
from streams.recovery.range_reader import RangeReader
from streams.recovery.set_aside import SetAside, SetAsides, pass_over
from streams.storage.folder import FolderStore
from streams.storage.partitions import Partitions
from tests.faults import raw_worker
from tests.faults.raw_worker import BOMB
from tests.faults.rig import (
    MIB,
    Site,
    assert_exactly,
    create_topic,
    delete_topic,
    numbered,
    producer,
    publish,
    wait_until,
)
from tests.shop.forked import ForkedProcess

MakeSites = Callable[[KafkaBroker, int], tuple[Site, Site]]
"""Two topics that one worker reads; the second one is well."""


@pytest.fixture
def make_sites(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[MakeSites]:
    made: list[Site] = []

    def make(kafka: KafkaBroker, partitions: int) -> tuple[Site, Site]:
        name = request.node.name.translate(str.maketrans("[]", "--"))[:120]
        for which in ("ill", "well"):
            topic = f"aside.{name}.{which}.{secrets.token_hex(3)}"
            create_topic(kafka.bootstrap_servers, topic, partitions)
            made.append(Site(kafka.bootstrap_servers, topic, tmp_path))
        return made[0], made[1]

    yield make
    for site in made:
        site.stop()


def set_aside(site: Site) -> list[SetAside]:
    return list(SetAsides(site.partitions).all())


def until_set_aside(site: Site, count: int = 1) -> list[SetAside]:
    wait_until(lambda: len(set_aside(site)) == count, 30, "a partition set aside")
    return set_aside(site)


def until_stored(site: Site, seconds: float = 40) -> None:
    wait_until(lambda: not site.holes(), seconds, "all stored")


def set_time(kafka: str, topic: str, kind: str) -> None:
    """Let a topic's records have their producer's time, or the broker's."""
    entry = ConfigEntry("message.timestamp.type", kind, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": kafka})
    for changed in admin.incremental_alter_configs([resource]).values():
        changed.result()


def terminate(worker: ForkedProcess) -> None:
    """SIGTERM; the worker must end well."""
    worker.terminate()
    assert worker.wait(timeout=40) == 0


def test_a_record_with_its_producers_time_sets_its_partition_aside_and_is_passed_over(
    kafka: KafkaBroker, make_sites: MakeSites
) -> None:
    ill, well = make_sites(kafka, 2)
    publish(ill.kafka, ill.topic, numbered(1_000))
    worker = ill.start_and_wait(topics=[ill.topic, well.topic])
    until_stored(ill)
    set_time(ill.kafka, ill.topic, "CreateTime")
    sender = producer(ill.kafka)
    before = ill.end_offsets()
    worker.send_signal(signal.SIGTERM)  # the next one finds all three in its first fetch
    assert worker.wait(timeout=60) == 0
    for value in numbered(3, 5_000):  # a batch each
        sender.produce(ill.topic, value=value, partition=0)
        assert sender.flush(30) == 0
    set_time(ill.kafka, ill.topic, "LogAppendTime")
    publish(ill.kafka, ill.topic, numbered(1_000, 1_000))
    publish(well.kafka, well.topic, numbered(1_000))
    worker = ill.start_and_wait(topics=[ill.topic, well.topic])

    (one,) = until_set_aside(ill)

    bad = before[0]
    assert (one.partition, one.offset, one.next_offset) == (ill.owner(0), bad, bad + 3)
    assert one.command == f"deltadrop pass-over {ill.topic} 0 --to {bad + 3} --reason '…'"
    assert "their producer's time, not the broker's append time" in one.reason
    wait_until(lambda: {hole[0] for hole in ill.holes()} == {0}, 30, "the other partition")
    until_stored(well)
    time.sleep(12)  # it is tried again meanwhile
    assert worker.poll() is None, ill.said()
    assert ill.said().count("partition set aside") == 1

    pass_over(ill.partitions, one.partition, one.offset, bad + 3, "a wrong setting")
    until_stored(ill, 30)

    assert worker.poll() is None, ill.said()
    ill.start_and_wait(topics=[ill.topic, well.topic])
    worker.kill()
    publish(ill.kafka, ill.topic, numbered(10, 2_000))
    until_stored(ill, 40)
    assert_exactly(ill, range(2_010))
    assert_exactly(well, range(1_000))
    assert set_aside(ill) == []


def test_a_topic_created_again_is_read_from_its_start_and_nothing_of_the_old_one_is_its_own(
    kafka: KafkaBroker, make_sites: MakeSites
) -> None:
    ill, well = make_sites(kafka, 2)
    publish(ill.kafka, ill.topic, numbered(1_000))
    # With room for all of it, so that it is gathered, and nothing is stored.
    limits = {"batch_seconds": 600.0, "bytes_in_flight": 64 * MIB}
    worker = ill.start_and_wait(topics=[ill.topic, well.topic], limits=limits)
    publish(well.kafka, well.topic, numbered(1_000))
    time.sleep(3)
    assert ill.holes()

    delete_topic(ill.kafka, ill.topic)
    time.sleep(1)
    create_topic(ill.kafka, ill.topic, 2)
    publish(ill.kafka, ill.topic, numbered(500, 3_000))
    wait_until(lambda: "deleted and created again: the new one is read" in ill.said(), 40, "it")
    publish(ill.kafka, ill.topic, numbered(500, 3_500))
    terminate(worker)
    ill.start_and_wait(topics=[ill.topic, well.topic])  # what it hadn't read, another reads

    until_stored(ill)
    until_stored(well)
    assert_exactly(ill, range(3_000, 4_000))
    assert_exactly(well, range(1_000))


def test_a_topic_that_is_missing_is_told_and_read_as_soon_as_it_is_there(
    kafka: KafkaBroker, make_sites: MakeSites
) -> None:
    ill, well = make_sites(kafka, 2)
    delete_topic(ill.kafka, ill.topic)
    time.sleep(1)
    worker = ill.start_and_wait(topics=[ill.topic, well.topic])
    publish(well.kafka, well.topic, numbered(1_000))

    until_stored(well)
    wait_until(lambda: "topic is missing: the others go on" in ill.said(), 20, "its line")
    create_topic(ill.kafka, ill.topic, 2)
    publish(ill.kafka, ill.topic, numbered(1_000))

    until_stored(ill, 60)
    assert ill.said().count("topic is missing") == 1
    terminate(worker)
    assert_exactly(ill, range(1_000))


def test_what_nobody_foresaw_in_writing_one_topic_sets_it_aside(
    kafka: KafkaBroker, make_sites: MakeSites
) -> None:
    ill, well = make_sites(kafka, 1)
    publish(ill.kafka, ill.topic, numbered(100))
    worker = ill.start_and_wait(topics=[ill.topic, well.topic])
    until_stored(ill)
    publish(ill.kafka, ill.topic, [BOMB])
    publish(well.kafka, well.topic, numbered(1_000))

    (one,) = until_set_aside(ill)

    assert (one.offset, one.next_offset) == (100, 101)
    assert one.reason == "an unexpected error while writing: KeyError"
    until_stored(well)
    time.sleep(12)  # it is tried again meanwhile
    assert worker.poll() is None, ill.said()
    assert ill.said().count("partition set aside") == 1

    pass_over(ill.partitions, one.partition, 100, 101, "nobody can read it")
    publish(ill.kafka, ill.topic, numbered(100, 100))
    until_stored(ill)

    terminate(worker)
    assert_exactly(ill, range(200))


def test_a_partition_set_aside_stays_so_in_the_hands_of_another_worker(
    kafka: KafkaBroker, make_sites: MakeSites
) -> None:
    ill, well = make_sites(kafka, 2)
    set_time(ill.kafka, ill.topic, "CreateTime")
    publish(ill.kafka, ill.topic, numbered(10))
    set_time(ill.kafka, ill.topic, "LogAppendTime")
    worker = ill.start_and_wait(topics=[ill.topic, well.topic])
    first = until_set_aside(ill, 2)

    other = ill.start_and_wait(topics=[ill.topic, well.topic])
    publish(well.kafka, well.topic, numbered(1_000))
    until_stored(well)
    wait_until(lambda: "partition set aside" in ill.said(), 30, "its line")
    terminate(worker)
    publish(well.kafka, well.topic, numbered(1_000, 1_000))
    until_stored(well)

    assert set_aside(ill) == first
    for one in first:
        assert one.next_offset is not None
        pass_over(ill.partitions, one.partition, one.offset, one.next_offset, "a wrong setting")
    publish(ill.kafka, ill.topic, numbered(100))
    until_stored(ill)
    terminate(other)
    assert_exactly(ill, range(100))
    assert_exactly(well, range(2_000))


@pytest.fixture
def creating_kafka(tmp_path: Path) -> Iterator[KafkaBroker]:
    """A Kafka that creates each topic that it is asked for, as brokers do unless told not to."""
    with kafka_on_java(
        tmp_path / "kafka", properties={"auto.create.topics.enable": "true"}
    ) as broker:
        yield broker


def test_a_corrupt_batch_on_a_brokers_disk_sets_its_partition_aside(
    creating_kafka: KafkaBroker, make_sites: MakeSites, tmp_path: Path
) -> None:
    """Nor is a topic that is missing created by our asking for it."""
    ill, well = make_sites(creating_kafka, 1)
    for first in (0, 100, 200):
        publish(ill.kafka, ill.topic, numbered(100, first))
    [segment] = (tmp_path / "kafka").rglob(f"{ill.topic}-0/00000000000000000000.log")
    content = segment.read_bytes()
    with segment.open("r+b") as file:
        file.seek(content.index(b"000000000150"))
        file.write(b"9")  # a broker checks what is sent to it, not what it has
    again, owner = RangeReader(KafkaSettings(bootstrap_servers=ill.kafka)), ill.owner(0)
    other = tmp_path / "other"
    with pytest.raises(UnreadableBatchError):
        again.read(raw_worker.writer(ill.topic, other, ill.kafka), owner, 0, 300)
    kept = [(path.first, path.next) for path in Partitions(FolderStore(other)).coverage(owner)]

    worker = ill.start_and_wait(topics=[ill.topic, well.topic, "aside.missing"])
    publish(well.kafka, well.topic, numbered(1_000))

    (one,) = until_set_aside(ill)

    assert kept == [(0, one.offset)], "what is read again is kept as far as it can be read"
    assert "its checksum (CRC-32C) is wrong" in one.reason
    assert one.next_offset is not None
    assert one.offset <= 150 < one.next_offset
    until_stored(well)
    wait_until(lambda: ill.holes() == [(0, one.offset, 300)], 30, "what stands before it")
    pass_over(ill.partitions, one.partition, one.offset, one.next_offset, "a disk was broken")
    until_stored(ill)
    terminate(worker)
    assert_exactly(ill, [*range(one.offset), *range(one.next_offset, 300)])
    topics = AdminClient({"bootstrap.servers": ill.kafka}).list_topics(timeout=20).topics
    assert "aside.missing" not in topics
