"""A right event of every topic as raw Avro values: a case writes out only what tells it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import fastavro

__all__ = ["OCCURRED_AT", "datum_of", "key_field", "regular_event", "stored_schema"]

OCCURRED_AT: Final = 1_774_700_000_123
"""2026-03-28T12:13:20.123Z."""

_PAYLOADS: Mapping[str, Mapping[str, Any]] = {
    "profile": {"eventType": "CREATED", "attributes": {}},
    "subscription-update": {
        "eventType": "CHANGED",
        "profileId": 1,
        "subscription": "offers",
        "type": "SUBSCRIBED",
    },
    "segment-transition": {
        "eventType": "CHANGED",
        "profileId": 1,
        "segment": "vip",
        "newValue": "true",
    },
    "marketing-consent": {"eventType": "CHANGED", "profileId": 1, "consentValue": True},
    "email-activity": {"eventType": "SENT", "campaignId": 1, "profileId": 1},
    "sms-activity": {"eventType": "SENT", "campaignId": 1, "profileId": 1},
    "file-activity": {
        "eventType": "GENERATED",
        "channel": "PRINT",
        "campaignId": 1,
        "profileId": 1,
    },
    "row": {"eventType": "CREATED", "attributes": {}},
    "campaign": {
        "eventType": "CREATED",
        "name": "Spring",
        "technicalName": "Spring_1",
        "channel": "EMAIL",
        "campaignKind": "SCENARIZED",
        "state": "ACTIVE",
        "engine": "CURRENT",
    },
}
_KEY_FIELDS = {
    "profile": "profileId",
    "row": "id",
    "campaign": "campaignId",
    "subscription-update": "profileId",
    "segment-transition": "profileId",
    "marketing-consent": "profileId",
}


def kind_of(local: str) -> str:
    """The kind of a topic, by its name without the prefix."""
    return local if local == "campaign" else local.split(".")[1]


def key_field(local: str) -> str:
    """The field whose value is the key, of a topic by its name without the prefix."""
    return _KEY_FIELDS.get(kind_of(local), "interactionId")


def regular_event(local: str, number: int) -> dict[str, Any]:
    """A right event of a topic; number: makes ids, its own and its entity's."""
    database, _, rest = local.partition(".")
    event: dict[str, Any] = {
        "eventId": str(UUID(int=number, version=4)),
        "database": "shop" if local == "campaign" else database,
        "source": "API",
        "occurredAt": OCCURRED_AT,
        **_PAYLOADS[kind_of(local)],
    }
    if rest.startswith("row."):
        event["table"] = rest.removeprefix("row.")
    return {**event, key_field(local): number}


def stored_schema(avro_type: Any) -> Any:
    """A type without its logical types, as raw values are written by."""
    if isinstance(avro_type, list):
        return [stored_schema(one) for one in avro_type]
    if isinstance(avro_type, dict):
        return {
            key: stored_schema(value) if key in ("type", "items", "values", "fields") else value
            for key, value in avro_type.items()
            if key not in ("logicalType", "precision", "scale")
        }
    return avro_type


def datum_of(schema: Any, event: Mapping[str, Any]) -> bytes:
    """An event of raw values as a datum."""
    out = io.BytesIO()
    parsed = fastavro.parse_schema(stored_schema(schema))
    fastavro.schemaless_writer(out, parsed, event)
    return out.getvalue()
