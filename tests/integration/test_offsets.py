"""What Kafka tells of append times, and the cut that comes of it (SPEC §3, *Readings settled*).

A real broker's clock can't be set wrong here: topics are made with the producer's time in the place
of the append time, so that records carry the times that a wrong clock would have stamped.
"""

from __future__ import annotations

import datetime as dt
import secrets
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from deploy.parts import KafkaBroker
from schemas.settings.kafka import KafkaSettings
from sinks.closing.cut import Cuts
from sinks.closing.offsets import KafkaOffsets
from streams.reading.kafka import Topics
from streams.storage.folder import FolderStore
from streams.storage.partitions import Partitions
from tests.model.cuts import cut_of
from tests.model.history import DAY, HOUR

NOON = dt.datetime(2026, 3, 26, 12, tzinfo=dt.UTC)


def milliseconds(hours: float) -> int:
    return round(NOON.timestamp() * 1000 + hours * HOUR)


def published(kafka: KafkaBroker, times: list[int], codec: str = "none") -> str:
    """A topic whose records are stamped so, a batch each."""
    topic = f"offsets.{secrets.token_hex(4)}"
    settings = {
        "message.timestamp.type": "CreateTime",
        "message.timestamp.after.max.ms": str((1 << 63) - 1),
    }
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    admin.create_topics([NewTopic(topic, 1, 1, config=settings)])[topic].result()
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "compression.type": codec})
    for time in times:
        producer.produce(topic, value=b"x" * 1000, partition=0, timestamp=time)
        producer.flush()
    return topic


def cut(kafka: KafkaBroker, topic: str, root: Path, hours: float) -> int:
    settings = KafkaSettings(bootstrap_servers=kafka.bootstrap_servers)
    store = FolderStore(root)
    cuts = Cuts(store, Topics(settings), KafkaOffsets(settings), Partitions(store))
    return cuts.take([topic], NOON + dt.timedelta(hours=hours))[topic].offsets[0]


@pytest.mark.parametrize("codec", ["none", "zstd"])
def test_a_cut_passes_over_what_a_wrong_clock_has_stamped(
    kafka: KafkaBroker, tmp_path: Path, codec: str
) -> None:
    ahead, centuries = milliseconds(0) + 3 * DAY, milliseconds(0) + 60_000 * DAY
    hours = [milliseconds(hour) for hour in (0, 1, 2, 3, 4)]
    times = [hours[0], ahead, hours[1], centuries, hours[2], hours[3], 1_000, hours[4]]
    topic = published(kafka, times, codec)

    for hour in (0.5, 1.5, 3.5, 5):
        naive = cut_of(times, milliseconds(hour))
        assert cut(kafka, topic, tmp_path / f"{hour}", hour) == naive


def test_append_times_are_those_of_the_batches(kafka: KafkaBroker) -> None:
    times = [milliseconds(hour) for hour in (0, 50, 2, 3)]
    topic = published(kafka, times)
    offsets = KafkaOffsets(KafkaSettings(bootstrap_servers=kafka.bootstrap_servers))

    found = offsets.runs(topic, 0, 1, 3)

    assert (found.first, found.next) == (1, 3)
    assert (found.offsets.tolist(), found.times.tolist()) == ([1, 2], times[1:3])


def test_an_end_that_only_a_marker_holds_is_reached(kafka: KafkaBroker) -> None:
    topic = published(kafka, [milliseconds(0)])
    sender = Producer({"bootstrap.servers": kafka.bootstrap_servers, "transactional.id": topic})
    sender.init_transactions()
    sender.begin_transaction()
    sender.produce(topic, value=b"x", partition=0, timestamp=milliseconds(1))
    sender.commit_transaction()
    del sender  # before the broker ends
    offsets = KafkaOffsets(KafkaSettings(bootstrap_servers=kafka.bootstrap_servers))

    found = offsets.runs(topic, 0, 0, 3)

    assert (found.next, found.offsets.tolist()) == (3, [0, 1])
