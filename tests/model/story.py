"""Tiny histories for tests of rules: only the telling fields are written out."""

from dataclasses import replace
from typing import Any

from tests.model import (
    Attribute,
    Close,
    Cut,
    Database,
    Drop,
    Export,
    History,
    Recorded,
    Table,
    drops_of,
    topic_name,
)
from tests.model.history import milliseconds

SHOP = Database(
    name="shop",
    attributes={
        one.name: one
        for one in (
            Attribute("customerId", "string"),
            Attribute("firstName", "string", personal=True),
            Attribute("balance", "decimal", scale=2),
            Attribute("birthDate", "date"),
            Attribute("hobbies", "strings"),
        )
    },
    business_key="customerId",
    subscriptions=("newsletter", "offers"),
    segmentations={"vip": "simple", "lifecycle": "exclusive"},
    marketing_consent=True,
)
CARDS = Table(
    name="cards",
    kind="linked-data",
    attributes={
        one.name: one
        for one in (
            Attribute("number", "string"),
            Attribute("holder", "string", personal=True),
            Attribute("points", "integer"),
        )
    },
    key="number",
)
NOON = milliseconds("2026-03-28T12:00:00Z")
OF_NOTHING = Cut(NOON, {})

_numbers = iter(range(1, 1_000_000))


def at(minute: float) -> str:
    """A moment so many minutes after noon."""
    seconds = int(minute * 60)
    return f"2026-03-28T{12 + seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}Z"


def event(kind: str, event_type: str, occurred: float = 0, **more: Any) -> dict[str, Any]:
    common = {
        "kind": kind,
        "eventType": event_type,
        "database": "shop",
        "source": "API",
    }
    return {
        "eventId": f"event-{next(_numbers)}",
        **common,
        "occurredAt": at(occurred),
        **more,
    }


def profile(
    event_type: str, occurred: float = 0, profile_id: int = 1, **more: Any
) -> dict[str, Any]:
    attributes = {"customerId": f"C{profile_id}", "firstName": "Ada"}
    body = {} if event_type == "DELETED" else {"attributes": attributes}
    return event("profile", event_type, occurred, profileId=profile_id, **{**body, **more})


def email(
    event_type: str, occurred: float = 0, interaction_id: int = 1, **more: Any
) -> dict[str, Any]:
    body = {
        "campaignId": 9,
        "profileId": 1,
        "emailAddress": "ada@example.com",
        "interactionId": interaction_id,
    }
    if event_type == "CLICKED":
        body["clickedUrl"] = "https://shop.example/a"
    return event("email-activity", event_type, occurred, **{**body, **more})


def contact(kind: str, event_type: str, occurred: float = 0, **more: Any) -> dict[str, Any]:
    """An activity of another channel than e-mail."""
    body: dict[str, Any] = {"campaignId": 9, "profileId": 1, "interactionId": 1}
    if kind == "file-activity":
        body["channel"] = "PRINT"
    return event(kind, event_type, occurred, **{**body, **more})


def row(event_type: str, occurred: float = 0, row_id: int = 7, **more: Any) -> dict[str, Any]:
    """A row of the shop's cards, that of profile 1."""
    body: dict[str, Any] = {"table": "cards", "id": row_id, "profileId": 1}
    if event_type != "DELETED":
        body["attributes"] = {"number": f"N{row_id}", "holder": "Ada", "points": 5}
    return event("row", event_type, occurred, **{**body, **more})


def change(kind: str, occurred: float = 0, **more: Any) -> dict[str, Any]:
    return event(kind, "CHANGED", occurred, **{"profileId": 1, **more})


def campaign(**more: Any) -> dict[str, Any]:
    body = {
        "campaignId": 9,
        "name": "Spring sale",
        "technicalName": "springsale_1",
        "channel": "EMAIL",
        "campaignKind": "SCENARIZED",
        "state": "ACTIVE",
        "engine": "CURRENT",
    }
    return event("campaign", "CREATED", **{**body, **more})


class Story:
    """Events as they are appended: one second apart, one partition, unless told otherwise."""

    def __init__(self) -> None:
        self.records: list[Recorded] = []
        self.now = NOON

    def append(
        self,
        body: dict[str, Any] | None,
        partition: int = 0,
        topic: str = "",
        after: int = 1000,
    ) -> "Story":
        self.now += after
        if body is not None:
            topic = topic_name(body["kind"], body["database"], body.get("table", ""))
        offset = sum(one.topic == topic and one.partition == partition for one in self.records)
        self.records.append(Recorded(topic, partition, offset, self.now, body))
        return self

    def tell(self, *bodies: dict[str, Any]) -> "Story":
        for body in bodies:
            self.append(body)
        return self

    def cut(self, instant: int | None = None) -> Cut:
        ends: dict[tuple[str, int], int] = {}
        for one in self.records:
            place = (one.topic, one.partition)
            ends[place] = max(ends.get(place, 0), one.offset + 1)
        return Cut(self.now + 1 if instant is None else instant, ends)

    def drops(self, export: Export, *cuts: Cut, start: Cut = OF_NOTHING, **more: Any) -> list[Drop]:
        closes = [Close(cut) for cut in cuts or (self.cut(),)]
        drops = drops_of(History(self.records), export, start, closes, **more)
        for drop in drops:
            assert sum(drop.balance.values()) == len(drop.outcomes)
            assert drop.balance["exported"] == len(drop.lines)
        return drops

    def drop(self, export: Export, **more: Any) -> Drop:
        return self.drops(export, **more)[0]


def profiles(
    event_type: str = "CREATION_OR_UPDATE", columns: str = "profileId firstName"
) -> Export:
    return Export("profile", event_type, SHOP, tuple(columns.split()))


def emails(event_type: str, columns: str = "interactionId") -> Export:
    return Export("email-activities", event_type, SHOP, tuple(columns.split()))


def exports(name: str, columns: str = "", **more: Any) -> Export:
    """An export as `type EVENT`; of a custom table, of the cards."""
    export_type, event_type = name.split()
    export = Export(export_type, event_type, SHOP, tuple(columns.split()), **more)
    return replace(export, table=CARDS) if export.declared.table else export


def told(drop: Drop) -> dict[str, int]:
    """The balance without its zeros."""
    return {outcome: number for outcome, number in drop.balance.items() if number}


def ids(drop: Drop) -> list[str | None]:
    return [line[0] for line in drop.lines]


def known_profile() -> Story:
    return Story().tell(campaign(), profile("CREATED", -60))
