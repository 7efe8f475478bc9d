"""decode(publish(x)) == x for events of every kind, with all that their payloads may hold."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from producers.encode import EventEncoder
from producers.event import Event
from producers.leaves import PYTHON_LEAVES
from schemas.decoding.decode import Decoder
from schemas.derive import avro_schema
from schemas.events import (
    CAMPAIGN_CHANNELS_OF_KIND,
    FILE_CHANNELS,
    KINDS,
    CampaignKind,
    CampaignState,
    Engine,
    Kind,
    Source,
    SubscriptionChange,
)
from schemas.registry.registry import wire_header
from schemas.statuses import STATUS_RULES
from schemas.tables import (
    AttributeDefinition,
    AttributeType,
    DatabaseDefinition,
    SegmentationKind,
    TableKind,
)
from schemas.topics import Topic
from tests.shop.events import CATALOG, OneSchema

SHOP: DatabaseDefinition = CATALOG.databases["shop"]
TEXT = st.text(max_size=12)
IDS = st.integers(-(2**63), 2**63 - 1)
_FIRST = datetime(1, 1, 2, tzinfo=UTC)
MOMENTS = st.integers(0, 315_537_724_799_999).map(lambda ms: _FIRST + timedelta(milliseconds=ms))


def decimals(precision: int, scale: int) -> st.SearchStrategy[Decimal]:
    exact = Context(prec=60)
    most = 10**precision - 1
    return st.integers(-most, most).map(lambda n: Decimal(n).scaleb(-scale, exact))


def values(attribute: AttributeDefinition) -> st.SearchStrategy[Any]:
    match attribute.type:
        case AttributeType.STRING:
            return TEXT
        case AttributeType.INTEGER:
            return IDS
        case AttributeType.BOOLEAN:
            return st.booleans()
        case AttributeType.DATE:
            return st.dates(date.min, date.max)
        case AttributeType.MOMENT:
            return MOMENTS
        case AttributeType.STRINGS:
            return st.lists(TEXT, max_size=4)
        case AttributeType.DECIMAL:
            return decimals(attribute.precision or 1, attribute.scale or 0)


def maybe(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


def attributes(of: tuple[AttributeDefinition, ...]) -> st.SearchStrategy[dict[str, Any]]:
    return maybe(**{one.name: st.none() | values(one) for one in of})


SEGMENTS = maybe(
    **{
        one.name: st.sampled_from(one.segments)
        if one.kind is SegmentationKind.EXCLUSIVE
        else st.booleans()
        for one in SHOP.segmentations
    }
)

FIELDS: Mapping[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("profileId", "id", "interactionId", "campaignId"), IDS),
    **dict.fromkeys(("collectionMoment", "dataCollectionMoment", "creationMoment"), MOMENTS),
    **dict.fromkeys(("updateMoment", "generatedAt", "sentAt", "finishedAt"), MOMENTS),
    "subscriptions": st.lists(st.sampled_from(SHOP.subscriptions), max_size=3),
    "segments": SEGMENTS,
    "marketingConsent": st.booleans(),
    "consentValue": st.booleans(),
    "subscription": st.sampled_from(SHOP.subscriptions),
    "type": st.sampled_from([str(one) for one in SubscriptionChange]),
    "segment": st.just("lifecycle"),
    **dict.fromkeys(("previousValue", "newValue"), st.sampled_from(["new", "active", "lost"])),
    "channel": st.sampled_from([str(one) for one in FILE_CHANNELS]),
    "state": st.sampled_from([str(one) for one in CampaignState if one != "FINISHED"]),
    "engine": st.sampled_from([str(one) for one in Engine]),
}


@st.composite
def events(draw: st.DrawFn) -> tuple[Topic, Event]:
    kind = draw(st.sampled_from(list(Kind)))
    event_type = draw(st.sampled_from(KINDS[kind].event_types))
    payload = KINDS[kind].payloads[event_type]
    required = {name: FIELDS.get(name, TEXT) for name in payload.required}
    optional = {name: FIELDS.get(name, TEXT) for name in payload.optional}
    if kind is Kind.PROFILE and "attributes" in required:
        required["attributes"] = attributes(SHOP.attributes)
    body = draw(st.fixed_dictionaries(required, optional=optional))
    topic = Topic(kind, None if kind is Kind.CAMPAIGN else "shop") if kind is not Kind.ROW else None
    if topic is None:
        topic, body = draw(rows(body))
    if kind is Kind.CAMPAIGN:
        campaign_kind = draw(st.sampled_from(list(CampaignKind)))
        channels = sorted(CAMPAIGN_CHANNELS_OF_KIND[campaign_kind])
        body["campaignKind"] = str(campaign_kind)
        body["channel"] = str(draw(st.sampled_from(channels)))
    for rule in STATUS_RULES:
        if (rule.kind, rule.event_type) == (kind, event_type):
            category = draw(st.sampled_from(sorted(rule.statuses)))
            body[rule.category_field] = category
            body[rule.status_field] = draw(st.sampled_from(rule.statuses[category] or ("ANY",)))
    source = str(draw(st.sampled_from(list(Source))))
    moment, event_id = draw(MOMENTS), draw(st.uuids())
    return topic, Event(kind, str(event_type), "shop", source, moment, body, event_id)


@st.composite
def rows(draw: st.DrawFn, body: dict[str, Any]) -> tuple[Topic, dict[str, Any]]:
    table = draw(st.sampled_from(list(CATALOG.tables.values())))
    body["table"] = table.name
    if "attributes" in body:
        body["attributes"] = draw(attributes(table.attributes))
    if table.kind is TableKind.REPOSITORY:
        body.pop("profileId", None)
    if table.key_attribute is None:
        body.pop("businessKey", None)
    return Topic(Kind.ROW, "shop", table.name), body


ENCODER = EventEncoder(CATALOG, "deltadrop", PYTHON_LEAVES)


def plain(value: Any) -> Any:
    """What was published, as it is read back: with one UTC, and without what is null anyway."""
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items() if item is not None}
    return value.astimezone(UTC) if isinstance(value, datetime) else value


@given(st.lists(events(), min_size=1, max_size=5))
@settings(max_examples=300, deadline=None)
def test_what_is_published_is_what_is_decoded(drawn: list[tuple[Topic, Event]]) -> None:
    encoded = [ENCODER.encode(event) for _, event in drawn]
    assert not ENCODER.check(encoded)
    for (topic, event), one in zip(drawn, encoded, strict=True):
        assert one.topic == topic
        decoder = Decoder(OneSchema(avro_schema(topic, CATALOG)), topic, CATALOG)
        decoded = decoder.decode([wire_header(1) + one.datum], [one.key])
        assert not decoded.refused
        (row,) = decoded.batch.to_pylist()
        body = {name: row.pop(name) for name in list(row) if name in event.payload}
        assert plain(body) == plain(event.payload)
        assert row.pop("eventId") == event.event_id
        assert row.pop("occurredAt").astimezone(UTC) == event.occurred_at
        assert (row.pop("eventType"), row.pop("source")) == (event.event_type, event.source)
        assert row.pop("database") == "shop"
        assert set(row.values()) <= {None}
