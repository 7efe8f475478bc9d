"""The demo's day: what a reader of the drops may rely on to find in it."""

from collections import Counter
from datetime import date
from typing import Any
from uuid import UUID

import pytest

from deploy.demo.cast import campaigns
from deploy.demo.generator import day_of_events
from schemas.events import KINDS, Source
from schemas.statuses import STATUS_RULES
from schemas.tables import load_catalog
from tests.model.history import DAY, milliseconds

ON = date(2026, 3, 28)
MIDNIGHT = milliseconds("2026-03-28T00:00:00Z")


@pytest.fixture(scope="module")
def day() -> list[dict[str, Any]]:
    return list(day_of_events(seed=7, size=30_000, day=ON))


def test_it_has_as_many_events_as_asked_for(day: list[dict[str, Any]]) -> None:
    assert len(day) == 30_000
    assert len(list(day_of_events(1, 10, ON))) == 10


def test_it_is_the_same_for_the_same_seed_size_and_day(day: list[dict[str, Any]]) -> None:
    assert list(day_of_events(7, 30_000, ON)) == day
    assert next(day_of_events(8, 30_000, ON)) != day[0]


def test_every_event_type_of_all_nine_kinds_occurs(day: list[dict[str, Any]]) -> None:
    declared = {(str(kind), str(one)) for kind, spec in KINDS.items() for one in spec.event_types}
    assert {(event["kind"], event["eventType"]) for event in day} == declared


def test_every_event_carries_what_its_type_must_and_nothing_else(day: list[dict[str, Any]]) -> None:
    header = {"kind", "eventId", "eventType", "database", "source", "occurredAt"}
    for event in day:
        payload = _payload(event)
        assert set(payload.required) <= set(event), event
        assert set(event) <= header | set(payload.fields), event
        UUID(event["eventId"])


def test_statuses_are_those_of_the_closed_lists(day: list[dict[str, Any]]) -> None:
    for rule in STATUS_RULES:
        for event in day:
            if (event["kind"], event["eventType"]) == (rule.kind, rule.event_type):
                statuses = rule.statuses[event[rule.category_field]]
                assert statuses is None or event[rule.status_field] in statuses


def test_rows_fit_the_tables_of_the_demo(
    day: list[dict[str, Any]], pytestconfig: pytest.Config
) -> None:
    catalog = load_catalog(pytestconfig.rootpath / "deploy/demo/tables")
    profile = {one.name for one in catalog.databases["shop"].attributes}
    for event in day:
        table = event.get("table")
        known = {one.name for one in catalog.tables["shop", table].attributes} if table else profile
        assert set(event.get("attributes", ())) <= known


def test_some_events_are_published_twice(day: list[dict[str, Any]]) -> None:
    assert 50 < len(day) - len({event["eventId"] for event in day}) < 300


def test_some_events_are_late_by_days(day: list[dict[str, Any]]) -> None:
    activities = [event for event in day if event["kind"] == "email-activity"]
    late = [event for event in activities if milliseconds(event["occurredAt"]) < MIDNIGHT - DAY]
    assert 0.005 < len(late) / len(activities) < 0.05


def test_interactions_are_opened_often_or_clicked_without_an_opening(
    day: list[dict[str, Any]],
) -> None:
    openings, clicks = _interactions(day, "OPENED"), _interactions(day, "CLICKED")
    assert max(openings.values()) > 2
    assert clicks.keys() - openings.keys()


def test_unsubscribes_come_from_every_source(day: list[dict[str, Any]]) -> None:
    big = day_of_events(seed=7, size=150_000, day=ON)
    assert {event["source"] for event in big if event["eventType"] == "UNSUBSCRIBED"} == set(Source)


def test_some_deleted_profiles_come_back(day: list[dict[str, Any]]) -> None:
    deleted: set[int] = set()
    back = 0
    for event in day:
        if event["kind"] == "profile" and event["eventType"] == "DELETED":
            deleted.add(event["profileId"])
        elif event["kind"] == "profile" and event["eventType"] == "CREATED":
            back += event["profileId"] in deleted
    assert back > 5


def test_campaigns_are_announced_before_late_or_never(day: list[dict[str, Any]]) -> None:
    announced = {event["campaignId"] for event in day if event["kind"] == "campaign"}
    used = {event["campaignId"] for event in day if event["kind"] == "email-activity"}
    assert used - announced == {one.id for one in campaigns() if one.known_from is None}
    assert {one.kind for one in campaigns()} == {
        "SCENARIZED",
        "TRANSACTIONAL",
        "ONE_SHOT",
        "AB_TEST",
    }


def _payload(event: dict[str, Any]) -> Any:
    kinds = {str(kind): spec for kind, spec in KINDS.items()}
    payloads = {str(one): payload for one, payload in kinds[event["kind"]].payloads.items()}
    return payloads[event["eventType"]]


def _interactions(day: list[dict[str, Any]], event_type: str) -> Counter[int]:
    return Counter(
        event["interactionId"]
        for event in day
        if event["kind"] == "email-activity" and event["eventType"] == event_type
    )
