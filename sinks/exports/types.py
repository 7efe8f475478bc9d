"""The declarations of all export types: event types, columns, sources of data and rules (SPEC §2,
§3).

Closes, checks of definitions, documentation, JSON Schemas and tests read these declarations. A new
type is added here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from schemas.events import Channel, EventType, Kind, Source
from schemas.tables import AttributeType, TableKind
from sinks.exports.increments import ExportType, Increment, Line
from sinks.rules.columns import (
    EVENT_ID,
    Column,
    Offer,
    Origin,
    Subject,
    attributes,
    business_key,
    campaign,
    deleted_business_key,
    deleted_row_key,
    event,
    marketing_consent,
    profile,
    profile_columns,
    row,
    row_attributes,
    ruled,
    segmentations,
    subscriptions,
)
from sinks.rules.declared import FactRule, FirstOf, RowRule

__all__ = ["EXPORT_TYPES", "ExportType", "Increment", "Line", "columns_on_offer"]


_ALL: Final = FactRule()
_INTEGER, _MOMENT = AttributeType.INTEGER, AttributeType.MOMENT
_INTERACTION_ID, _CAMPAIGN_ID, _PROFILE_ID, _ROW_ID = (
    event(name, _INTEGER) for name in ("interactionId", "campaignId", "profileId", "id")
)
_EVENT_TIME = event("eventTime", _MOMENT, field="occurredAt")
_TECHNICAL_NAME = campaign("campaignTechnicalName", "technicalName")


def _of_rows(
    kind: Kind, columns: tuple[Offer, ...], *, with_profile: bool = False
) -> Mapping[str, Increment]:
    """The three event types of whole rows. Their input is every change of a row; the rule decides
    which changes count.
    """
    created, updated, deleted = EventType.CREATED, EventType.UPDATED, EventType.DELETED
    increments = {
        "CREATION": ("created since the previous close", (created,)),
        "UPDATE": (
            "updated since the previous close, also rows that were created in that time",
            (updated,),
        ),
        "CREATION_OR_UPDATE": ("created or updated since the previous close", (created, updated)),
    }
    return {
        name: Increment(
            meaning, kind, (created, updated, deleted), columns, RowRule(lines), with_profile
        )
        for name, (meaning, lines) in increments.items()
    }


_PROFILES = _of_rows(
    Kind.PROFILE,
    (
        profile("profileId", _INTEGER),
        attributes,
        subscriptions,
        segmentations,
        marketing_consent,
        profile("creationMoment", _MOMENT),
        profile("updateMoment", _MOMENT),
    ),
)

_COLLECTION_SOURCE, _COLLECTION_WAY = event("collectionSource"), event("collectionWay")
_COLLECTION_MOMENT = event("collectionMoment", _MOMENT)
_CHANGED = (EventType.CHANGED,)
_PROFILE_CHANGES: Mapping[str, Increment] = {
    "DELETED": Increment(
        "profiles that were deleted",
        Kind.PROFILE,
        (EventType.DELETED,),
        (
            event("dataCollectionMoment", _MOMENT),
            _PROFILE_ID,
            event("dataCollectionWay"),
            _EVENT_TIME,
            event("dataCollectionSource"),
            deleted_business_key,
        ),
        source_filter=True,
    ),
    "SEGMENT_TRANSITION": Increment(
        "profiles that entered or left a segment, or moved between two",
        Kind.SEGMENT_TRANSITION,
        _CHANGED,
        (
            event("newValue"),
            _PROFILE_ID,
            event("segment"),
            _EVENT_TIME,
            event("previousValue"),
            business_key,
        ),
        with_profile=True,
    ),
    "SUBSCRIPTION_UPDATE": Increment(
        "subscriptions and unsubscriptions, of any subscription of the database",
        Kind.SUBSCRIPTION_UPDATE,
        _CHANGED,
        (
            _COLLECTION_SOURCE,
            event("type"),
            _PROFILE_ID,
            _COLLECTION_MOMENT,
            event("subscription"),
            _EVENT_TIME,
            _COLLECTION_WAY,
            business_key,
        ),
        with_profile=True,
        source_filter=True,
    ),
    "MARKETING_CONSENT_CHANGE": Increment(
        "profiles whose marketing consent changed",
        Kind.MARKETING_CONSENT,
        _CHANGED,
        (
            _COLLECTION_SOURCE,
            _PROFILE_ID,
            _COLLECTION_MOMENT,
            _EVENT_TIME,
            _COLLECTION_WAY,
            business_key,
            event("consentValue", AttributeType.BOOLEAN),
        ),
        with_profile=True,
        needs="marketingConsent",
    ),
}

CAMPAIGN_UNSUBSCRIBES: Final = (Source.UNSUBSCRIBE_LINK.value, Source.LIST_UNSUBSCRIBE.value)
"""The sources of unsubscribes that people made from a campaign's e-mail."""
NEVER_BOUNCED: Final = "TECHNICAL"
"""The category of bounces that don't concern the address: out of office, replies."""

_EMAIL: tuple[Offer, ...] = (
    _INTERACTION_ID,
    _CAMPAIGN_ID,
    event("abVersion"),
    _PROFILE_ID,
    Column(
        "subscription",
        AttributeType.STRING,
        Origin.EVENT,
        ("subscription",),
        "subscription",
        fallback=(Origin.CAMPAIGN, "subscription"),
    ),
    _EVENT_TIME,
    event("emailAddress", personal=True),
    _TECHNICAL_NAME,
    business_key,
)


def _email(
    meaning: str, feeds: tuple[EventType, ...], *more: Offer, rule: FactRule = _ALL
) -> Increment:
    return Increment(meaning, Kind.EMAIL_ACTIVITY, feeds, (*_EMAIL, *more), rule, with_profile=True)


_EMAIL_ACTIVITIES: Mapping[str, Increment] = {
    "SENT": _email("e-mails that were sent", (EventType.SENT,)),
    "NOT_SENT": _email(
        "e-mails that were not sent, filtered or in error",
        (EventType.NOT_SENT,),
        event("statusCategory"),
        event("status"),
    ),
    "OPENED": _email(
        "first openings, by images or by a click",
        (EventType.OPENED, EventType.CLICKED),
        rule=FactRule(first_of=FirstOf.INTERACTION),
    ),
    "CLICKED": _email(
        "first clicks on each link",
        (EventType.CLICKED,),
        event("clickedUrlName"),
        ruled("isFirstClick", AttributeType.BOOLEAN),
        event("clickedUrl"),
        rule=FactRule(first_of=FirstOf.LINK, reads=("clickedUrl",)),
    ),
    "BOUNCED": _email(
        "hard and soft bounces",
        (EventType.BOUNCED,),
        event("bounceStatusCategory"),
        event("bounceStatus"),
        rule=FactRule(
            filtered=lambda facts: facts["bounceStatusCategory"] == NEVER_BOUNCED,
            filtered_by="Activities: BOUNCED",
            reads=("bounceStatusCategory",),
        ),
    ),
    "UNSUBSCRIBED": _email(
        "unsubscribes from an e-mail",
        (EventType.UNSUBSCRIBED,),
        rule=FactRule(
            filtered=lambda facts: facts["source"].notin(CAMPAIGN_UNSUBSCRIBES),
            filtered_by="Activities: UNSUBSCRIBED",
            reads=("source",),
        ),
    ),
}

_SMS: tuple[Offer, ...] = (
    _INTERACTION_ID,
    _CAMPAIGN_ID,
    campaign("campaignName", "name"),
    event("gsmNumber", personal=True),
    _PROFILE_ID,
    _EVENT_TIME,
    business_key,
)
_SMS_ERROR = (event("errorStatusCategory"), event("errorStatus"))


def _sms(meaning: str, feed: EventType, *more: Offer, rule: FactRule = _ALL) -> Increment:
    return Increment(meaning, Kind.SMS_ACTIVITY, (feed,), (*_SMS, *more), rule, with_profile=True)


_SMS_ACTIVITIES: Mapping[str, Increment] = {
    "SENT": _sms("messages that were sent", EventType.SENT),
    "NOT_SENT": _sms(
        "messages that were not sent, filtered or in error", EventType.NOT_SENT, *_SMS_ERROR
    ),
    "DELIVERED": _sms("messages whose delivery was confirmed", EventType.DELIVERED),
    "CLICKED": _sms(
        "first clicks of each message",
        EventType.CLICKED,
        rule=FactRule(first_of=FirstOf.INTERACTION),
    ),
    "DELIVERY_FAILED": _sms(
        "messages that could not be delivered", EventType.DELIVERY_FAILED, *_SMS_ERROR
    ),
    "STOPPED": _sms("stops received in answer to a message", EventType.STOPPED),
}


def _file_activities(channel: Channel) -> Mapping[str, Increment]:
    """The three event types of a channel whose interactions go to a provider in a file."""

    def increment(
        meaning: str, feed: EventType, moment: Column, *more: Offer, until_downloaded: bool = False
    ) -> Increment:
        rule = FactRule(
            filtered=lambda facts: facts["channel"] != channel.value,
            filtered_by="Balance: filtered (channel)",
            reads=("channel",),
            until_downloaded=until_downloaded,
        )
        ids = (_CAMPAIGN_ID, _TECHNICAL_NAME, moment, _INTERACTION_ID, _PROFILE_ID, business_key)
        columns = (*ids, *more)
        return Increment(meaning, Kind.FILE_ACTIVITY, (feed,), columns, rule, with_profile=True)

    return {
        "READY": increment(
            "interactions ready to be downloaded",
            EventType.GENERATED,
            _EVENT_TIME,
            until_downloaded=True,
        ),
        "NOT_SENT": increment(
            "interactions that were filtered, never available for download",
            EventType.NOT_SENT,
            _EVENT_TIME,
        ),
        "DOWNLOADED": increment(
            "interactions that were downloaded, by hand or dropped on a server",
            EventType.DOWNLOADED,
            event("eventTime", _MOMENT, field="generatedAt"),
            event("depositDate", _MOMENT, field="occurredAt"),
        ),
    }


_ROW_MOMENTS = (row("creationMoment", _MOMENT), row("updateMoment", _MOMENT))
_ROWS_OF_PROFILES = _of_rows(
    Kind.ROW,
    (row("id", _INTEGER), row("profileId", _INTEGER), row_attributes, *_ROW_MOMENTS),
    with_profile=True,
)
_ROWS_OF_NOBODY = _of_rows(Kind.ROW, (row("id", _INTEGER), row_attributes, *_ROW_MOMENTS))


def _deletions(*columns: Offer) -> Mapping[str, Increment]:
    offered = (_EVENT_TIME, deleted_row_key, _ROW_ID, *columns)
    return {"DELETED": Increment("rows that were deleted", Kind.ROW, (EventType.DELETED,), offered)}


EXPORT_TYPES: Final[Mapping[str, ExportType]] = MappingProxyType(
    {
        declared.name: declared
        for declared in (
            ExportType("profile", Line.ROW, _PROFILES),
            ExportType("profile-changes", Line.CHANGE, _PROFILE_CHANGES),
            ExportType("email-activities", Line.ACTIVITY, _EMAIL_ACTIVITIES),
            ExportType("sms-activities", Line.ACTIVITY, _SMS_ACTIVITIES),
            ExportType("print-activities", Line.ACTIVITY, _file_activities(Channel.PRINT)),
            ExportType(
                "call-center-activities", Line.ACTIVITY, _file_activities(Channel.CALL_CENTER)
            ),
            ExportType(
                "custom-audience-activities",
                Line.ACTIVITY,
                _file_activities(Channel.CUSTOM_AUDIENCE),
            ),
            ExportType("linked-data", Line.ROW, _ROWS_OF_PROFILES, TableKind.LINKED_DATA),
            ExportType("interaction", Line.ROW, _ROWS_OF_PROFILES, TableKind.INTERACTION),
            ExportType("repository", Line.ROW, _ROWS_OF_NOBODY, TableKind.REPOSITORY),
            ExportType(
                "linked-data-changes",
                Line.CHANGE,
                _deletions(_PROFILE_ID, business_key),
                TableKind.LINKED_DATA,
            ),
            ExportType(
                "interaction-changes",
                Line.CHANGE,
                _deletions(_PROFILE_ID, business_key),
                TableKind.INTERACTION,
            ),
            ExportType("repository-changes", Line.CHANGE, _deletions(), TableKind.REPOSITORY),
        )
    }
)
"""All export types by name."""


def columns_on_offer(
    export_type: ExportType, increment: Increment, subject: Subject
) -> tuple[Column, ...]:
    """The columns that an export on `subject` may have, in default order; names are unique."""
    offers = [*increment.columns]
    if export_type.line is not Line.ROW:
        offers.append(EVENT_ID)
    if increment.with_profile:
        offers.append(profile_columns)
    return tuple(
        column
        for offer in offers
        for column in ((offer,) if isinstance(offer, Column) else offer(subject))
    )
