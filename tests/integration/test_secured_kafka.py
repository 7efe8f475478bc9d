"""A Kafka that lets nobody in without TLS and a login, or a certificate: whoever asks it gets in by
the settings, and who is refused says why, once and soon, without the password.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer

from deploy.demo.workspace import Workspace, next_second
from deploy.parts import KafkaBroker, SchemaRegistry, kafka_on_java
from deploy.parts.certificates import Certificate, self_signed
from deploy.parts.listeners import (
    Listener,
    login_listener,
    mutual_tls_listener,
    unencrypted_login_listener,
)
from producers.topics import TopicKeeper, wanted_topics
from schemas.errors import DefinitionError, PartitionError
from schemas.settings import reachable as reach
from schemas.settings.kafka import KafkaSettings
from schemas.settings.reachable import wait_until_reachable
from schemas.settings.settings import load_settings
from schemas.tables import load_catalog
from sinks.closing.offsets import KafkaOffsets
from streams.dead_letters.read import LetterReader
from streams.dead_letters.replay import Replayer
from streams.reading.kafka import Topics
from streams.recovery.range_reader import RangeReader
from streams.storage.layout import TopicPartition
from streams.writing.dead_letter_topic import DeadLetterTopic, Poison
from tests.faults.processes import log_of, start
from tests.shop.forked import ForkedProcess
from tests.shop.site import own_prefix, site_settings

SHOP = Path("deploy/demo")
EXPORT = "subscriptions"
USER = "shop"
PASSWORD = "open-sesame-4711"
VARIABLE = "DELTADROP_KAFKA__SECURITY__PASSWORD"
CHANGE = {
    "kind": "subscription-update",
    "eventType": "CHANGED",
    "database": "shop",
    "source": "FORM",
    "occurredAt": "2026-03-28T12:00:00Z",
    "profileId": 4711,
    "subscription": "newsletter",
    "type": "SUBSCRIBED",
}


@dataclass(frozen=True)
class Secured:
    """A broker, and what lets clients in."""

    broker: KafkaBroker
    server: Certificate
    client: Certificate
    password_file: Path
    login: Listener
    unencrypted: Listener
    mutual: Listener

    def by_login(self, mechanism: str = "SCRAM-SHA-512") -> dict[str, Any]:
        security = {"protocol": "SASL_SSL", "mechanism": mechanism, "username": USER}
        files = {"password_file": str(self.password_file), "ca_file": self._ca}
        return self._settings(self.login, {**security, **files})

    def by_certificate(self) -> dict[str, Any]:
        own = {"certificate_file": str(self.client.certificate), "key_file": str(self.client.key)}
        return self._settings(self.mutual, {"protocol": "SSL", "ca_file": self._ca, **own})

    def by_unencrypted_login(self, mechanism: str) -> dict[str, Any]:
        login = {"mechanism": mechanism, "username": USER, "password_file": self.password_file}
        return self._settings(self.unencrypted, {"protocol": "SASL_PLAINTEXT", **login})

    @property
    def _ca(self) -> str:
        return str(self.server.certificate)

    def _settings(self, listener: Listener, security: dict[str, Any]) -> dict[str, Any]:
        own = {"bootstrap_servers": listener.servers, "security": security}
        return {**own, "replication_factor": 1, "min_insync_replicas": 1, "partitions": 1}


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("secured")
    server, client = self_signed(folder), self_signed(folder, name="client")
    password_file = folder / "password"
    password_file.write_text(f"{PASSWORD}\n")
    password_file.chmod(0o600)
    login = login_listener(server, USER, PASSWORD)
    unencrypted = unencrypted_login_listener(USER, PASSWORD)
    mutual = mutual_tls_listener(server, client.certificate)
    listeners = [login, unencrypted, mutual]
    with kafka_on_java(folder / "kafka", listeners=listeners) as broker:
        yield Secured(broker, server, client, password_file, login, unencrypted, mutual)


def shop(folder: Path, secured: Secured, registry: SchemaRegistry, kafka: Any) -> Workspace:
    """A workspace whose settings know one way into Kafka."""
    settings = site_settings(secured.broker, registry, own_prefix("secured"))
    settings["kafka"] |= kafka
    site = Workspace.create(folder / "site", SHOP, settings, ForkedProcess)
    (site.folder / "change.jsonl").write_text(json.dumps(CHANGE) + "\n")
    return site


@pytest.mark.parametrize("way", ["by_login", "by_certificate"])
def test_what_is_published_is_stored_and_closed_over_tls(
    way: str, secured: Secured, registry: SchemaRegistry, tmp_path: Path
) -> None:
    site = shop(tmp_path, secured, registry, getattr(secured, way)())
    settings = load_settings(site.config)
    with TopicKeeper(settings.kafka) as keeper:
        keeper.create(wanted_topics(load_catalog(settings.tables), settings.kafka)).raise_if_wrong()
    site.run("publish", str(site.folder / "change.jsonl"))

    with site.workers(1):
        told = site.run("close", EXPORT, "--at", next_second().isoformat())

    (drop,) = site.transferbox.rglob(f"{EXPORT}_*.csv")
    assert drop.read_text().splitlines()[1].startswith("4711,,newsletter,SUBSCRIBED,")
    log = (site.folder / "logs" / "worker-1.log").read_text()
    assert "worker stopped" in log
    kept = "".join(one.read_text() for one in (site.folder / "ledger").rglob("*.json"))
    assert PASSWORD not in told + log + kept


@pytest.mark.parametrize(
    "kafka",
    [
        ("by_login", "PLAIN"),
        ("by_unencrypted_login", "SCRAM-SHA-512"),
        ("by_certificate",),
    ],
    ids="-".join,
)
def test_everything_that_asks_kafka_gets_in_by_the_settings(
    kafka: tuple[str, ...], secured: Secured
) -> None:
    way, *mechanism = kafka
    settings = KafkaSettings.model_validate(getattr(secured, way)(*mechanism))
    topic, letters = own_prefix("events"), own_prefix("letters")
    with TopicKeeper(settings) as keeper:
        keeper.create([topic, letters]).raise_if_wrong()
    with KafkaProducer(bootstrap_servers=secured.broker.bootstrap_servers) as producer:
        producer.send(topic, b"needle").get(timeout=30)

    with closing(Topics(settings)) as topics:
        identity = topics.identities([topic])[topic]
    assert KafkaOffsets(settings).ends(topic, 1) == [1]
    owner = TopicPartition(topic, identity.topic_id, 0)
    assert [at for at, _ in RangeReader(settings).find(owner, 0, 1, ["needle"])] == [0]
    with closing(DeadLetterTopic(letters, settings)) as dead:
        dead.send([Poison(topic, 0, 0, 1_000, b"1", b"needle", "why")])
    (letter,) = LetterReader(letters, settings).letters()
    assert Replayer(letters, settings, RefusesNothing()).replay([letter]).replayed
    assert KafkaOffsets(settings).ends(topic, 1)[0] > 1


class RefusesNothing:
    def refused(self, events: object) -> Mapping[int, str]:
        return {}


def wrong_password(secured: Secured) -> dict[str, Any]:
    file = secured.password_file.with_name("other-password")
    file.write_text(f"{PASSWORD}-of-yesterday")
    file.chmod(0o600)
    kafka = secured.by_login()
    return {**kafka, "security": {**kafka["security"], "password_file": str(file)}}


def unknown_authority(secured: Secured) -> dict[str, Any]:
    kafka = secured.by_login()
    other = str(secured.client.certificate)
    return {**kafka, "security": {**kafka["security"], "ca_file": other}}


def other_host_name(secured: Secured) -> dict[str, Any]:
    return {**secured.by_login(), "bootstrap_servers": f"localhost:{secured.login.port}"}


FAULTS = {
    wrong_password: ("refuses the login of 'shop'", "kafka.security.password_file"),
    unknown_authority: ("shows a certificate that isn't trusted", "kafka.security.ca_file"),
    other_host_name: ("shows a certificate of another name", "kafka.bootstrap_servers"),
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_who_is_refused_says_why_once_and_soon(
    fault: Any, secured: Secured, registry: SchemaRegistry, tmp_path: Path
) -> None:
    kafka = fault(secured)
    site = shop(tmp_path, secured, registry, kafka)
    instant = (next_second() - timedelta(hours=1)).isoformat()
    commands = [
        ("publish", str(site.folder / "change.jsonl")),
        ("worker",),
        ("close", EXPORT, "--at", instant),
    ]
    began = time.monotonic()
    started = [start(site, *command) for command in commands]

    for process in started:
        process.wait(timeout=60)

    assert time.monotonic() - began < 45  # three processes that start at once
    what, setting = FAULTS[fault]
    for process in started:
        text = log_of(process).read_text()
        assert process.returncode == 1, text
        (line,) = text.splitlines()
        assert f"Kafka {kafka['bootstrap_servers']}: {what}" in line
        assert setting in line
        assert PASSWORD not in line


@pytest.mark.parametrize(
    ("way", "changed", "told"),
    [
        (
            "by_login",
            {"mechanism": "SCRAM-SHA-256"},
            "knows no login by SCRAM-SHA-256, only by PLAIN, SCRAM-SHA-512;"
            " set kafka.security.mechanism to one of these",
        ),
        (
            "by_login",
            {"protocol": "SASL_PLAINTEXT", "ca_file": None},
            "speaks TLS there, which isn't asked for; check the port",
        ),
        (
            "by_certificate",
            {"certificate_file": None, "key_file": None},
            "doesn't accept our certificate (none is set)",
        ),
        ("by_certificate", {"protocol": "PLAINTEXT"}, "speaks TLS there, which"),
        ("by_unencrypted_login", {"protocol": "SASL_SSL"}, "TLS: "),
    ],
)
def test_a_wrong_choice_is_told_with_what_would_be_right(
    way: str,
    changed: dict[str, Any],
    told: str,
    secured: Secured,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reach, "_WAIT_SECONDS", 0)
    kafka = getattr(secured, way)(*(["PLAIN"] if way == "by_unencrypted_login" else []))
    kafka["security"] |= changed
    if changed.get("protocol") == "PLAINTEXT":
        kafka["security"] = changed

    with pytest.raises(PartitionError) as refused:
        wait_until_reachable(KafkaSettings.model_validate(kafka), PartitionError)

    assert told in str(refused.value)
    assert "kafka.security" in str(refused.value)


def test_a_password_that_travels_unencrypted_is_warned_of_once(
    secured: Secured, caplog: pytest.LogCaptureFixture
) -> None:
    kafka = secured.by_unencrypted_login("PLAIN")
    kafka["bootstrap_servers"] += ", 127.0.0.1:1"  # no test has warned of these yet
    for _ in range(2):
        wait_until_reachable(KafkaSettings.model_validate(kafka), PartitionError)

    (warned,) = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    assert "login and events travel unencrypted" in warned


def test_a_file_that_isnt_there_is_named(secured: Secured) -> None:
    kafka = secured.by_login()
    kafka["security"] |= {"ca_file": "/nowhere/ca.pem"}

    with pytest.raises(DefinitionError) as refused:
        wait_until_reachable(KafkaSettings.model_validate(kafka), PartitionError)

    assert str(refused.value) == (
        "kafka.security.ca_file: /nowhere/ca.pem can't be read: No such file or directory"
    )
