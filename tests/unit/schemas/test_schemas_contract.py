"""What breaks an event's contract (SPEC §1 to §3, §6, §8), and what merely is ignored."""

from typing import Any

import numpy as np
import pytest

from schemas.events import KINDS, CampaignKind, Channel, Kind
from schemas.statuses import STATUS_RULES
from tests.shop.events import EVERY_EVENT_TYPE, decode, payload, reason, written

E, S, P, R, C = (
    Kind.EMAIL_ACTIVITY,
    Kind.SMS_ACTIVITY,
    Kind.PROFILE,
    Kind.ROW,
    Kind.CAMPAIGN,
)


@pytest.mark.parametrize(("kind", "event_type"), EVERY_EVENT_TYPE)
def test_the_least_event_of_every_type_is_taken(kind: Kind, event_type: str) -> None:
    assert reason(kind, written(kind, event_type)) is None


REQUIRED = [
    (kind, str(event_type), name)
    for kind, spec in KINDS.items()
    for event_type, one in spec.payloads.items()
    for name in one.required
    if name not in ("table", "consentValue") and name in payload(kind, str(event_type))
]


@pytest.mark.parametrize(("kind", "event_type", "name"), REQUIRED)
def test_a_required_field_that_is_missing_is_refused(
    kind: Kind, event_type: str, name: str
) -> None:
    try:
        value = written(kind, event_type, **{name: None})
    except (ValueError, TypeError):
        return  # Avro itself doesn't take null here
    found = reason(kind, value)
    assert found is not None
    assert name in found


@pytest.mark.parametrize("kind", [P, R])
def test_a_deletion_with_attributes_is_refused(kind: Kind) -> None:
    found = reason(kind, written(kind, "DELETED", attributes={}))
    assert found == "field 'attributes': must not be in DELETED"


ALL_STATUSES = [
    (rule, category, status)
    for rule in STATUS_RULES
    for category, statuses in rule.statuses.items()
    for status in statuses or ("OUT_OF_OFFICE", None)
]


@pytest.mark.parametrize(("rule", "category", "status"), ALL_STATUSES)
def test_every_status_of_the_closed_lists_is_taken(rule: Any, category: str, status: Any) -> None:
    fields = {rule.category_field: category, rule.status_field: status}
    assert reason(rule.kind, written(rule.kind, rule.event_type, **fields)) is None


@pytest.mark.parametrize(
    ("kind", "event_type", "fields"),
    [
        (E, "NOT_SENT", {"statusCategory": "FILTERED", "status": "OTHER_ERROR"}),
        (E, "NOT_SENT", {"statusCategory": "IN_ERROR", "status": "control_sample"}),
        (E, "NOT_SENT", {"statusCategory": "HARD_BOUNCE", "status": "UNKNOWN_USER"}),
        (E, "BOUNCED", {"bounceStatusCategory": "HARD_BOUNCE", "bounceStatus": "QUOTA_EXCEEDED"}),
        (E, "BOUNCED", {"bounceStatusCategory": "SOFT_BOUNCE", "bounceStatus": None}),
        (E, "BOUNCED", {"bounceStatusCategory": "MEDIUM_BOUNCE", "bounceStatus": "UNKNOWN_USER"}),
        (S, "NOT_SENT", {"errorStatusCategory": "DELIVERY_FAILED", "errorStatus": "EXPIRED"}),
        (S, "DELIVERY_FAILED", {"errorStatusCategory": "FILTERED", "errorStatus": "QUARANTINE"}),
    ],
)
def test_a_status_outside_its_list_is_refused(
    kind: Kind, event_type: str, fields: dict[str, Any]
) -> None:
    found = reason(kind, written(kind, event_type, **fields))
    assert found is not None
    assert "closed list" in found


def test_a_field_of_another_event_type_is_ignored() -> None:
    decoded = decode(
        E, [written(E, "SENT", status="NONSENSE", clickedUrl="x"), written(E, "CLICKED")]
    )
    assert not decoded.refused
    assert decoded.batch.column("status").to_pylist() == [None, None]
    assert decoded.batch.column("clickedUrl").to_pylist() == [None, "https://shop.example"]


def test_technical_moments_count_in_snapshots_only() -> None:
    moment = {"creationMoment": 1_000, "updateMoment": 2_000}
    values = [written(P, t, **moment) for t in ("CREATED", "SNAPSHOT")]
    column = decode(P, values).batch.column("creationMoment")
    assert column.cast("int64").to_pylist() == [None, 1_000]


@pytest.mark.parametrize("kind", list(CampaignKind))
@pytest.mark.parametrize("channel", list(Channel))
def test_transactional_exists_for_email_and_sms_and_ab_test_for_email_only(
    kind: CampaignKind, channel: Channel
) -> None:
    right = {"TRANSACTIONAL": {"EMAIL", "SMS"}, "AB_TEST": {"EMAIL"}}.get(kind, set(Channel))
    found = reason(C, written(C, "CREATED", campaignKind=str(kind), channel=str(channel)))
    assert (found is None) == (channel in right)


def test_a_finished_campaign_has_its_moment() -> None:
    assert reason(C, written(C, "UPDATED", state="FINISHED", finishedAt=5)) is None
    found = reason(C, written(C, "UPDATED", state="FINISHED"))
    assert found == "field 'finishedAt': is missing in a FINISHED campaign"


@pytest.mark.parametrize(
    ("kind", "event_type", "fields"),
    [
        (P, "CREATED", {"subscriptions": ["newsletter", "nonsense"]}),
        (P, "CREATED", {"segments": {"lifecycle": "nonsense"}}),
        (Kind.SUBSCRIPTION_UPDATE, "CHANGED", {"subscription": "nonsense"}),
        (Kind.SEGMENT_TRANSITION, "CHANGED", {"segment": "nonsense"}),
        (Kind.SEGMENT_TRANSITION, "CHANGED", {"segment": "vip", "newValue": "active"}),
        (Kind.SEGMENT_TRANSITION, "CHANGED", {"segment": "lifecycle", "previousValue": "true"}),
    ],
)
def test_what_the_database_doesnt_declare_is_refused(
    kind: Kind, event_type: str, fields: dict[str, Any]
) -> None:
    assert reason(kind, written(kind, event_type, **fields)) is not None


def test_declared_segments_and_subscriptions_are_taken() -> None:
    fields = {"subscriptions": ["events", "offers"], "segments": {"lifecycle": "lost", "vip": True}}
    assert reason(P, written(P, "UPDATED", **fields)) is None
    moved = {"segment": "lifecycle", "previousValue": "new", "newValue": "active"}
    assert (
        reason(Kind.SEGMENT_TRANSITION, written(Kind.SEGMENT_TRANSITION, "CHANGED", **moved))
        is None
    )


def test_only_the_rows_with_an_undeclared_subscription_are_refused() -> None:
    lists: list[Any] = [[], ["offers"], None, ["offers", "x"], ["events", "newsletter"], ["y"]]
    decoded = decode(P, [written(P, "CREATED", subscriptions=one) for one in lists])
    assert [one.index for one in decoded.refused] == [3, 5]
    assert decoded.rows.tolist() == [0, 1, 2, 4]


def test_an_event_of_another_database_or_table_is_refused() -> None:
    assert reason(E, written(E, "SENT", header={"database": "other"}))
    assert reason(R, written(R, "CREATED", header={"table": "stores"}))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "null value (a tombstone)"),
        (b"", "shorter than its header of 5 bytes"),
        (b"\0\0\0\0", "shorter than its header of 5 bytes"),
        (b"\1\0\0\0\1x", "no magic byte"),
        (b"\0\0\0\0\2x", "unknown schema id 2"),
        (b"\0\xff\0\0\2x", "unknown schema id (negative)"),
        (written(E, "SENT")[:-1], "cut short in bounceStatus"),
        (written(E, "SENT") + b"\0", "bytes left over after the datum"),
        (written(E, "SENT", header={"eventId": "no"}), "not a UUID in eventId"),
        (
            written(E, "SENT")[:42] + b"\x7f" + written(E, "SENT")[43:],
            "an index outside the enum in eventType",
        ),
    ],
    ids=[f"value {number}" for number in range(10)],  # their bytes are others in each process
)
def test_a_value_that_cant_be_used_says_why(value: bytes | None, expected: str) -> None:
    decoded = decode(E, [written(E, "SENT"), value, written(E, "OPENED")])
    assert [(one.index, one.reason) for one in decoded.refused] == [(1, expected)]
    assert decoded.rows.tolist() == [0, 2]
    assert decoded.batch.column("eventType").to_pylist() == ["SENT", "OPENED"]


def test_a_value_of_another_record_is_refused() -> None:
    from schemas.decoding.decode import Decoder
    from schemas.derive import avro_schema
    from tests.shop.events import CATALOG, OneSchema, topic

    sms = OneSchema(avro_schema(topic(S), CATALOG))
    decoded = Decoder(sms, topic(E), CATALOG).decode([written(S, "SENT")], [b"1"])
    assert decoded.refused[0].reason == "schema 1 is of another record (deltadrop.SmsActivity)"


def test_a_null_key_is_refused() -> None:
    from schemas.decoding.decode import Decoder
    from schemas.derive import avro_schema
    from tests.shop.events import CATALOG, OneSchema, topic

    decoder = Decoder(OneSchema(avro_schema(topic(E), CATALOG)), topic(E), CATALOG)
    decoded = decoder.decode([written(E, "SENT")] * 3, [b"1", None, b""])
    assert [(one.index, one.reason) for one in decoded.refused] == [(1, "null key")]


def test_decoded_columns_have_the_types_of_the_topic() -> None:
    from schemas.derive import arrow_schema
    from tests.shop.events import CATALOG, topic

    for kind, event_type in EVERY_EVENT_TYPE:
        decoded = decode(kind, [written(kind, event_type)])
        assert decoded.batch.schema == arrow_schema(topic(kind), CATALOG)
        assert decoded.rows.dtype == np.int64
        assert decode(kind, []).batch.schema == decoded.batch.schema
