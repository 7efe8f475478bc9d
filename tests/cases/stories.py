"""Reads case files, and runs their stories (see README.md)."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from schemas.events import SOURCE_GROUPS, Kind
from schemas.tables import Catalog
from schemas.topics import Topic
from sinks.instants import milliseconds
from tests.cases.closes import EPOCH, NOTHING, Closed, Closer, CutAt, Record
from tests.engines import small_engine

HERE = Path(__file__).parent
DAY_ONE = datetime.fromisoformat("2026-03-01T00:00:00+00:00")
MOMENT = re.compile(r"(?:day (\d+) )?(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{3}))?)?")
KINDS = {
    "email": Kind.EMAIL_ACTIVITY,
    "sms": Kind.SMS_ACTIVITY,
    "file": Kind.FILE_ACTIVITY,
    "profile": Kind.PROFILE,
    "subscription-update": Kind.SUBSCRIPTION_UPDATE,
    "segment-transition": Kind.SEGMENT_TRANSITION,
    "marketing-consent": Kind.MARKETING_CONSENT,
    "row": Kind.ROW,
    "campaign": Kind.CAMPAIGN,
}
TOLD_OF = {"at", "occurred", "partition", "id", "row_id", "becomes", *KINDS}
MOMENTS = {
    "sentAt",
    "finishedAt",
    "creationMoment",
    "updateMoment",
    "generatedAt",
    "collectionMoment",
    "dataCollectionMoment",
}
INTERACTION = {"interactionId": 1, "campaignId": 9, "profileId": 1}
USUAL: Mapping[str, Mapping[str, Any]] = {
    "email": {**INTERACTION, "emailAddress": "ada@shop.example"},
    "sms": {**INTERACTION, "gsmNumber": "+32470000001"},
    "file": {**INTERACTION, "channel": "PRINT"},
    "profile": {"profileId": 1},
    "subscription-update": {"profileId": 1, "subscription": "newsletter", "type": "SUBSCRIBED"},
    "segment-transition": {"profileId": 1, "segment": "vip", "newValue": "true"},
    "marketing-consent": {"profileId": 1, "consentValue": True},
    "row": {"id": 1, "profileId": 1},
    "campaign": {
        "campaignId": 9,
        "name": "Spring sale",
        "technicalName": "springsale_x",
        "channel": "EMAIL",
        "campaignKind": "SCENARIZED",
        "state": "ACTIVE",
        "engine": "CURRENT",
    },
}
USUAL_OF_TYPE: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("email", "CLICKED"): {"clickedUrl": "/a"},
    ("email", "NOT_SENT"): {"statusCategory": "FILTERED", "status": "CONTROL_SAMPLE"},
    ("email", "BOUNCED"): {"bounceStatusCategory": "HARD_BOUNCE", "bounceStatus": "UNKNOWN_USER"},
    ("email", "UNSUBSCRIBED"): {"source": "UNSUBSCRIBE_LINK"},
    ("sms", "NOT_SENT"): {"errorStatusCategory": "FILTERED", "errorStatus": "QUARANTINE"},
    ("sms", "DELIVERY_FAILED"): {
        "errorStatusCategory": "DELIVERY_FAILED",
        "errorStatus": "EXPIRED",
    },
}


@dataclass(frozen=True)
class Case:
    """One story of a case file."""

    file: str
    name: str
    export_type: str
    event_type: str
    background: Sequence[Mapping[str, Any]]
    story: Sequence[Mapping[str, Any]]
    database: str = "shop"
    table: str | None = None
    sources: frozenset[str] | None = None

    def __str__(self) -> str:
        return f"{self.file}: {self.name}"


@dataclass(frozen=True)
class Ending:
    """What a story came to, beside what it told: of events by their place in it, and of closes."""

    told: Mapping[int, list[str]]
    became: Mapping[int, list[str]]
    closes: Sequence[tuple[Mapping[str, Any], Closed]]


def cases() -> Iterator[Case]:
    """Yield the cases of every file here."""
    for path in sorted(HERE.glob("*.yaml")):
        rules = yaml.safe_load(path.read_text(encoding="utf-8"))
        for case in rules["cases"]:
            told = {**rules, **case}
            export_type, event_type = told["export"].split()
            yield Case(
                path.stem,
                case["name"],
                export_type,
                event_type,
                [] if case.get("alone") else rules.get("background", []),
                case["story"],
                told.get("database", "shop"),
                told.get("table"),
                accepted_sources(told.get("sources")),
            )


def accepted_sources(names: Sequence[str] | None) -> frozenset[str] | None:
    """The sources that a filter lets pass, groups written out; None without a filter."""
    if names is None:
        return None
    groups = {str(group): map(str, members) for group, members in SOURCE_GROUPS.items()}
    return frozenset(source for name in names for source in groups.get(name, [name]))


def moment(text: str) -> datetime:
    """Read `[day N ]HH:MM[:SS[.mmm]]`."""
    match = MOMENT.fullmatch(text)
    assert match, f"not a moment: {text!r}"
    day, hour, minute, second, milli = (int(part or 0) for part in match.groups())
    time = timedelta(hours=hour, minutes=minute, seconds=second, milliseconds=milli)
    return DAY_ONE + timedelta(days=max(day, 1) - 1) + time


def ending(case: Case, catalog: Catalog, zone: str = "UTC") -> Ending:
    """Tell a story to the end, on engines whose sessions are in this zone."""
    closer = Closer(
        catalog,
        case.export_type,
        case.event_type,
        case.database,
        of_table=case.table,
        sources=case.sources,
    )
    records: list[Record] = []
    places: dict[tuple[Topic, int, int], int] = {}
    told: dict[int, list[str]] = {}
    became: dict[int, list[str]] = defaultdict(list)
    closes, start = [], NOTHING
    steps = [*((False, step) for step in case.background), *((True, step) for step in case.story)]
    for number, (asserted, step) in enumerate(steps):
        if "close" in step:
            cut = _cut(records, moment(step["close"]))
            later = _deletions(step.get("deleted_later", ()), cut)
            with small_engine(zone) as engine:
                if step.get("initial"):
                    closed = closer.on(engine).close_initially(records, cut, later)
                else:
                    closed = closer.on(engine).close(records, start, cut, later)
            closes.append((step, closed))
            for position, outcome in closed.outcomes.items():
                became[places[(closer.own, *position)]].append(outcome)
            start = cut
            continue
        record = _record(closer, records, number, step)
        records.append(record)
        places[record.topic, record.partition, record.offset] = number
        own = record.topic == closer.own
        if asserted and own and record.event["eventType"] in closer.increment.feeds:
            assert "becomes" in step, f"tell what becomes of {step}"
            expected = step["becomes"]
            told[number] = [expected] if isinstance(expected, str) else expected
    return Ending(told, {number: became[number] for number in told}, closes)


def _record(
    closer: Closer, records: Sequence[Record], number: int, step: Mapping[str, Any]
) -> Record:
    kind = next(name for name in KINDS if name in step)
    event_type, table = step[kind], step.get("table", closer.of_table)
    topic = replace(closer.topic(KINDS[kind]), table=table if kind == "row" else None)
    partition, at = step.get("partition", 0), moment(step["at"])
    offset = sum(one.topic == topic and one.partition == partition for one in records)
    event = {
        "eventId": step.get("id", f"event-{number}"),
        "eventType": event_type,
        "database": closer.database,
        "source": "AUTOMATION",
        "occurredAt": moment(step.get("occurred", step["at"])).isoformat(),
        **USUAL[kind],
        **USUAL_OF_TYPE.get((kind, event_type), {}),
        **{name: value for name, value in step.items() if name not in TOLD_OF},
    }
    if kind == "row":
        event |= {"table": table, "id": step.get("row_id", 1)}
        if event_type != "DELETED":
            event.setdefault("attributes", {})
    for name in MOMENTS & step.keys():
        event[name] = moment(step[name]).isoformat()
    if kind == "profile" and event_type != "DELETED":
        key = {"customerId": f"C{event['profileId']}"} if closer.database == "shop" else {}
        event.setdefault("attributes", key)
    appended_at = (at - EPOCH) // timedelta(milliseconds=1)
    return Record(topic, partition, offset, appended_at, event)


def _deletions(told: Iterable[int] | Mapping[int, str], cut: CutAt) -> dict[int, int]:
    """By profile when its deletion occurred (UTC ms): at the cut, if nothing is said."""
    if isinstance(told, Mapping):
        return {profile: milliseconds(moment(text)) for profile, text in told.items()}
    return dict.fromkeys(told, cut.instant)


def _cut(records: Sequence[Record], instant: datetime) -> CutAt:
    ends: dict[tuple[Topic, int], int] = {}
    for one in records:
        ends[one.topic, one.partition] = one.offset + 1
    return CutAt((instant - EPOCH) // timedelta(milliseconds=1), ends)
