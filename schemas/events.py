"""The nine kinds of events, declared once (SPEC §1, §2 closed lists, §8).

This module declares which fields each event type must, may and must not carry. The types of the
fields are in `schemas/avro/*.avsc`; those of profiles and rows are derived from the table
definitions (`schemas/derive.py`). Publisher, decoder and docs read these declarations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

__all__ = [
    "CAMPAIGN_CHANNELS_OF_KIND",
    "FILE_CHANNELS",
    "HEADER_FIELDS",
    "KINDS",
    "SOURCE_GROUPS",
    "CampaignKind",
    "CampaignState",
    "Channel",
    "Engine",
    "EventType",
    "Kind",
    "KindSpec",
    "Payload",
    "Source",
    "SourceGroup",
    "SubscriptionChange",
]


class Kind(StrEnum):
    """What an event is about; each kind has its own topic (a database's, a table's, or the
    licence's).
    """

    PROFILE = "profile"
    SUBSCRIPTION_UPDATE = "subscription-update"
    SEGMENT_TRANSITION = "segment-transition"
    MARKETING_CONSENT = "marketing-consent"
    EMAIL_ACTIVITY = "email-activity"
    SMS_ACTIVITY = "sms-activity"
    FILE_ACTIVITY = "file-activity"
    ROW = "row"
    CAMPAIGN = "campaign"


class EventType(StrEnum):
    """What happened."""

    CREATED = "CREATED"
    UPDATED = "UPDATED"
    SNAPSHOT = "SNAPSHOT"
    DELETED = "DELETED"
    CHANGED = "CHANGED"
    SENT = "SENT"
    NOT_SENT = "NOT_SENT"
    OPENED = "OPENED"
    CLICKED = "CLICKED"
    BOUNCED = "BOUNCED"
    UNSUBSCRIBED = "UNSUBSCRIBED"
    DELIVERED = "DELIVERED"
    DELIVERY_FAILED = "DELIVERY_FAILED"
    STOPPED = "STOPPED"
    GENERATED = "GENERATED"
    DOWNLOADED = "DOWNLOADED"


class Source(StrEnum):
    """Where a mutation came from."""

    UNSUBSCRIBE_LINK = "UNSUBSCRIBE_LINK"
    LIST_UNSUBSCRIBE = "LIST_UNSUBSCRIBE"
    FORM = "FORM"
    AUTOMATION = "AUTOMATION"
    FILE_IMPORT = "FILE_IMPORT"
    MANUAL_EDIT = "MANUAL_EDIT"
    API = "API"
    ETL = "ETL"


class SourceGroup(StrEnum):
    """Names for all internal and for all external sources."""

    INTERNAL = "INTERNAL"
    EXTERNAL = "EXTERNAL"


_EXTERNAL = frozenset({Source.API, Source.ETL})

SOURCE_GROUPS: Mapping[SourceGroup, frozenset[Source]] = MappingProxyType(
    {
        SourceGroup.INTERNAL: frozenset(Source) - _EXTERNAL,
        SourceGroup.EXTERNAL: _EXTERNAL,
    }
)


class Channel(StrEnum):
    """The channel of a campaign."""

    EMAIL = "EMAIL"
    SMS = "SMS"
    PRINT = "PRINT"
    CALL_CENTER = "CALL_CENTER"
    CUSTOM_AUDIENCE = "CUSTOM_AUDIENCE"


FILE_CHANNELS = (Channel.PRINT, Channel.CALL_CENTER, Channel.CUSTOM_AUDIENCE)
"""The channels of `file-activity` events: their interactions go to a provider in a file."""


class CampaignKind(StrEnum):
    """How a campaign runs."""

    SCENARIZED = "SCENARIZED"
    TRANSACTIONAL = "TRANSACTIONAL"
    ONE_SHOT = "ONE_SHOT"
    AB_TEST = "AB_TEST"


CAMPAIGN_CHANNELS_OF_KIND: Mapping[CampaignKind, frozenset[Channel]] = MappingProxyType(
    {
        CampaignKind.SCENARIZED: frozenset(Channel),
        CampaignKind.TRANSACTIONAL: frozenset({Channel.EMAIL, Channel.SMS}),
        CampaignKind.ONE_SHOT: frozenset(Channel),
        CampaignKind.AB_TEST: frozenset({Channel.EMAIL}),
    }
)
"""The channels of each kind (SPEC §3, active campaigns); others break the contract."""


class CampaignState(StrEnum):
    """Where a campaign is in its life."""

    DRAFT = "DRAFT"
    ACTIVE = "ACTIVE"
    FINISHED = "FINISHED"


class Engine(StrEnum):
    """The engine a campaign is sent through."""

    CURRENT = "CURRENT"
    LEGACY = "LEGACY"


class SubscriptionChange(StrEnum):
    """Which way a subscription changed."""

    SUBSCRIBED = "SUBSCRIBED"
    UNSUBSCRIBED = "UNSUBSCRIBED"


@dataclass(frozen=True, slots=True)
class Payload:
    """The payload of one event type: the fields that must, may and must not be present.

    Any other field of the kind belongs to another event type. The publisher refuses an event that
    carries it; the decoder ignores the field.
    """

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that this event type may carry."""
        return self.required + self.optional


@dataclass(frozen=True, slots=True)
class KindSpec:
    """One kind: the field that is the Kafka key, and the payload of each event type."""

    kind: Kind
    key_field: str
    payloads: Mapping[EventType, Payload]

    @property
    def event_types(self) -> tuple[EventType, ...]:
        """The kind's event types, in the order of its Avro enum."""
        return tuple(self.payloads)


HEADER_FIELDS = ("eventId", "eventType", "database", "source", "occurredAt")
"""The fields that every event carries, in this order, before its payload."""

_PROFILE_STATE = ("subscriptions", "segments", "marketingConsent")
_TECHNICAL_MOMENTS = ("creationMoment", "updateMoment")
_COLLECTION = ("collectionMoment", "collectionWay", "collectionSource")
_INTERACTION = ("interactionId", "campaignId", "profileId")
_EMAIL = ("emailAddress", "abVersion", "subscription")
_CAMPAIGN = Payload(
    (
        "campaignId",
        "name",
        "technicalName",
        "channel",
        "campaignKind",
        "state",
        "engine",
    ),
    ("sentAt", "finishedAt", "subscription"),
)


def _row_payloads(
    ids: tuple[str, ...], state: tuple[str, ...], deletion: tuple[str, ...]
) -> Mapping[EventType, Payload]:
    """Payloads of profiles and rows: the whole current row, or a deletion with technical fields.

    ids: required in all; state: optional in a row; deletion: optional in a deletion.
    """
    return {
        EventType.CREATED: Payload((*ids, "attributes"), state),
        EventType.UPDATED: Payload((*ids, "attributes"), state),
        EventType.SNAPSHOT: Payload((*ids, "attributes"), state + _TECHNICAL_MOMENTS),
        EventType.DELETED: Payload(ids, deletion, forbidden=("attributes",)),
    }


def _email_payloads() -> Mapping[EventType, Payload]:
    return {
        EventType.SENT: Payload(_INTERACTION, _EMAIL),
        EventType.NOT_SENT: Payload((*_INTERACTION, "statusCategory", "status"), _EMAIL),
        EventType.OPENED: Payload(_INTERACTION, _EMAIL),
        EventType.CLICKED: Payload((*_INTERACTION, "clickedUrl"), (*_EMAIL, "clickedUrlName")),
        EventType.BOUNCED: Payload(
            (*_INTERACTION, "bounceStatusCategory"), (*_EMAIL, "bounceStatus")
        ),
        EventType.UNSUBSCRIBED: Payload(_INTERACTION, _EMAIL),
    }


def _sms_payloads() -> Mapping[EventType, Payload]:
    failed = Payload((*_INTERACTION, "errorStatusCategory", "errorStatus"), ("gsmNumber",))
    done = Payload(_INTERACTION, ("gsmNumber",))
    return {
        EventType.SENT: done,
        EventType.NOT_SENT: failed,
        EventType.DELIVERED: done,
        EventType.CLICKED: done,
        EventType.DELIVERY_FAILED: failed,
        EventType.STOPPED: done,
    }


def _file_payloads() -> Mapping[EventType, Payload]:
    return {
        EventType.GENERATED: Payload(("channel", *_INTERACTION)),
        EventType.NOT_SENT: Payload(("channel", *_INTERACTION)),
        EventType.DOWNLOADED: Payload(("channel", *_INTERACTION, "generatedAt")),
    }


def _changed(required: tuple[str, ...], optional: tuple[str, ...]) -> Mapping[EventType, Payload]:
    return {EventType.CHANGED: Payload(required, optional)}


KINDS: Mapping[Kind, KindSpec] = MappingProxyType(
    {
        spec.kind: spec
        for spec in (
            KindSpec(
                Kind.PROFILE,
                "profileId",
                _row_payloads(
                    ("profileId",),
                    _PROFILE_STATE,
                    (
                        "businessKey",
                        "dataCollectionMoment",
                        "dataCollectionWay",
                        "dataCollectionSource",
                    ),
                ),
            ),
            KindSpec(
                Kind.SUBSCRIPTION_UPDATE,
                "profileId",
                _changed(("profileId", "subscription", "type"), _COLLECTION),
            ),
            KindSpec(
                Kind.SEGMENT_TRANSITION,
                "profileId",
                _changed(("profileId", "segment"), ("previousValue", "newValue")),
            ),
            KindSpec(
                Kind.MARKETING_CONSENT,
                "profileId",
                _changed(("profileId", "consentValue"), _COLLECTION),
            ),
            KindSpec(Kind.EMAIL_ACTIVITY, "interactionId", _email_payloads()),
            KindSpec(Kind.SMS_ACTIVITY, "interactionId", _sms_payloads()),
            KindSpec(Kind.FILE_ACTIVITY, "interactionId", _file_payloads()),
            KindSpec(
                Kind.ROW,
                "id",
                _row_payloads(("table", "id"), ("profileId",), ("profileId", "businessKey")),
            ),
            KindSpec(
                Kind.CAMPAIGN,
                "campaignId",
                {EventType.CREATED: _CAMPAIGN, EventType.UPDATED: _CAMPAIGN},
            ),
        )
    }
)
"""All kinds by their name."""
