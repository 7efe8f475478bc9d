"""The 13 export types (SPEC §2): which events feed them and which columns they have."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class EventType:
    """One event type of an export. `inputs`: the event types that feed it; `columns`: its own, in
    the order of SPEC; `kind`: of the events, where that differs within the export type.
    """

    inputs: tuple[str, ...]
    columns: tuple[str, ...] = ()
    kind: str = ""
    with_profile: bool = True
    has_source_filter: bool = False


@dataclass(frozen=True)
class ExportType:
    """One export type. `of`: what a line is (a row, a change, an activity); `table`: the kind of
    custom table that it is about.
    """

    of: str
    kind: str
    events: Mapping[str, EventType] = field(default_factory=dict)
    table: str | None = None
    channel: str | None = None


ROW, CHANGE, ACTIVITY = "row", "change", "activity"


def _columns(names: str, *more: str) -> tuple[str, ...]:
    return (*names.split(), *more)


EMAIL = _columns(
    "interactionId campaignId abVersion profileId subscription eventTime emailAddress "
    "campaignTechnicalName businessKey"
)
SMS = _columns("interactionId campaignId campaignName gsmNumber profileId eventTime businessKey")
FAILED_SMS = (*SMS, "errorStatusCategory", "errorStatus")
FILE = _columns("campaignId campaignTechnicalName eventTime interactionId profileId businessKey")
COLLECTION = "collectionMoment eventTime collectionWay businessKey"


def _of_rows(with_profile: bool) -> dict[str, EventType]:
    changes = EventType(("CREATED", "UPDATED", "DELETED"), with_profile=with_profile)
    return dict.fromkeys(("CREATION", "UPDATE", "CREATION_OR_UPDATE"), changes)


def _of_deletions(columns: str) -> dict[str, EventType]:
    return {"DELETED": EventType(("DELETED",), _columns(columns), with_profile=False)}


def _of_files(channel: str) -> ExportType:
    events = {
        "READY": EventType(("GENERATED",), FILE),
        "NOT_SENT": EventType(("NOT_SENT",), FILE),
        "DOWNLOADED": EventType(("DOWNLOADED",), (*FILE, "depositDate")),
    }
    return ExportType(ACTIVITY, "file-activity", events, channel=channel)


PROFILE_CHANGES = {
    "DELETED": EventType(
        ("DELETED",),
        _columns(
            "dataCollectionMoment profileId dataCollectionWay eventTime dataCollectionSource "
            "businessKey"
        ),
        kind="profile",
        with_profile=False,
        has_source_filter=True,
    ),
    "SEGMENT_TRANSITION": EventType(
        ("CHANGED",),
        _columns("newValue profileId segment eventTime previousValue businessKey"),
        kind="segment-transition",
    ),
    "SUBSCRIPTION_UPDATE": EventType(
        ("CHANGED",),
        _columns(
            "collectionSource type profileId collectionMoment subscription eventTime "
            "collectionWay businessKey"
        ),
        kind="subscription-update",
        has_source_filter=True,
    ),
    "MARKETING_CONSENT_CHANGE": EventType(
        ("CHANGED",),
        _columns(
            "collectionSource profileId collectionMoment eventTime collectionWay businessKey "
            "consentValue"
        ),
        kind="marketing-consent",
    ),
}

EMAIL_ACTIVITIES = {
    "SENT": EventType(("SENT",), EMAIL),
    "NOT_SENT": EventType(("NOT_SENT",), (*EMAIL, "statusCategory", "status")),
    "OPENED": EventType(("OPENED", "CLICKED"), EMAIL),
    "CLICKED": EventType(("CLICKED",), (*EMAIL, "clickedUrlName", "isFirstClick", "clickedUrl")),
    "BOUNCED": EventType(("BOUNCED",), (*EMAIL, "bounceStatusCategory", "bounceStatus")),
    "UNSUBSCRIBED": EventType(("UNSUBSCRIBED",), EMAIL),
}

SMS_ACTIVITIES = {
    "SENT": EventType(("SENT",), SMS),
    "DELIVERED": EventType(("DELIVERED",), SMS),
    "CLICKED": EventType(("CLICKED",), SMS),
    "STOPPED": EventType(("STOPPED",), SMS),
    "NOT_SENT": EventType(("NOT_SENT",), FAILED_SMS),
    "DELIVERY_FAILED": EventType(("DELIVERY_FAILED",), FAILED_SMS),
}

DELETED_ROW = "eventTime rowBusinessKey id profileId businessKey"

TYPES: Mapping[str, ExportType] = {
    "profile": ExportType(ROW, "profile", _of_rows(with_profile=False)),
    "profile-changes": ExportType(CHANGE, "", PROFILE_CHANGES),
    "email-activities": ExportType(ACTIVITY, "email-activity", EMAIL_ACTIVITIES),
    "sms-activities": ExportType(ACTIVITY, "sms-activity", SMS_ACTIVITIES),
    "print-activities": _of_files("PRINT"),
    "call-center-activities": _of_files("CALL_CENTER"),
    "custom-audience-activities": _of_files("CUSTOM_AUDIENCE"),
    "linked-data": ExportType(ROW, "row", _of_rows(with_profile=True), "linked-data"),
    "interaction": ExportType(ROW, "row", _of_rows(with_profile=True), "interaction"),
    "repository": ExportType(ROW, "row", _of_rows(with_profile=False), "repository"),
    "linked-data-changes": ExportType(CHANGE, "row", _of_deletions(DELETED_ROW), "linked-data"),
    "interaction-changes": ExportType(CHANGE, "row", _of_deletions(DELETED_ROW), "interaction"),
    "repository-changes": ExportType(
        CHANGE, "row", _of_deletions("eventTime rowBusinessKey id"), "repository"
    ),
}
"""All export types by name. "businessKey" and "rowBusinessKey" are there only where the database,
or the table, has such a key.
"""
