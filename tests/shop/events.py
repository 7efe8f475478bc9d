"""Builds events, and decodes them without a registry or Kafka."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import fastavro

from producers.event import Event
from schemas.decoding.decode import Decoded, Decoder
from schemas.derive import AvroSchema, avro_schema
from schemas.errors import UnknownSchemaError
from schemas.events import KINDS, Kind
from schemas.registry.registry import wire_header
from schemas.tables import load_catalog
from schemas.topics import Topic

TABLES = Path(__file__).parents[2] / "deploy" / "demo" / "tables"
CATALOG = load_catalog(TABLES)
NOON = datetime(2026, 3, 28, 12, tzinfo=UTC)

_INTERACTION = {"interactionId": 11, "campaignId": 22, "profileId": 33}
_LEAST: Mapping[Kind, Mapping[str, Any]] = {
    Kind.PROFILE: {"profileId": 33},
    Kind.SUBSCRIPTION_UPDATE: {"profileId": 33, "subscription": "offers", "type": "SUBSCRIBED"},
    Kind.SEGMENT_TRANSITION: {"profileId": 33, "segment": "vip"},
    Kind.MARKETING_CONSENT: {"profileId": 33, "consentValue": True},
    Kind.EMAIL_ACTIVITY: _INTERACTION,
    Kind.SMS_ACTIVITY: _INTERACTION,
    Kind.FILE_ACTIVITY: {**_INTERACTION, "channel": "PRINT"},
    Kind.ROW: {"table": "purchases", "id": 44},
    Kind.CAMPAIGN: {
        "campaignId": 22,
        "name": "Spring",
        "technicalName": "Spring_1",
        "channel": "EMAIL",
        "campaignKind": "SCENARIZED",
        "state": "ACTIVE",
        "engine": "CURRENT",
    },
}
_NEEDED: Mapping[tuple[Kind, str], Mapping[str, Any]] = {
    (Kind.EMAIL_ACTIVITY, "NOT_SENT"): {"statusCategory": "FILTERED", "status": "CONTROL_SAMPLE"},
    (Kind.EMAIL_ACTIVITY, "CLICKED"): {"clickedUrl": "https://shop.example"},
    (Kind.EMAIL_ACTIVITY, "BOUNCED"): {
        "bounceStatusCategory": "HARD_BOUNCE",
        "bounceStatus": "UNKNOWN_USER",
    },
    (Kind.SMS_ACTIVITY, "NOT_SENT"): {
        "errorStatusCategory": "FILTERED",
        "errorStatus": "QUARANTINE",
    },
    (Kind.SMS_ACTIVITY, "DELIVERY_FAILED"): {
        "errorStatusCategory": "DELIVERY_FAILED",
        "errorStatus": "EXPIRED",
    },
    (Kind.FILE_ACTIVITY, "DOWNLOADED"): {"generatedAt": NOON},
}
_STATE_TYPES = ("CREATED", "UPDATED", "SNAPSHOT")

EVERY_EVENT_TYPE = [(kind, str(t)) for kind, spec in KINDS.items() for t in spec.event_types]


def payload(kind: Kind, event_type: str, **telling: Any) -> dict[str, Any]:
    """The least payload of an event type, with the telling fields; ... leaves a field out."""
    fields = {**_LEAST[kind], **_NEEDED.get((kind, event_type), {})}
    if kind in (Kind.PROFILE, Kind.ROW) and event_type in _STATE_TYPES:
        fields["attributes"] = {}
    return {name: value for name, value in {**fields, **telling}.items() if value is not ...}


def event(kind: Kind, event_type: str, event_id: UUID | None = None, **telling: Any) -> Event:
    """An event of the shop at noon, from the API."""
    body = payload(kind, event_type, **telling)
    return Event(kind, event_type, "shop", "API", NOON, body, event_id)


def topic(kind: Kind, table: str = "purchases") -> Topic:
    """The shop's topic of a kind."""
    if kind is Kind.CAMPAIGN:
        return Topic(kind)
    return Topic(kind, "shop", table if kind is Kind.ROW else None)


@dataclass
class OneSchema:
    """A registry that knows one schema, as number 1."""

    only: AvroSchema

    def schema(self, schema_id: int) -> AvroSchema:
        if schema_id != 1:
            raise UnknownSchemaError("no such schema")
        return self.only


def written(kind: Kind, event_type: str, header: Mapping[str, Any] = {}, **telling: Any) -> bytes:
    """The Kafka value of an event, written with fastavro alone, whatever the contract says."""
    record = {
        "eventId": str(uuid4()),
        "eventType": event_type,
        "database": "shop",
        "source": "API",
        "occurredAt": NOON,
        **payload(kind, event_type, **telling),
        **header,
    }
    schema = avro_schema(topic(kind, record.get("table", "purchases")), CATALOG)
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), record)
    return wire_header(1) + out.getvalue()


def decode(kind: Kind, values: Sequence[bytes | None], table: str = "purchases") -> Decoded:
    """Decode values of one of the shop's topics."""
    where = topic(kind, table)
    decoder = Decoder(OneSchema(avro_schema(where, CATALOG)), where, CATALOG)
    return decoder.decode(values, [b"1"] * len(values))


def reason(kind: Kind, value: bytes) -> str | None:
    """Why a value is refused; None if it isn't."""
    decoded = decode(kind, [value])
    assert decoded.batch.num_rows + len(decoded.refused) == 1
    return decoded.refused[0].reason if decoded.refused else None
