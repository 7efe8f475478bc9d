"""Bad input: each poison event is a dead letter with origin and reason; nothing stops (SPEC §6)."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from random import Random

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from deploy.demo.report import Drop
from deploy.demo.workspace import Workspace, next_second
from deploy.parts import KafkaBroker, SchemaRegistry
from tests.shop.forked import ForkedProcess
from tests.shop.site import own_prefix, site_settings

SHOP = Path("deploy/demo")
WIRE_HEADER = 5
TOO_LARGE = 1_048_400
"""Bytes of a value that Kafka takes, though not with the headers of a dead letter."""

EVENT_TYPE_AT = WIRE_HEADER + 1 + 36  # behind the length and the digits of the event's id
EVENTS = [
    {
        "kind": "campaign",
        "eventType": "CREATED",
        "campaignId": 22,
        "name": "Spring",
        "technicalName": "Spring_1",
        "channel": "EMAIL",
        "campaignKind": "SCENARIZED",
        "state": "ACTIVE",
        "engine": "CURRENT",
    },
    {"kind": "profile", "eventType": "CREATED", "profileId": 1, "attributes": {"customerId": "C1"}},
    {
        "kind": "email-activity",
        "eventType": "SENT",
        "interactionId": 11,
        "campaignId": 22,
        "profileId": 1,
        "emailAddress": "ann@shop.example",
    },
    {
        "kind": "email-activity",
        "eventType": "SENT",
        "interactionId": 12,
        "campaignId": 22,
        "profileId": 1,
    },
]
HEADER = {"database": "shop", "source": "API", "occurredAt": "2026-03-28T12:00:00Z"}


def poison_from(good: bytes) -> Mapping[str, tuple[bytes | None, bytes]]:
    """Key and value of each kind of poison, by what its reason must say."""
    wrong_enum = bytearray(good)
    wrong_enum[EVENT_TYPE_AT] = 0x7E
    return {
        "cut short": (b"1", good[:-3]),
        "unknown schema id": (b"1", b"\0\x7f\xff\xff\xff" + good[WIRE_HEADER:]),
        "magic byte": (b"1", b"\1" + good[1:]),
        "eventType": (b"1", bytes(wrong_enum)),
        "null key": (None, good),
        "magic": (b"1", b"\7" + Random(7).randbytes(1_000_000)),
        "no magic": (b"1", b"\7" + Random(8).randbytes(TOO_LARGE - 1)),
    }


@pytest.mark.timeout(240)
def test_poison_is_a_dead_letter_with_origin_and_reason_and_the_drop_of_the_rest_is_right(
    kafka: KafkaBroker, registry: SchemaRegistry, tmp_path: Path
) -> None:
    prefix = own_prefix("poison")
    site = _site(kafka, registry, prefix, tmp_path)
    topic = f"{prefix}.shop.email-activity"
    site.run("publish", str(_file(tmp_path)))
    good = _records(kafka, topic)
    poison = poison_from(good[0].value)
    with KafkaProducer(
        bootstrap_servers=kafka.bootstrap_servers, max_request_size=2_000_000
    ) as producer:
        for key, value in poison.values():
            producer.send(topic, key=key, value=value, partition=0).get(timeout=30)

    with site.workers(1):
        site.run("close", "emails-sent", "--at", next_second().isoformat())

    drop = Drop.all_in(site.transferbox)[-1]
    assert [line.split(",")[0] for line in drop.lines(10)] == ["interactionId", "11", "12"]
    outcomes = drop.manifest["balance"]["outcomes"]
    assert {name: n for name, n in outcomes.items() if n} == {"dead letter": 7, "exported": 2}
    assert drop.manifest["balance"]["input"] == 9
    _assert_whole(_records(kafka, f"{prefix}.dead-letter"), poison, topic, first=len(good))


def _assert_whole(
    letters: list[ConsumerRecord],
    poison: Mapping[str, tuple[bytes | None, bytes]],
    topic: str,
    first: int,
) -> None:
    """Each dead letter is the event as it was, with where it stood and why it can't be used; of
    one that is too large for that a part, with size and hash of the whole.
    """
    by_offset = {int(dict(letter.headers)["origin-offset"]): letter for letter in letters}
    assert sorted(by_offset) == list(range(first, first + len(poison)))
    for offset, (reason, (key, value)) in enumerate(poison.items(), start=first):
        letter = by_offset[offset]
        headers = dict(letter.headers)
        if len(value) == TOO_LARGE:
            assert headers["value-size"] == str(TOO_LARGE).encode()
            assert headers["value-sha256"] == hashlib.sha256(value).hexdigest().encode()
            assert letter.value == value[:65_536]
        else:
            assert letter.value == value
        assert headers.get("origin-key") == key
        assert (headers["origin-topic"], headers["origin-partition"]) == (topic.encode(), b"0")
        assert reason in headers["reason"].decode(), headers["reason"]


def _site(kafka: KafkaBroker, registry: SchemaRegistry, prefix: str, folder: Path) -> Workspace:
    settings = site_settings(kafka, registry, prefix)
    site = Workspace.create(folder / "site", SHOP, settings, ForkedProcess)
    site.run("topics", "create")
    return site


def _file(folder: Path) -> Path:
    file = folder / "events.jsonl"
    file.write_text("".join(json.dumps({**HEADER, **event}) + "\n" for event in EVENTS))
    return file


def _records(kafka: KafkaBroker, topic: str) -> list[ConsumerRecord]:
    with KafkaConsumer(bootstrap_servers=kafka.bootstrap_servers) as consumer:
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        consumer.seek_to_beginning(partition)
        end = consumer.end_offsets([partition])[partition]
        found: list[ConsumerRecord] = []
        while consumer.position(partition) < end:
            for records in consumer.poll(timeout_ms=1000).values():
                found.extend(records)
        return found
