"""The export types, their event types and columns, declared on this one page (SPEC §2).

Definitions, their refusals, documentation and tests read these declarations; a new type is added
here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from schemas.events import EventType, Kind
from schemas.tables import AttributeType, TableKind
from sinks.columns import (
    EVENT_ID,
    Column,
    Offer,
    Origin,
    Subject,
    attributes,
    business_key,
    campaign,
    event,
    marketing_consent,
    profile,
    ruled,
    segmentations,
    subscriptions,
)

__all__ = ["EXPORT_TYPES", "ExportType", "Increment", "Line", "columns_on_offer"]


class Line(StrEnum):
    """What one line of an export stands for."""

    ROW = "row"
    """A row that is there at the cut, with its values as of then; lines come by id."""
    CHANGE = "change"
    """An event on a profile or a row; lines come by partition and offset."""
    ACTIVITY = "activity"
    """An event on an interaction of an active campaign; lines come by partition and offset."""


@dataclass(frozen=True, slots=True)
class Increment:
    """One event type of an export: what makes a line of it.

    feeds: the event types of the kind that are the input of its drops.
    meaning: a sentence for documentation and summaries.
    """

    meaning: str
    feeds: tuple[EventType, ...]
    columns: tuple[Offer, ...]
    source_filter: bool = False


@dataclass(frozen=True, slots=True)
class ExportType:
    """One export type: the kind of event it is made from, and its event types by name."""

    name: str
    line: Line
    kind: Kind
    increments: Mapping[str, Increment]
    table: TableKind | None = None


_PROFILE: tuple[Offer, ...] = (
    profile("profileId", AttributeType.INTEGER),
    attributes,
    subscriptions,
    segmentations,
    marketing_consent,
    profile("creationMoment", AttributeType.MOMENT),
    profile("updateMoment", AttributeType.MOMENT),
)
_EMAIL: tuple[Offer, ...] = (
    event("interactionId", AttributeType.INTEGER),
    event("campaignId", AttributeType.INTEGER),
    event("abVersion"),
    event("profileId", AttributeType.INTEGER),
    Column(
        "subscription",
        AttributeType.STRING,
        Origin.EVENT,
        ("subscription",),
        "subscription",
        fallback=(Origin.CAMPAIGN, "subscription"),
    ),
    event("eventTime", AttributeType.MOMENT, field="occurredAt"),
    event("emailAddress", personal=True),
    campaign("campaignTechnicalName", "technicalName"),
    business_key,
)
_CLICK: tuple[Offer, ...] = (
    event("clickedUrlName"),
    ruled("isFirstClick", AttributeType.BOOLEAN),
    event("clickedUrl"),
)


def _of_rows(columns: tuple[Offer, ...]) -> Mapping[str, Increment]:
    """The three increments of whole rows: input is every change of a row, what counts is the
    rule's business.
    """
    changes = (EventType.CREATED, EventType.UPDATED, EventType.DELETED)
    return {
        "CREATION": Increment("created since the previous close", changes, columns),
        "UPDATE": Increment(
            "updated since the previous close, other than by their creation", changes, columns
        ),
        "CREATION_OR_UPDATE": Increment(
            "created or updated since the previous close", changes, columns
        ),
    }


_EMAIL_ACTIVITIES: Mapping[str, Increment] = {
    "SENT": Increment("e-mails that were sent", (EventType.SENT,), _EMAIL),
    "NOT_SENT": Increment(
        "e-mails that were not sent, filtered or in error",
        (EventType.NOT_SENT,),
        (*_EMAIL, event("statusCategory"), event("status")),
    ),
    "OPENED": Increment(
        "first openings, by images or by a click", (EventType.OPENED, EventType.CLICKED), _EMAIL
    ),
    "CLICKED": Increment("first clicks on each link", (EventType.CLICKED,), (*_EMAIL, *_CLICK)),
    "BOUNCED": Increment(
        "hard and soft bounces",
        (EventType.BOUNCED,),
        (*_EMAIL, event("bounceStatusCategory"), event("bounceStatus")),
    ),
    "UNSUBSCRIBED": Increment("unsubscribes from an e-mail", (EventType.UNSUBSCRIBED,), _EMAIL),
}

EXPORT_TYPES: Final[Mapping[str, ExportType]] = MappingProxyType(
    {
        declared.name: declared
        for declared in (
            ExportType("profile", Line.ROW, Kind.PROFILE, _of_rows(_PROFILE)),
            ExportType("email-activities", Line.ACTIVITY, Kind.EMAIL_ACTIVITY, _EMAIL_ACTIVITIES),
        )
    }
)
"""All export types by name."""


def columns_on_offer(
    export_type: ExportType, increment: Increment, subject: Subject
) -> tuple[Column, ...]:
    """The columns that an export on `subject` may have, in their default order, each name once."""
    offers = increment.columns if export_type.line is Line.ROW else (*increment.columns, EVENT_ID)
    return tuple(
        column
        for offer in offers
        for column in ((offer,) if isinstance(offer, Column) else offer(subject))
    )
