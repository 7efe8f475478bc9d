"""Holes are mended from Kafka by a reader without a group, as far back as Kafka has the offsets."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from deploy.parts import KafkaBroker
from schemas.errors import PartitionError
from schemas.settings.kafka import KafkaSettings
from streams.recovery.range_reader import RangeReader
from streams.recovery.restoring import Restorer
from streams.storage.layout import CoveragePath
from tests.faults import raw_worker
from tests.faults.rig import Site, assert_exactly, create_topic, numbered, producer, publish


@pytest.fixture
def site(kafka: KafkaBroker, tmp_path: Path) -> Site:
    topic = f"range-reader.{secrets.token_hex(4)}"
    create_topic(kafka.bootstrap_servers, topic, partitions=2)
    return Site(kafka.bootstrap_servers, topic, tmp_path)


def paths(site: Site) -> list[CoveragePath]:
    return [path for p in site.end_offsets() for path in site.partitions.coverage(site.owner(p))]


def read(site: Site, first: int, end: int, partition: int = 0, **settings: int) -> int:
    writer = raw_worker.writer(site.topic, site.root, site.kafka)
    return RangeReader(KafkaSettings(bootstrap_servers=site.kafka), **settings).read(
        writer, site.owner(partition), first, end
    )


def test_what_no_worker_read_is_mended(site: Site) -> None:
    publish(site.kafka, site.topic, numbered(5_000))

    assert site.mend() == 2

    assert_exactly(site, range(5_000))


def test_a_file_that_was_lost_is_read_again_with_the_same_rows(site: Site) -> None:
    publish(site.kafka, site.topic, numbered(5_000))
    site.mend()
    record = site.partitions.record(paths(site)[0])
    file = record.files[0].path
    (site.root / file).unlink()
    writer = raw_worker.writer(site.topic, site.root, site.kafka)
    reader = RangeReader(KafkaSettings(bootstrap_servers=site.kafka))

    Restorer(site.partitions, {site.topic: writer}, reader).restore(site.owner(0), [file])

    assert_exactly(site, range(5_000))
    assert len(paths(site)) == 2


def test_a_hole_between_two_batches_is_mended_and_nothing_else(site: Site) -> None:
    publish(site.kafka, site.topic, numbered(5_000))
    read(site, 0, 300)
    read(site, 1_000, site.end_offsets()[0])

    assert site.holes()[0] == (0, 300, 1_000)
    assert read(site, 300, 1_000) == 700

    assert [(p.first, p.next) for p in paths(site)][:2] == [(0, 300), (300, 1_000)]
    site.mend()
    assert_exactly(site, range(5_000))


def test_a_long_range_is_read_in_several_batches(site: Site) -> None:
    publish(site.kafka, site.topic, numbered(100_000, size=200))
    end = site.end_offsets()[0]

    assert read(site, 0, end, batch_bytes=1 << 20) == end

    assert len(paths(site)) > 1


def test_aborted_records_and_markers_are_covered_and_no_rows(site: Site) -> None:
    sender = producer(site.kafka, transactional_id=site.topic)
    sender.init_transactions()
    for first, is_committed in ((0, False), (100, True), (200, False)):
        sender.begin_transaction()
        for value in numbered(100, first):
            sender.produce(site.topic, value=value, partition=0)
        if is_committed:
            sender.commit_transaction()
        else:
            sender.flush()
            sender.abort_transaction()

    assert read(site, 0, 303) == 100

    assert_exactly(site, range(100, 200))


def test_offsets_that_kafka_no_longer_has_are_refused(site: Site) -> None:
    publish(site.kafka, site.topic, numbered(1_000))
    admin = AdminClient({"bootstrap.servers": site.kafka})
    for deleted in admin.delete_records([TopicPartition(site.topic, 0, 50)]).values():
        deleted.result()

    with pytest.raises(PartitionError, match=r"offsets 10 to 20 are no longer in Kafka.* at 50"):
        read(site, 10, 20)
