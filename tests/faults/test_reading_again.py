"""A broker that goes away while a range of offsets is read again."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import aiokafka
import pytest

from deploy.parts import KafkaBroker
from schemas.errors import PartitionError
from schemas.settings.kafka import KafkaSettings
from streams.recovery import range_reader
from streams.recovery.range_reader import RangeReader
from streams.storage.layout import TopicPartition
from streams.writing.batch import BatchWriter
from tests.faults import raw_worker
from tests.faults.rig import Site, create_topic, numbered, publish


@pytest.fixture
def site(own_kafka: KafkaBroker, tmp_path: Path) -> Site:
    """A topic of a hundred records, none of which is stored."""
    topic = f"again.{secrets.token_hex(4)}"
    create_topic(own_kafka.bootstrap_servers, topic, partitions=1)
    publish(own_kafka.bootstrap_servers, topic, numbered(100))
    return Site(own_kafka.bootstrap_servers, topic, tmp_path)


def read(site: Site, owner: TopicPartition) -> int:
    writer = raw_worker.writer(site.topic, site.root, site.kafka)
    return RangeReader(KafkaSettings(bootstrap_servers=site.kafka)).read(writer, owner, 0, 10)


def kill_before(
    monkeypatch: pytest.MonkeyPatch, kafka: KafkaBroker, owner: type, method: str
) -> None:
    """Let the broker go away as soon as a method is called."""
    original = getattr(owner, method)

    def instead(*args: Any, **options: Any) -> Any:
        kafka.kill()
        return original(*args, **options)

    monkeypatch.setattr(owner, method, instead)


@pytest.mark.parametrize(
    ("method", "said"),
    [
        pytest.param("seek", "nothing came of .*/0 from offset 0 on for 1 s; is it up", id="seek"),
        pytest.param(
            "assign", "can't be read: KafkaTimeoutError", id="assign", marks=pytest.mark.soak
        ),
    ],
)
def test_a_broker_that_goes_away_before_anything_was_read_is_named_and_nothing_is_written(
    own_kafka: KafkaBroker,
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    method: str,
    said: str,
) -> None:
    monkeypatch.setattr(range_reader, "_IDLE_SECONDS", 1.0)
    owner = site.owner(0)
    kill_before(monkeypatch, own_kafka, aiokafka.AIOKafkaConsumer, method)

    with pytest.raises(PartitionError, match=f"^Kafka {site.kafka}: {said}"):
        read(site, owner)

    assert site.partitions.coverage(owner) == []
    assert len(caplog.records) < 5_000, "it is asked with pauses"


def test_a_broker_that_goes_away_when_all_was_read_is_not_missed(
    own_kafka: KafkaBroker, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = site.owner(0)
    kill_before(monkeypatch, own_kafka, BatchWriter, "write")

    assert read(site, owner) == 10
    assert [(path.first, path.next) for path in site.partitions.coverage(owner)] == [(0, 10)]
