"""Drops are what the naive model reads from the same records (SPEC §3), whatever happened and
whatever bases stand.

Model (`tests/model`) and rules share no code: where they differ, one of them misread SPEC.
"""

from __future__ import annotations

import io
import os
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import ibis
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from schemas.tables import Catalog, load_catalog
from schemas.topics import Topic
from sinks.render import Layout, RenderedColumn, render
from sinks.types import EXPORT_TYPES, columns_on_offer
from tests.cases.closes import NOTHING, Closer, CutAt, Record
from tests.model import Attribute, Close, Cut, Database, Export, History, Recorded, drops_of

TABLES = Path(__file__).parent.parent / "golden" / "tables"
START = 1_772_323_200_000
"""2026-03-01, UTC."""
HOUR = 3_600_000
EXPORTS = [(kind, name) for kind, one in EXPORT_TYPES.items() for name in one.increments]
GAPS = (0, 1, 1, 1000, 1000, 60_000, HOUR, 30 * HOUR, 49 * HOUR)
LATE = (0, 0, 0, 1, 1000, 2 * HOUR, 50 * HOUR)


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog(TABLES)


class Teller:
    """Tells a history by chance: a few events of each of many ids, so that one close tries many
    rules.
    """

    def __init__(self, seed: int, size: int) -> None:
        self.chance = random.Random(seed)
        self.size = size
        self.ids = range(1, 2 + size // 6)

    def history(self) -> tuple[list[Recorded], list[Cut]]:
        """Records of all three topics, and four cuts between them."""
        now, records = START, list[Recorded]()
        cuts, ends = list[Cut](), dict[tuple[str, int], int]()
        for number in range(self.size):
            now += self.chance.choice(GAPS) // max(1, self.size // 25)
            body = self.event() | {"eventId": f"event-{number}"}
            database = "" if body["kind"] == "campaign" else "shop"
            topic = ".".join(part for part in ("deltadrop", database, body["kind"]) if part)
            earlier = [one.body for one in records[-40:] if one.topic == topic]
            if earlier and self.chance.random() < 0.15:
                body = dict(self.chance.choice(earlier))
            body["occurredAt"] = iso(now - self.chance.choice(LATE))
            place = (topic, self.chance.choice([0, 0, 0, 1]))
            offset = ends.get(place, 0)
            ends[place] = offset + self.chance.choice([1, 1, 2])
            records.append(Recorded(*place, offset, now, body))
            if number % (1 + self.size // 4) == self.size // 4:
                now += 1
                cuts.append(Cut(now, dict(ends)))
        return records, [*cuts, Cut(now + 1, dict(ends))]

    def event(self) -> dict[str, Any]:
        kinds = [self.email, self.email, self.profile, self.profile, self.campaign]
        return self.chance.choice(kinds)()

    def profile(self) -> dict[str, Any]:
        pick = self.chance.choice
        kind = pick(["CREATED", "CREATED", "UPDATED", "UPDATED", "SNAPSHOT", "DELETED"])
        more: dict[str, Any] = {"profileId": pick(self.ids)}
        if kind != "DELETED":
            name = pick(["Ada", "Bo", None])
            more["attributes"] = {"customerId": f"C{name}", "firstName": name}
            more["subscriptions"] = pick([["offers", "newsletter"], [], None])
        if kind == "SNAPSHOT":
            more["creationMoment"] = pick([None, "2026-01-01T00:00:00Z"])
            more["updateMoment"] = pick([None, "2026-01-02T00:00:00Z"])
        return told("profile", kind, **more)

    def email(self) -> dict[str, Any]:
        pick = self.chance.choice
        kinds = ["SENT", "NOT_SENT", "OPENED", "OPENED", "CLICKED", "CLICKED", "CLICKED", "BOUNCED"]
        kind = pick([*kinds, "UNSUBSCRIBED"])
        more: dict[str, Any] = {}
        if kind == "NOT_SENT":
            more = {"statusCategory": "FILTERED", "status": "QUARANTINE_PERMANENT"}
        if kind == "BOUNCED":
            category = pick(["HARD_BOUNCE", "TECHNICAL"])
            more = {"bounceStatusCategory": category, "bounceStatus": "UNKNOWN_USER"}
        if kind == "CLICKED":
            more = {"clickedUrl": pick(["/a", "/b"])}
        more |= {
            "source": pick(["UNSUBSCRIBE_LINK", "FORM"]),
            "subscription": pick([None, "offers"]),
        }
        ids = {"interactionId": pick(self.ids), "profileId": pick(self.ids)}
        ids["campaignId"] = pick([*self.ids, 1001, 1002])
        return told("email-activity", kind, emailAddress="ada@shop.example", **ids, **more)

    def campaign(self) -> dict[str, Any]:
        pick = self.chance.choice
        kind = pick(["SCENARIZED", "TRANSACTIONAL", "ONE_SHOT", "AB_TEST"])
        state = pick(["ACTIVE", "ACTIVE", "ACTIVE", "FINISHED", "DRAFT"])
        ended = iso(START + pick([-30, -31, 1, 2]) * 24 * HOUR)
        more = {
            "engine": pick(["CURRENT", "CURRENT", "CURRENT", "LEGACY"]),
            "sentAt": ended if state == "FINISHED" else pick([None, ended]),
            "finishedAt": ended if state == "FINISHED" else None,
            "campaignId": pick(self.ids),
            "name": "Spring sale",
            "technicalName": f"springsale_{kind}",
            "channel": "EMAIL",
            "subscription": "newsletter",
        }
        return told("campaign", "CREATED", campaignKind=kind, state=state, **more)


def told(kind: str, event_type: str, **more: Any) -> dict[str, Any]:
    header = {"kind": kind, "eventType": event_type, "database": "shop", "source": "API"}
    return {**header, **more}


def iso(instant: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=instant)).isoformat()


def model_database(catalog: Catalog) -> Database:
    shop = catalog.databases["shop"]
    return Database(
        name="shop",
        attributes={
            one.name: Attribute(one.name, str(one.type), scale=one.scale or 0)
            for one in shop.attributes
        },
        business_key=shop.business_key,
        subscriptions=tuple(shop.subscriptions),
        segmentations={one.name: str(one.kind) for one in shop.segmentations},
        marketing_consent=shop.marketing_consent,
    )


def at(cut: Cut) -> CutAt:
    offsets = {(Topic.parse(name), number): end for (name, number), end in cut.offsets.items()}
    return CutAt(cut.instant, offsets)


def text_of(closer: Closer, lines: Any, header: Sequence[str]) -> str:
    export = EXPORT_TYPES[closer.export_type]
    offer = columns_on_offer(export, export.increments[closer.event_type], closer.subject)
    named = {column.header: column.name for column in offer}
    out = io.BytesIO()
    render([lines], Layout([RenderedColumn(named[one], one) for one in header]), out)
    return out.getvalue().decode()


@given(
    seed=st.integers(0, 2**32),
    size=st.integers(1, 200),
    export=st.sampled_from(EXPORTS),
    based=st.lists(st.integers(0, 4), min_size=5, max_size=5),
    gone=st.sets(st.integers(1, 9), max_size=3),
    firsts_days=st.sampled_from([400, 400, 3]),
)
@settings(
    max_examples=int(os.environ.get("RULES_EXAMPLES", "15")),
    deadline=None,
    phases=[Phase.generate],  # a smaller size is another history: shrinking finds nothing simpler
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_drops_are_what_the_model_reads(
    catalog: Catalog,
    seed: int,
    size: int,
    export: tuple[str, str],
    based: list[int],
    gone: set[int],
    firsts_days: int,
) -> None:
    records, cuts = Teller(seed, size).history()
    asked = Export(*export, model_database(catalog), firsts_days=firsts_days)
    closes = [Close(cut, {"shop": frozenset(gone)}) for cut in cuts]
    expected = drops_of(History(records), asked, Cut(0, {}), closes)
    engine = ibis.duckdb.connect(threads=1)
    closer = Closer(engine, catalog, *export, firsts_days=firsts_days)
    facts = [
        Record(Topic.parse(one.topic), one.partition, one.offset, one.appended_at, one.body)
        for one in records
    ]
    starts = [NOTHING, *map(at, cuts)]
    for number, (drop, cut) in enumerate(zip(expected, cuts, strict=True)):
        base = starts[based[number]] if based[number] <= number else None
        closed = closer.close(facts, starts[number], at(cut), gone, base)
        assert dict(closed.outcomes) == {fact.position: what for fact, what in drop.outcomes}
        assert text_of(closer, closed.lines, drop.header) == drop.text()
        assert closed.warnings == sum(drop.warnings.values())
    engine.disconnect()
