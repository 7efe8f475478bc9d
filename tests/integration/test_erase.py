"""Erasure through real Kafka: what was published, stored and delivered goes, but from Kafka."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deploy.demo.workspace import Workspace, next_second
from deploy.parts import KafkaBroker, SchemaRegistry
from tests.shop.forked import ForkedProcess
from tests.shop.offline import DEFINITIONS
from tests.shop.planted import PLANTED, finds
from tests.shop.site import own_prefix, site_settings

HEADER = {"database": "shop", "source": "API"}
ATTRIBUTES = ("customerId", "emailAddress", "firstName")


def profile(event_type: str, number: int, mark: str, at: str) -> dict[str, object]:
    told = {"kind": "profile", "eventType": event_type, "profileId": number, "occurredAt": at}
    if event_type == "DELETED":
        return told | {"businessKey": f"{mark}-key"}
    return told | {"attributes": {name: f"{mark}-{name}" for name in ATTRIBUTES}}


def sent(number: int, profile_id: int, mark: str, at: str) -> dict[str, object]:
    return {
        "kind": "email-activity",
        "eventType": "SENT",
        "occurredAt": at,
        "interactionId": number,
        "campaignId": 22,
        "profileId": profile_id,
        "emailAddress": f"{mark}-mail",
    }


CAMPAIGN = {
    "kind": "campaign",
    "eventType": "CREATED",
    "occurredAt": "2026-03-28T08:00:00Z",
    "campaignId": 22,
    "name": "Spring",
    "technicalName": "Spring_1",
    "channel": "EMAIL",
    "campaignKind": "SCENARIZED",
    "state": "ACTIVE",
    "engine": "CURRENT",
}


@pytest.mark.timeout(280)
def test_what_a_deleted_person_left_goes_from_all_that_is_kept_and_doesnt_come_back(
    kafka: KafkaBroker, registry: SchemaRegistry, tmp_path: Path
) -> None:
    site = _site(kafka, registry, tmp_path)
    one, two = "2026-03-28T09:00:00Z", "2026-03-28T10:00:00Z"
    _publish(site, CAMPAIGN, profile("CREATED", 1, PLANTED, one), sent(11, 1, PLANTED, one))
    _publish(site, profile("CREATED", 2, "OTHER", one), sent(12, 2, "OTHER", one))
    with site.workers(1):
        site.run("close", "profiles", "sent", "--at", next_second().isoformat())
        _publish(site, profile("DELETED", 1, PLANTED, two))
        site.run("close", "profiles", "sent", "--at", next_second().isoformat())
        told = json.loads(site.run("erase", "--json"))
    data = [site.folder / name for name in ("streams", "bases", "ledger", "transferbox", "scratch")]
    assert not [found for folder in data for found in finds(folder)]
    assert [found for folder in data for found in finds(folder, "OTHER")]
    assert told["deletions"] == 1
    assert len(told["drops"]) == 2
    assert told["left"] == []

    lost = _records(site)
    for record in lost:
        record.unlink()
    _publish(site, CAMPAIGN, profile("UPDATED", 2, "OTHER", two), sent(13, 2, "OTHER", two))
    with site.workers(1):
        site.run("close", "profiles", "sent", "--at", next_second().isoformat())

    mended = {(one.parent, one.name.split("-")[0]) for one in _records(site)}
    assert {(one.parent, one.name.split("-")[0]) for one in lost} & mended, "read from Kafka again"
    assert not [found for folder in data for found in finds(folder)]
    assert json.loads(site.run("erase", "--json"))["deletions"] == 0
    assert "-r1" in site.run("history", "sent")


def _site(kafka: KafkaBroker, registry: SchemaRegistry, folder: Path) -> Workspace:
    definitions = folder / "definitions"
    for name, text in DEFINITIONS.items():
        file = definitions / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    settings = site_settings(kafka, registry, own_prefix("erase"))
    site = Workspace.create(folder / "site", definitions, settings, ForkedProcess)
    site.add_seconds_to_drop_names()
    site.run("topics", "create")
    return site


def _records(site: Workspace) -> list[Path]:
    return [file for file in (site.folder / "coverage").rglob("*-*") if file.is_file()]


def _publish(site: Workspace, *events: dict[str, object]) -> None:
    file = site.folder / "events.jsonl"
    file.write_text("".join(json.dumps(HEADER | event) + "\n" for event in events))
    site.run("publish", str(file))
