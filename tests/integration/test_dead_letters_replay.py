"""Dead letters after a fix: each is replayed once, and counts in the window of its replay."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic

from deploy.demo.report import Drop
from deploy.demo.workspace import Workspace, next_second
from deploy.parts import KafkaBroker, SchemaRegistry
from schemas.settings.kafka import KafkaSettings
from streams.dead_letters import replay as dead_letters_replay
from streams.dead_letters.read import LetterReader
from streams.dead_letters.replay import Replayer
from streams.writing.dead_letter_topic import DeadLetterTopic, Poison
from tests.shop.forked import ForkedProcess
from tests.shop.site import own_prefix, site_settings

SHOP = Path("deploy/demo")
EXPORT = "subscriptions"
EVENT = "00000000-0000-0000-0000-00000000000"
HEADER = {"database": "shop", "source": "FORM", "occurredAt": "2026-03-28T12:00:00Z"}
CHANGE = {
    **HEADER,
    "kind": "subscription-update",
    "eventType": "CHANGED",
    "profileId": 1,
    "subscription": "offers",
    "type": "SUBSCRIBED",
    "eventId": f"{EVENT}1",
}
LEFT = 3


def records(kafka: KafkaBroker, topic: str) -> list[Any]:
    """All that a reader of what is committed sees."""
    with KafkaConsumer(
        bootstrap_servers=kafka.bootstrap_servers, isolation_level="read_committed"
    ) as consumer:
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        consumer.seek_to_beginning(partition)
        end = consumer.end_offsets([partition])[partition]
        found: list[Any] = []
        while consumer.position(partition) < end:
            for some in consumer.poll(timeout_ms=1000).values():
                found.extend(some)
        return found


def ended(site: Workspace, *arguments: str) -> tuple[int, str]:
    """Run a command; its exit code, and what it says to a script."""
    code, printed, _ = site.ended(*arguments, "--json")
    return code, printed


def traced(site: Workspace, last_digit: str) -> Any:
    """Where an event is by now."""
    return json.loads(ended(site, "trace", EVENT + last_digit)[1])


def balance(site: Workspace) -> dict[str, int]:
    """What the latest close has counted."""
    site.run("close", EXPORT, "--at", next_second().isoformat())
    outcomes = Drop.all_in(site.transferbox)[-1].manifest["balance"]["outcomes"]
    return {name: n for name, n in outcomes.items() if n}


@pytest.mark.timeout(400)
def test_a_dead_letter_is_replayed_once_after_a_fix_and_counts_in_the_window_of_its_replay(
    kafka: KafkaBroker, registry: SchemaRegistry, tmp_path: Path
) -> None:
    prefix = own_prefix("replay")
    site = Workspace.create(
        tmp_path / "site", SHOP, site_settings(kafka, registry, prefix), ForkedProcess
    )
    site.add_seconds_to_drop_names()
    site.run("topics", "create")
    topic = f"{prefix}.shop.subscription-update"
    events = tmp_path / "events.jsonl"
    events.write_text(json.dumps(CHANGE) + "\n")
    site.run("publish", str(events))
    good = records(kafka, topic)[0]
    poison = good.value.replace(b"offers", b"sports").replace(b"-000000000001", b"-000000000002")
    with KafkaProducer(bootstrap_servers=kafka.bootstrap_servers) as producer:
        producer.send(topic, key=good.key, value=poison).get(timeout=30)
        producer.send(topic, key=good.key, value=b"nonsense").get(timeout=30)

    (unstored,) = traced(site, "1")["not_stored"]
    assert (unstored["topic"], unstored["offset"]) == (topic, 0)
    with site.workers(1):
        assert balance(site) == {"dead letter": 2, "exported": 1}
    assert [one["origin"] for one in traced(site, "2")["dead_letters"]] == [f"{topic}/0/1"]
    first, second = (f"{topic}/0/{offset}" for offset in (1, 2))
    listed = json.loads(ended(site, "dead-letters", "list", "--topic", topic)[1])["dead_letters"]
    assert [one["origin"] for one in listed] == [first, second]
    assert ended(site, "dead-letters", "replay", first)[0] == LEFT, "nothing is mended yet"
    assert len(records(kafka, topic)) == 3

    tables = site.folder / "tables" / "shop.yaml"
    tables.write_text(tables.read_text().replace("[newsletter, ", "[sports, newsletter, "))
    code, told = ended(site, "dead-letters", "replay", "--all")
    assert code == LEFT
    assert list(json.loads(told)["replayed"]) == [first]
    assert list(json.loads(told)["refused"]) == [second]
    code, told = ended(site, "dead-letters", "replay", "--all")
    assert json.loads(told)["replayed"] == {}
    assert json.loads(told)["replayed_before"] == [first]

    again = records(kafka, topic)
    assert len(again) == 4
    assert (again[-1].key, again[-1].value) == (good.key, poison)
    with site.workers(1):
        assert balance(site) == {"exported": 1}
    listed = json.loads(ended(site, "dead-letters", "list")[1])["dead_letters"]
    assert [one["replay"] and one["replay"]["offset"] for one in listed] == [again[-1].offset, None]
    (event,) = traced(site, "2")["events"]
    assert [(one["outcome"], one["line"]) for one in event["exports"]] == [("exported", 2)]


class All:
    """Every event can be used now."""

    def refused(self, events: Sequence[Poison]) -> Mapping[int, str]:
        return {}


@pytest.mark.timeout(120)
def test_a_replay_that_is_cut_off_has_replayed_nothing_and_the_next_does_it_once(
    kafka: KafkaBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = own_prefix("cut-off")
    topic, letters = f"{prefix}.events", f"{prefix}.dead-letter"
    options = KafkaSettings(bootstrap_servers=kafka.bootstrap_servers)
    create(kafka, topic, letters)
    events = [Poison(topic, 0, offset, 1_000, b"1", b"v%d" % offset, "why") for offset in (5, 6)]
    sender = DeadLetterTopic(letters, options)
    sender.send([*events, events[0]])  # one again after a crash
    sender.close()
    known = LetterReader(letters, options).letters()
    assert [one.origin for one in known] == [f"{topic}/0/5", f"{topic}/0/6"]
    replayer = Replayer(letters, options, All())

    with monkeypatch.context() as cut:
        cut.setattr(dead_letters_replay, "origin_of", _cut_off)
        with pytest.raises(RuntimeError):
            replayer.replay(known)
    assert records(kafka, topic) == []
    assert not [one for one in LetterReader(letters, options).letters() if one.replay]

    assert set(replayer.replay(known).replayed) == {one.origin for one in known}
    assert replayer.replay(known).replayed == {}
    assert [one.value for one in records(kafka, topic)] == [b"v5", b"v6"]


def _cut_off(event: Poison) -> list[tuple[str, bytes]]:
    raise RuntimeError("killed")


def create(kafka: KafkaBroker, *topics: str) -> None:
    """Create topics of one partition."""
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    try:
        admin.create_topics([NewTopic(topic, 1, 1) for topic in topics])
    finally:
        admin.close()
