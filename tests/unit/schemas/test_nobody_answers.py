"""What is said when Kafka or the registry isn't there: which server, and what to do; a loss is
spoken of only where something is lost.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pytest

from deploy.parts.ports import free_port
from schemas.errors import CloseError, DeltadropError, HeldError, PartitionError, RegistryError
from schemas.events import Kind
from schemas.settings import reachable as reach
from schemas.settings.kafka import KafkaSettings
from schemas.settings.reachable import KAFKA_HINT
from sinks.closing.offsets import KafkaOffsets
from streams.reading.kafka import OffsetsGoneError
from streams.recovery.range_reader import RangeReader
from streams.storage.layout import TopicPartition
from streams.writing.batch import BatchWriter
from tests.shop.offline import OfflineShop, at, with_exports


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> str:
    """An address where nothing listens, and where nobody waits for something."""
    monkeypatch.setattr(reach, "_WAIT_SECONDS", 0)
    return f"127.0.0.1:{free_port()}"


def test_offsets_that_cant_be_looked_up_name_the_kafka(nobody: str) -> None:
    offsets = KafkaOffsets(KafkaSettings(bootstrap_servers=nobody))

    with pytest.raises(CloseError) as refused:
        offsets.at("topic", 1, int(datetime.now(UTC).timestamp() * 1000))

    assert str(refused.value) == (
        f"Kafka {nobody}: can't be reached ([Errno 111] Connection refused); {KAFKA_HINT}"
    )


def test_a_range_that_cant_be_read_names_the_kafka(nobody: str) -> None:
    with pytest.raises(PartitionError) as refused:
        RangeReader(KafkaSettings(bootstrap_servers=nobody)).read(
            cast(BatchWriter, None), TopicPartition("t", UUID(int=1), 0), 0, 9
        )

    assert str(refused.value) == (
        f"Kafka {nobody}: can't be reached ([Errno 111] Connection refused); {KAFKA_HINT}"
    )


@pytest.fixture
def with_a_hole(tmp_path: Path) -> OfflineShop:
    """Three mails, the second of which no worker stored."""
    shop = OfflineShop(tmp_path, definitions=with_exports("sent"))
    for number in range(3):
        shop.tell(Kind.EMAIL_ACTIVITY, "SENT", at(2), interactionId=number)
    (name,) = shop.log.records
    shop.batch(name, 0, 1)
    shop.batch(name, 2, 3)
    shop.stored[name] = 3
    return shop


REGISTRY_DOWN = RegistryError(
    "the registry can't be reached", where="registry http://r, schema 7", hint="check registry.url"
)
GONE = OffsetsGoneError(
    "offsets 1 to 2 are no longer in Kafka",
    where="deltadrop.shop.email-activity/0",
    hint="raise the topic's retention",
)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        pytest.param(
            REGISTRY_DOWN,
            "registry http://r, schema 7: the registry can't be reached; check registry.url",
            id="registry-down",
        ),
        pytest.param(
            GONE,
            "offsets 1 to 2 are no longer in Kafka; to send the drop without them: deltadrop"
            " release sent --close 20260327T060000.000Z --accept-loss --reason '…'; raise the"
            " topic's retention",
            id="gone",
        ),
    ],
)
def test_a_hole_that_cant_be_mended_says_why_and_speaks_of_a_loss_only_where_there_is_one(
    error: DeltadropError, said: str, with_a_hole: OfflineShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: Any) -> int:
        raise error

    monkeypatch.setattr(type(with_a_hole.log), "read", read)

    with pytest.raises(HeldError) as held:
        with_a_hole.close("sent", at(6))

    assert str(held.value) == (
        f"deltadrop.shop.email-activity/0: offsets 1 to 2 can't be read again: {said}"
    )
    assert with_a_hole.drops() == []
