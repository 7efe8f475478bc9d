"""Events that are too large for a dead letter, on a real Kafka: told, and replayed after a fix."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition
from kafka.admin import NewTopic

from deploy.parts import KafkaBroker
from schemas.settings.kafka import KafkaSettings
from streams.dead_letters.read import LetterReader
from streams.dead_letters.replay import Replayer
from streams.reading.record_stream import MOST_RECORD_BYTES
from streams.reading.records import Part
from streams.writing.dead_letter_topic import DeadLetterTopic, Poison
from tests.integration.test_dead_letters_replay import All, records
from tests.shop.site import own_prefix

TOO_LARGE = 1_048_400


def topic_of(kafka: KafkaBroker, name: str, **configs: str) -> str:
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    with closing(admin):
        stamped = {"message.timestamp.type": "LogAppendTime", **configs}
        admin.create_topics([NewTopic(name, 1, 1, topic_configs=stamped)])
    return name


def sent(kafka: KafkaBroker, topic: str, *values: bytes, **options: Any) -> list[Poison]:
    """Send values to a topic; what they are as dead letters."""
    with closing(
        KafkaProducer(
            bootstrap_servers=kafka.bootstrap_servers, max_request_size=64 << 20, **options
        )
    ) as producer:
        told = [producer.send(topic, value, b"33").get(timeout=30) for value in values]
    return [
        Poison(topic, 0, one.offset, one.timestamp, b"33", value, "why")
        for one, value in zip(told, values, strict=True)
    ]


def settings_of(kafka: KafkaBroker) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=kafka.bootstrap_servers)


def replayed(kafka: KafkaBroker, letters: str, refuser: Any = None) -> tuple[list[str], list[str]]:
    reader = LetterReader(letters, settings_of(kafka))
    done = Replayer(letters, settings_of(kafka), refuser or All()).replay(reader.letters())
    return list(done.replayed), list(done.refused.values())


def of(event: bytes) -> Part:
    return Part(len(event), hashlib.sha256(event).hexdigest())


@pytest.mark.timeout(240)
def test_a_large_event_has_a_letter_and_is_replayed_from_its_own_topic(
    kafka: KafkaBroker,
) -> None:
    prefix = own_prefix("large-letter")
    topic, letters = topic_of(kafka, f"{prefix}.events"), topic_of(kafka, f"{prefix}.dead-letter")
    value = bytes(range(256)) * (TOO_LARGE // 256) + b"x" * (TOO_LARGE % 256)
    events = sent(kafka, topic, value, b"small")

    with closing(DeadLetterTopic(letters, settings_of(kafka))) as sender:
        sender.send(events)

    known = LetterReader(letters, settings_of(kafka)).letters()
    assert [(one.offset, one.size, one.is_part) for one in known] == [
        (0, TOO_LARGE, True),
        (1, 5, False),
    ]
    whole = {one.offset: one for one in LetterReader(letters, settings_of(kafka)).whole()}
    assert (whole[0].part, whole[0].value) == (of(value), value[:65_536])
    assert (whole[1].part, whole[1].value) == (None, b"small")
    assert replayed(kafka, letters) == ([f"{topic}/0/0", f"{topic}/0/1"], [])
    assert [one.value for one in records(kafka, topic)] == [value, b"small"] * 2
    assert [one.key for one in records(kafka, topic)] == [b"33"] * 4
    assert replayed(kafka, letters) == ([], []), "each once"


class Nobody:
    """No event can be used now."""

    def refused(self, events: Sequence[Poison]) -> Mapping[int, str]:
        assert all(one.part is None for one in events), "only whole events are judged"
        return dict.fromkeys(range(len(events)), "still wrong")


@pytest.mark.timeout(240)
def test_an_event_that_isnt_there_as_it_was_is_left_with_the_reason(kafka: KafkaBroker) -> None:
    prefix = own_prefix("large-gone")
    topic, letters = topic_of(kafka, f"{prefix}.events"), topic_of(kafka, f"{prefix}.dead-letter")
    events = sent(kafka, topic, *(digit * TOO_LARGE for digit in (b"1", b"2", b"3")))
    letter = [replace(one, part=of(one.value or b""), value=b"") for one in events]
    wrong = [
        replace(letter[1], part=of(b"other")),
        replace(letter[1], appended_at=events[1].appended_at + 1),
        replace(letter[1], offset=17),
        replace(letter[1], partition=5),
        replace(letter[1], topic=f"{prefix}.never"),
    ]
    with closing(DeadLetterTopic(letters, settings_of(kafka))) as sender:
        sender.send([*letter[:1], *wrong])
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    with closing(admin):
        admin.delete_records({TopicPartition(topic, 0): 1})

    done, refused = replayed(kafka, letters)

    assert done == []
    assert sorted(refused) == [
        *["the letter has only a part of it, and its topic no longer has the event"] * 4,
        "what stands there now isn't the event that the letter has a part of",
    ]
    with closing(DeadLetterTopic(letters, settings_of(kafka))) as sender:
        sender.send(letter[2:])
    assert "still wrong" in replayed(kafka, letters, Nobody())[1]
    assert len(records(kafka, topic)) == 2


@pytest.mark.timeout(240)
def test_a_letter_fits_a_topic_that_takes_less_and_one_that_takes_more(kafka: KafkaBroker) -> None:
    prefix = own_prefix("letter-limits")
    event = Poison(f"{prefix}.events", 0, 7, 1_000, b"k" * 500_000, b"v" * 500_000, "why " * 70)
    for limit, kept in (("2400", None), ("20000", None), ("600000", 65_536), ("4000000", 500_000)):
        letters = topic_of(kafka, f"{prefix}.{limit}", **{"max.message.bytes": limit})
        with closing(DeadLetterTopic(letters, settings_of(kafka))) as sender:
            sender.send([event, replace(event, offset=8, key=b"1", value=b"small")])

        large, small = LetterReader(letters, settings_of(kafka)).whole()
        assert (small.value, small.part) == (b"small", None)
        assert kept is None or len(large.value or b"") == kept
        assert (large.part is None) is (kept == 500_000)
        assert large.part in (None, of(b"v" * 500_000))


@pytest.mark.timeout(240)
def test_a_limit_that_isnt_told_is_found_by_trying(
    kafka: KafkaBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = own_prefix("letter-tried")
    letters = topic_of(kafka, prefix, **{"max.message.bytes": "3000"})
    monkeypatch.setattr(
        "streams.writing.dead_letter_topic.largest_batch_bytes", lambda *_: 1_048_588
    )
    event = Poison(f"{prefix}.events", 0, 7, 1_000, b"1", b"v" * 900_000, "why")

    with closing(DeadLetterTopic(letters, settings_of(kafka))) as sender:
        for offset in range(3):
            sender.send([replace(event, offset=offset)])

    found = list(LetterReader(letters, settings_of(kafka)).whole())
    assert sorted(one.offset for one in found) == [0, 1, 2]
    assert {one.part for one in found} == {of(b"v" * 900_000)}


@pytest.mark.timeout(240)
def test_an_event_that_was_sent_compressed_is_replayed_too_unless_it_is_beyond_the_bound(
    kafka: KafkaBroker,
) -> None:
    prefix = own_prefix("large-packed")
    topic, letters = topic_of(kafka, f"{prefix}.events"), topic_of(kafka, f"{prefix}.dead-letter")
    large, beyond = b"a" * 5_000_000, b"b" * (MOST_RECORD_BYTES + 1)
    assert len(gzip.compress(beyond)) < 1_000_000
    events = sent(kafka, topic, large, beyond, compression_type="gzip")
    with closing(DeadLetterTopic(letters, settings_of(kafka))) as sender:
        sender.send(events)

    done, refused = replayed(kafka, letters)

    assert done == [f"{topic}/0/0"]
    assert refused == ["it has more than 8,388,608 bytes, and would be refused again"]
    assert len(records(kafka, topic)) == 3
