"""Histories by chance: events of all nine kinds over several windows, and the shops that they
happen in.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from schemas.events import FILE_CHANNELS, KINDS, CampaignKind, Channel, Kind, Source
from schemas.statuses import STATUS_RULES
from schemas.tables import Catalog, DatabaseDefinition, TableDefinition
from tests.model import Cut, Database, History, Recorded, Table, topic_name
from tests.model.closes import latest_of

START = 1_772_323_200_000
"""2026-03-01, UTC."""
HOUR = 3_600_000
GAPS = (0, 1, 1, 1000, 1000, 60_000, HOUR, 30 * HOUR, 49 * HOUR)
LATE = (0, 0, 0, 1, 1000, 2 * HOUR, 50 * HOUR)
CLOSES = 5
"""One more than a fact may wait for its campaign at."""
NEVER_SEEN = (9001, 9002)
"""Ids of profiles and of campaigns that no event tells of."""

Document = Mapping[str, Any]


def _attribute(name: str, kind: str, personal: bool = False) -> dict[str, Any]:
    scale = {"precision": 12, "scale": 2} if kind == "decimal" else {}
    return {"name": name, "type": kind, "personal": personal, **scale}


def _shop(key: str | None, personal_keys: bool = False) -> tuple[Document, ...]:
    """A database and its three custom tables. key: the type of their business keys; without one,
    the database lacks all that it may lack.
    """

    def keyed(name: str) -> dict[str, Any]:
        return {"business_key": name} if key else {}

    def key_of(name: str) -> dict[str, Any]:
        return _attribute(name, key or "string", personal_keys)

    database = {
        "database": "shop",
        "attributes": [
            key_of("customerId"),
            _attribute("firstName", "string", personal=True),
            _attribute("emailAddress", "string", personal=True),
            _attribute("birthDate", "date", personal=True),
            _attribute("points", "integer"),
            _attribute("balance", "decimal"),
            _attribute("member", "boolean"),
            _attribute("hobbies", "strings"),
            {**_attribute("lastOpening", "moment"), "recency": True},
        ],
        **keyed("customerId"),
    }
    if key:
        database |= {
            "subscriptions": ["offers", "newsletter"],
            "segmentations": [
                {"name": "vip", "kind": "simple"},
                {"name": "lifecycle", "kind": "exclusive", "segments": ["new", "active"]},
            ],
            "marketing_consent": True,
        }
    cards = {
        "table": "cards",
        "kind": "linked-data",
        "database": "shop",
        "attributes": [
            key_of("cardNumber"),
            _attribute("holder", "string", personal=True),
            _attribute("points", "integer"),
            _attribute("validUntil", "date"),
        ],
        **keyed("cardNumber"),
    }
    visits = {
        "table": "visits",
        "kind": "interaction",
        "database": "shop",
        "attributes": [
            key_of("ticket"),
            _attribute("at", "moment", personal=True),
            _attribute("amount", "decimal"),
            _attribute("pages", "strings"),
            _attribute("online", "boolean"),
        ],
        **keyed("ticket" if personal_keys else "id"),
    }
    stores = {
        "table": "stores",
        "kind": "repository",
        "database": "shop",
        "attributes": [key_of("storeCode"), _attribute("manager", "string", personal=True)],
        **keyed("storeCode"),
    }
    return database, cards, visits, stores


SHOPS: Mapping[str, tuple[Document, ...]] = {
    "usual": _shop("string"),
    "personal keys": _shop("integer", personal_keys=True),
    "bare": _shop(None),
}
"""What a shop may declare, by name."""


def catalog_of(shop: Sequence[Document]) -> Catalog:
    """The declarations as the product reads them."""
    database = DatabaseDefinition.model_validate(shop[0])
    tables = [TableDefinition.model_validate(one) for one in shop[1:]]
    return Catalog({database.name: database}, {(one.database, one.name): one for one in tables})


def model_of(shop: Sequence[Document]) -> tuple[Database, dict[str, Table]]:
    """The declarations as the model reads them; tables by kind."""
    return Database.read(shop[0]), {one["kind"]: Table.read(one) for one in shop[1:]}


class Teller:
    """Tells a history by chance: a few events of each of many ids, so that one close tries many
    rules.

    focus: the kind that is told of most, with what its rules look up, and with its event types and
    its table if some are named; all others are told of now and then.
    """

    def __init__(
        self,
        seed: int,
        size: int,
        focus: Kind = Kind.EMAIL_ACTIVITY,
        shop: Sequence[Document] = SHOPS["usual"],
        event_types: Sequence[str] = (),
        table: str | None = None,
    ) -> None:
        self.chance = random.Random(seed)
        self.size = size
        self.event_types = {focus: event_types}
        self.profiles = range(1, 2 + size // 12)
        self.rows = range(1, 2 + size // 12)
        self.interactions = range(1, 2 + size // 6)
        self.campaigns = range(1, 2 + size // 30)
        self.database, *tables = shop
        self.tables = [*tables, *(one for one in tables if one["table"] == table for _ in range(6))]
        often = [focus] * 6 + [Kind.PROFILE] * 4 + [Kind.CAMPAIGN] * 2
        rarely = [kind for kind in Kind if can_happen(kind, shop)]
        self.kinds = [*often, *self.chance.choices(rarely, k=3)]

    def history(self) -> tuple[list[Recorded], list[Cut]]:
        """Records of all topics, and some cuts between them."""
        now, records = START, list[Recorded]()
        cuts, ends = list[Cut](), dict[tuple[str, int], int]()
        window = 1 + self.size // CLOSES  # one more event than a fifth, so that there is no sixth
        for number in range(self.size):
            now += self.chance.choice(GAPS) // max(1, self.size // 25)
            body = self.event() | {"eventId": f"event-{number}"}
            topic = topic_name(body["kind"], body["database"], body.get("table", ""))
            earlier = [one.body for one in records[-40:] if one.topic == topic]
            if earlier and self.chance.random() < 0.15:
                first = self.chance.choice(earlier)
                body = self.chance.choice([dict(first), body | {"eventId": first["eventId"]}])
            body["occurredAt"] = iso(now - self.chance.choice(self.lateness(body)))
            place = (topic, self.chance.choice([0, 0, 0, 1]))
            offset = ends.get(place, 0)
            ends[place] = offset + self.chance.choice([1, 1, 2])
            records.append(Recorded(*place, offset, now, body))
            if number % window == window - 1:
                now += 1
                cuts.append(Cut(now, dict(ends)))
        return records, [*cuts, Cut(now + 1, dict(ends))]

    def lateness(self, body: Document) -> Sequence[int]:
        """How late a record may come: a deletion often after the creation of another life."""
        return (*LATE, *LATE[-2:] * 3) if body["eventType"] == "DELETED" else LATE

    def event(self) -> dict[str, Any]:
        kind = self.chance.choice(self.kinds)
        match kind:
            case Kind.PROFILE:
                return self.profile()
            case Kind.ROW:
                return self.row()
            case Kind.CAMPAIGN:
                return self.campaign()
            case Kind.EMAIL_ACTIVITY | Kind.SMS_ACTIVITY | Kind.FILE_ACTIVITY:
                return self.activity(kind)
            case _:
                return self.change(kind)

    def profile(self) -> dict[str, Any]:
        pick = self.chance.choice
        event_type = self.type_of(Kind.PROFILE)
        more: dict[str, Any] = {"profileId": pick(self.profiles)}
        if event_type == "DELETED":
            more |= self.key_of(self.database)
            more["dataCollectionMoment"] = self.moment()
            more["dataCollectionWay"] = pick([None, "form"])
            more["dataCollectionSource"] = pick([None, "", "hotline"])
        else:
            more["attributes"] = self.attributes(self.database)
            if "subscriptions" in self.database:
                more["subscriptions"] = pick([["offers", "newsletter"], ["offers"], [], None])
                vip, lifecycle = pick([True, False, None]), pick(["new", "active", None])
                more["segments"] = pick([None, {"vip": vip, "lifecycle": lifecycle}])
                more["marketingConsent"] = pick([True, False, None])
        return self.told(Kind.PROFILE, event_type, **more, **self.moments(event_type))

    def row(self) -> dict[str, Any]:
        pick = self.chance.choice
        event_type = self.type_of(Kind.ROW)
        table = pick(self.tables)
        more = {"table": table["table"], "id": pick(self.rows)}
        if table["kind"] != "repository":
            more["profileId"] = pick([self.profile_id(), self.profile_id(), None])
        if event_type == "DELETED":
            more |= self.key_of(table)
        else:
            more["attributes"] = self.attributes(table)
        return self.told(Kind.ROW, event_type, **more, **self.moments(event_type))

    def change(self, kind: Kind) -> dict[str, Any]:
        pick = self.chance.choice
        more: dict[str, Any] = {"profileId": self.profile_id()}
        if kind is Kind.SEGMENT_TRANSITION:
            segment = pick(["vip", "lifecycle"])
            values = ["true", "false"] if segment == "vip" else ["new", "active", None]
            more |= {"segment": segment, "previousValue": pick(values), "newValue": pick(values)}
            return self.told(kind, "CHANGED", **more)
        if kind is Kind.SUBSCRIPTION_UPDATE:
            more["subscription"] = pick(["offers", "newsletter"])
            more["type"] = pick(["SUBSCRIBED", "UNSUBSCRIBED"])
        else:
            more["consentValue"] = pick([True, False])
        more |= {"collectionMoment": self.moment(), "collectionWay": pick([None, "form"])}
        return self.told(kind, "CHANGED", collectionSource=pick([None, "", "shop"]), **more)

    def activity(self, kind: Kind) -> dict[str, Any]:
        pick = self.chance.choice
        event_type = self.type_of(kind)
        more: dict[str, Any] = {
            "interactionId": pick(self.interactions),
            "profileId": self.profile_id(),
            "campaignId": pick([*self.campaigns, *self.campaigns, *NEVER_SEEN]),
        }
        if kind is Kind.FILE_ACTIVITY:
            more["channel"] = str(pick(FILE_CHANNELS))
            more["generatedAt"] = self.moment() or iso(START)
        elif kind is Kind.SMS_ACTIVITY:
            more["gsmNumber"] = pick([None, "+32470"])
        else:
            more["emailAddress"] = pick([None, "ada@shop.example"])
            more["subscription"] = pick([None, "offers"])
            more["abVersion"] = pick([None, "A"])
        if (kind, event_type) == (Kind.EMAIL_ACTIVITY, "CLICKED"):
            more |= {"clickedUrl": pick(["/a", "/b"]), "clickedUrlName": pick([None, "A"])}
        return self.told(kind, event_type, **more, **self.statuses(kind, event_type))

    def campaign(self) -> dict[str, Any]:
        pick = self.chance.choice
        kind = pick(list(CampaignKind))
        state = pick(["ACTIVE"] * 5 + ["FINISHED", "FINISHED", "DRAFT"])
        ended = iso(START + pick([-40, -31, -30, -28, 1]) * 24 * HOUR)
        more = {
            "engine": pick(["CURRENT"] * 6 + ["LEGACY"]),
            "sentAt": ended if state == "FINISHED" else pick([None, ended]),
            "finishedAt": ended if state == "FINISHED" else None,
            "campaignId": pick(self.campaigns),
            "name": pick(["Spring sale", "Sale, again"]),
            "technicalName": f"springsale_{kind}",
            "channel": str(pick(list(Channel))),
            "subscription": pick(["newsletter", None]),
        }
        event_type = pick(["CREATED", "UPDATED"])
        return self.told(Kind.CAMPAIGN, event_type, campaignKind=str(kind), state=state, **more)

    def type_of(self, kind: Kind) -> str:
        """An event type of the kind: mostly one of the focus, and creations and updates."""
        every = [str(one) for one in KINDS[kind].event_types]
        states = [one for one in every if one in ("CREATED", "UPDATED")]
        wanted = list(self.event_types.get(kind, ()))
        return self.chance.choice([*every, *states, *wanted, *wanted])

    def profile_id(self) -> int:
        return self.chance.choice([*self.profiles, *self.profiles, *NEVER_SEEN])

    def told(self, kind: Kind, event_type: str, **more: Any) -> dict[str, Any]:
        links = [Source.UNSUBSCRIBE_LINK, Source.LIST_UNSUBSCRIBE]
        source = str(self.chance.choice([*Source, *links]))
        header = {"kind": str(kind), "eventType": event_type, "database": "shop"}
        return {**header, "source": source, **more}

    def statuses(self, kind: Kind, event_type: str) -> dict[str, Any]:
        """A category of the closed list of the event type, if it has one, with a status of it."""
        for rule in STATUS_RULES:
            if (rule.kind, rule.event_type) == (kind, event_type):
                category = self.chance.choice(list(rule.statuses))
                of_category = sorted(rule.statuses[category] or [])
                status = self.chance.choice(of_category) if of_category else None
                return {rule.category_field: category, rule.status_field: status}
        return {}

    def moments(self, event_type: str) -> dict[str, Any]:
        if event_type != "SNAPSHOT":
            return {}
        return {"creationMoment": self.moment(), "updateMoment": self.moment()}

    def moment(self) -> str | None:
        days = self.chance.choice([None, -60, -59, 1])
        return None if days is None else iso(START + days * 24 * HOUR)

    def key_of(self, table: Document) -> dict[str, Any]:
        """The business key that a deletion carries, where the table has one of its own."""
        key = [one for one in table["attributes"] if one["name"] == table.get("business_key")]
        return {"businessKey": self.value(key[0]["type"])} if key else {}

    def attributes(self, table: Document) -> dict[str, Any]:
        return {one["name"]: self.value(one["type"]) for one in table["attributes"]}

    def value(self, kind: str) -> Any:
        some: Mapping[str, list[Any]] = {
            "string": ["Ada", "", "Bo, or Cy"],
            "integer": [0, 17],
            "decimal": [str(Decimal("-0.50")), "12"],
            "boolean": [True, False],
            "date": ["1999-12-31"],
            "moment": ["2026-02-03T04:05:06.789Z"],
            "strings": [["chess", "tea"], []],
        }
        return self.chance.choice([*some[kind], None])


def can_happen(kind: Kind, shop: Sequence[Document]) -> bool:
    """Whether a shop has what events of the kind are about."""
    needs = {
        Kind.SUBSCRIPTION_UPDATE: "subscriptions",
        Kind.SEGMENT_TRANSITION: "segmentations",
        Kind.MARKETING_CONSENT: "marketing_consent",
    }
    return kind not in needs or needs[kind] in shop[0]


def deletions_since(records: Sequence[Recorded], cut: Cut, hours: float) -> Mapping[int, int]:
    """The profiles whose deletion is recorded within so many hours after a cut, whose drop is
    written only then: by id, when the last of these deletions occurred.
    """
    history = History(records)
    profiles = history.records(topic_name("profile", "shop"))
    return latest_of(
        (one.body["profileId"], one.occurred_at)
        for one in profiles
        if one.type == "DELETED"
        and not cut.is_after(one)
        and one.appended_at < cut.instant + hours * HOUR
        and not history.is_repeat(one)
    )


def iso(instant: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=instant)).isoformat()
