"""Events are refused before they are sent, with the field and what would be right."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from producers.encode import EventEncoder, WrongEventError
from producers.event import Event
from producers.leaves import PYTHON_LEAVES
from schemas.events import EventType, Kind
from schemas.registry.registry import wire_header
from tests.shop.events import CATALOG, EVERY_EVENT_TYPE, NOON, decode, event

ID = UUID(int=7)


@pytest.fixture(scope="module")
def encoder() -> EventEncoder:
    return EventEncoder(CATALOG, "deltadrop", PYTHON_LEAVES)


def refusal(encoder: EventEncoder, wrong: Event) -> str:
    with pytest.raises(WrongEventError) as refused:
        encoded = encoder.encode(wrong)
        for reason in encoder.check([encoded]).values():
            raise WrongEventError(reason)
    assert refused.value.exit_code == 2
    return str(refused.value)


@pytest.mark.parametrize(("kind", "event_type"), EVERY_EVENT_TYPE)
def test_the_least_event_of_every_type_is_encoded_and_read_back(
    encoder: EventEncoder, kind: Kind, event_type: str
) -> None:
    encoded = encoder.encode(event(kind, event_type, ID))
    assert not encoder.check([encoded])
    decoded = decode(kind, [wire_header(1) + encoded.datum])
    (row,) = decoded.batch.to_pylist()
    assert (row["eventId"], row["eventType"], row["database"]) == (ID, event_type, "shop")
    assert row["occurredAt"] == NOON


def test_the_key_is_the_id_of_the_entity_in_digits(encoder: EventEncoder) -> None:
    keys = {kind: encoder.encode(event(kind, str(t))).key for kind, t in EVERY_EVENT_TYPE}
    assert keys[Kind.PROFILE] == keys[Kind.MARKETING_CONSENT] == b"33"
    assert keys[Kind.EMAIL_ACTIVITY] == keys[Kind.FILE_ACTIVITY] == b"11"
    assert keys[Kind.ROW] == b"44"
    assert keys[Kind.CAMPAIGN] == b"22"


def test_a_profile_keeps_every_value(encoder: EventEncoder) -> None:
    attributes = {
        "customerId": "C-1",
        "firstName": "Zoë 🛒\n\"'",
        "birthDate": date(1, 1, 1),
        "points": -(2**63),
        "balance": Decimal("-9999999999999999.99"),
        "cardHolder": False,
        "hobbies": ["", "a|b"],
        "lastPurchase": datetime(9999, 12, 30, 23, 59, 59, 999_000, UTC),
    }
    state = {
        "subscriptions": ["offers"],
        "segments": {"vip": True, "lifecycle": "new"},
        "marketingConsent": False,
    }
    encoded = encoder.encode(event(Kind.PROFILE, "CREATED", attributes=attributes, **state))
    (row,) = decode(Kind.PROFILE, [wire_header(1) + encoded.datum]).batch.to_pylist()
    assert {k: v for k, v in row["attributes"].items() if v is not None} == attributes
    assert row["segments"] == {"vip": True, "parents": None, "lifecycle": "new"}
    assert (row["subscriptions"], row["marketingConsent"]) == (["offers"], False)


@pytest.mark.parametrize(
    ("kind", "event_type", "fields", "message"),
    [
        (
            Kind.EMAIL_ACTIVITY,
            "CLICKED",
            {"clickedUrl": ...},
            "field 'clickedUrl': is missing in CLICKED",
        ),
        (Kind.EMAIL_ACTIVITY, "SENT", {"profileId": ...}, "field 'profileId': is missing"),
        (Kind.EMAIL_ACTIVITY, "SENT", {"profileId": None}, "field 'profileId': is missing"),
        (
            Kind.EMAIL_ACTIVITY,
            "SENT",
            {"status": "CONTROL_SAMPLE"},
            "field 'status': email-activity SENT has no such field; choose from interactionId,"
            " campaignId, profileId, emailAddress, abVersion, subscription",
        ),
        (
            Kind.SMS_ACTIVITY,
            "SENT",
            {"gsmNumbr": "+32"},
            "field 'gsmNumbr': sms-activity SENT has no such field; choose from interactionId,"
            " campaignId, profileId, gsmNumber; nearest match 'gsmNumber'",
        ),
        (Kind.ROW, "CREATED", {"id": "44"}, "field 'id': isn't a whole number"),
        (Kind.ROW, "CREATED", {"id": True}, "field 'id': isn't a whole number"),
        (Kind.ROW, "CREATED", {"id": 2**63}, "field 'id': isn't a whole number of up to 64 bits"),
        (
            Kind.ROW,
            "CREATED",
            {"table": "purchase"},
            "field 'table': 'purchase' isn't a table of database 'shop'; choose from loyaltyCards,"
            " purchases, stores; nearest match 'purchases'",
        ),
        (
            Kind.ROW,
            "CREATED",
            {"attributes": {"amont": 1}},
            "field 'attributes.amont': isn't defined; choose from purchaseNumber, purchasedAt,"
            " amount, articles, categories, storeCode, online; nearest match 'amount'",
        ),
        (
            Kind.ROW,
            "CREATED",
            {"attributes": {"amount": Decimal("1.234")}},
            "field 'attributes.amount': has more than 2 decimals",
        ),
        (
            Kind.ROW,
            "CREATED",
            {"attributes": {"amount": Decimal("1e10")}},
            "field 'attributes.amount': has more than 12 digits",
        ),
        (
            Kind.ROW,
            "CREATED",
            {"attributes": {"amount": 1.5}},
            "field 'attributes.amount': isn't a decimal number",
        ),
        (
            Kind.ROW,
            "CREATED",
            {"attributes": {"amount": Decimal("NaN")}},
            "field 'attributes.amount': isn't a number",
        ),
        (
            Kind.ROW,
            "CREATED",
            {"attributes": {"purchasedAt": datetime(2026, 1, 1)}},
            "field 'attributes.purchasedAt': has no time zone",
        ),
        (
            Kind.ROW,
            "CREATED",
            {"attributes": {"categories": "shoes"}},
            "field 'attributes.categories': isn't a list",
        ),
        (
            Kind.ROW,
            "CREATED",
            {"attributes": {"online": 1}},
            "field 'attributes.online': isn't true or false",
        ),
        (
            Kind.PROFILE,
            "DELETED",
            {"attributes": {}},
            "field 'attributes': profile DELETED has no such field; choose from profileId,"
            " businessKey, dataCollectionMoment, dataCollectionWay, dataCollectionSource",
        ),
        (
            Kind.PROFILE,
            "CREATED",
            {"attributes": {"birthDate": NOON}},
            "field 'attributes.birthDate': isn't a date",
        ),
        (
            Kind.PROFILE,
            "CREATED",
            {"attributes": {"firstName": "\ud800"}},
            "field 'attributes.firstName': isn't text that UTF-8 can hold",
        ),
        (
            Kind.FILE_ACTIVITY,
            "GENERATED",
            {"channel": "EMAIL"},
            "field 'channel': 'EMAIL' isn't one of them; choose from PRINT, CALL_CENTER,"
            " CUSTOM_AUDIENCE",
        ),
        (
            Kind.CAMPAIGN,
            "CREATED",
            {"campaignKind": "AB_TEST", "channel": "SMS"},
            "a campaign of kind AB_TEST exists for EMAIL only",
        ),
    ],
)
def test_a_wrong_field_is_named_with_what_would_be_right(
    encoder: EventEncoder, kind: Kind, event_type: str, fields: dict[str, Any], message: str
) -> None:
    assert refusal(encoder, event(kind, event_type, **fields)) == message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "emial-activity"}, "nearest match 'email-activity'"),
        ({"event_type": "OPEND"}, "nearest match 'OPENED'"),
        ({"database": "shpo"}, "field 'database': 'shpo' isn't defined; choose from shop"),
        ({"source": "APP"}, "nearest match 'API'"),
        ({"occurred_at": datetime(2026, 1, 1)}, "field 'occurredAt': has no time zone"),
        ({"occurred_at": "2026-01-01T00:00:00Z"}, "field 'occurredAt': isn't a moment"),
    ],
)
def test_a_wrong_header_is_named(
    encoder: EventEncoder, change: dict[str, Any], message: str
) -> None:
    assert message in refusal(encoder, replace(event(Kind.EMAIL_ACTIVITY, "SENT"), **change))


def test_moments_of_any_zone_are_the_same_moment_cut_to_milliseconds(
    encoder: EventEncoder,
) -> None:
    zoned = NOON.astimezone(timezone(timedelta(hours=5, minutes=45))).replace(microsecond=999)
    encoded = encoder.encode(replace(event(Kind.EMAIL_ACTIVITY, "SENT"), occurred_at=zoned))
    column = decode(Kind.EMAIL_ACTIVITY, [wire_header(1) + encoded.datum]).batch
    assert column.column("occurredAt").to_pylist() == [NOON]


def test_an_event_without_an_id_gets_a_new_one_each_time(encoder: EventEncoder) -> None:
    one = event(Kind.EMAIL_ACTIVITY, EventType.SENT)
    assert encoder.encode(one).event_id != encoder.encode(one).event_id


def test_contract_faults_in_a_mixed_batch_keep_their_index(encoder: EventEncoder) -> None:
    events = [
        event(Kind.EMAIL_ACTIVITY, "SENT"),
        event(Kind.CAMPAIGN, "CREATED", state="FINISHED"),
        event(Kind.PROFILE, "CREATED", subscriptions=["x"]),
        event(Kind.EMAIL_ACTIVITY, "BOUNCED", bounceStatus="QUOTA_EXCEEDED"),
        event(Kind.CAMPAIGN, "CREATED"),
    ]
    assert sorted(encoder.check([encoder.encode(one) for one in events])) == [1, 2, 3]
