"""What an event must be beyond its schema: the table of SPEC §8, the closed lists of §2, the
campaigns of §3. A breach is a poison event (§6).
"""

from collections.abc import Mapping
from typing import Any

from tests.model.history import Event

HEADER = ("kind", "eventId", "eventType", "database", "source", "occurredAt")

_STATE = "attributes subscriptions? segments? marketingConsent?"
_COLLECTED = "collectionMoment? collectionWay? collectionSource?"
_INTERACTION = "interactionId campaignId profileId"
_EMAIL = f"{_INTERACTION} emailAddress? abVersion? subscription?"
_SMS = f"{_INTERACTION} gsmNumber?"
_FAILED_SMS = f"{_SMS} errorStatusCategory errorStatus"
_CAMPAIGN = (
    "campaignId name technicalName channel campaignKind state sentAt? finishedAt? engine"
    " subscription?"
)
_LOADED = "creationMoment? updateMoment?"

KEYS: Mapping[str, Mapping[str, str]] = {
    "profile": {
        "CREATED": f"profileId {_STATE}",
        "UPDATED": f"profileId {_STATE}",
        "SNAPSHOT": f"profileId {_STATE} {_LOADED}",
        "DELETED": "profileId businessKey? dataCollectionMoment? dataCollectionWay?"
        " dataCollectionSource?",
    },
    "subscription-update": {"CHANGED": f"profileId subscription type {_COLLECTED}"},
    "segment-transition": {"CHANGED": "profileId segment previousValue? newValue?"},
    "marketing-consent": {"CHANGED": f"profileId consentValue {_COLLECTED}"},
    "email-activity": {
        "SENT": _EMAIL,
        "NOT_SENT": f"{_EMAIL} statusCategory status",
        "OPENED": _EMAIL,
        "CLICKED": f"{_EMAIL} clickedUrl clickedUrlName?",
        "BOUNCED": f"{_EMAIL} bounceStatusCategory bounceStatus?",
        "UNSUBSCRIBED": _EMAIL,
    },
    "sms-activity": {
        "SENT": _SMS,
        "NOT_SENT": _FAILED_SMS,
        "DELIVERED": _SMS,
        "CLICKED": _SMS,
        "DELIVERY_FAILED": _FAILED_SMS,
        "STOPPED": _SMS,
    },
    "file-activity": {
        "GENERATED": f"channel {_INTERACTION}",
        "NOT_SENT": f"channel {_INTERACTION}",
        "DOWNLOADED": f"channel {_INTERACTION} generatedAt",
    },
    "row": {
        "CREATED": "table id profileId? attributes",
        "UPDATED": "table id profileId? attributes",
        "SNAPSHOT": f"table id profileId? attributes {_LOADED}",
        "DELETED": "table id profileId? businessKey?",
    },
    "campaign": {"CREATED": _CAMPAIGN, "UPDATED": _CAMPAIGN},
}
"""By kind and event type the keys beside the header; `?`: optional."""

_NOT_SENT = {
    "IN_ERROR": "EMAIL_SENDING_ERROR EMAIL_GENERATION_ERROR EMAIL_PARAMETER_ERROR"
    " RECIPIENT_NOT_IN_TARGET_GROUP_TABLE RECIPIENT_NOT_IN_TARGET_GROUP VARIABLE_VALUE_ERROR"
    " NO_FILTER_LIMIT_REACHED INVALID_TARGET_GROUP OTHER_ERROR",
    "FILTERED": "NO_EMAIL_ADDRESS INVALID_EMAIL_ADDRESS DUPLICATE_EMAIL_ADDRESS"
    " BLACKLISTED_BY_RECIPIENT CATCH_ALL_DOMAIN COMMERCIAL_PRESSURE QUARANTINE_TEMPORARY"
    " QUARANTINE_PERMANENT EMAIL_SIZE_TOO_HEAVY CONTROL_SAMPLE",
}
_BOUNCED = {
    "HARD_BOUNCE": "UNKNOWN_DOMAIN UNKNOWN_USER OTHER_HARD_BOUNCE",
    "SOFT_BOUNCE": "QUOTA_EXCEEDED OTHER_SOFT_BOUNCE",
    "TECHNICAL": None,
}
_SMS_NOT_SENT = {
    "IN_ERROR": "ERROR_GENERATING_MESSAGE UNRESOLVED_VARIABLE NO_MESSAGE INVALID_MESSAGE_LENGTH"
    " ERROR_CONTACTING_PROVIDER RECIPIENT_NOT_IN_TARGET_GROUP NO_ACCOUNT NOT_ENOUGH_MONEY"
    " MISSING_PHONE_NUMBER BAD_FORMAT_PHONE_NUMBER",
    "FILTERED": "QUARANTINE COMMERCIAL_PRESSURE CONTROL_SAMPLE",
}
_FAILED = {"DELIVERY_FAILED": "UNKNOWN_PHONE_NUMBER EXPIRED DEVICE_TURNED_OFF OTHER_PROVIDER_ERROR"}

STATUSES: Mapping[tuple[str, str], tuple[str, str, Mapping[str, str | None]]] = {
    ("email-activity", "NOT_SENT"): ("statusCategory", "status", _NOT_SENT),
    ("email-activity", "BOUNCED"): ("bounceStatusCategory", "bounceStatus", _BOUNCED),
    ("sms-activity", "NOT_SENT"): ("errorStatusCategory", "errorStatus", _SMS_NOT_SENT),
    ("sms-activity", "DELIVERY_FAILED"): ("errorStatusCategory", "errorStatus", _FAILED),
}
"""The closed lists (SPEC §2): the fields of category and status, and the statuses of each category
(None: any).
"""

CHANNELS_OF_KIND = {"TRANSACTIONAL": ("EMAIL", "SMS"), "AB_TEST": ("EMAIL",)}


def contracted(topic: str, event: Event, declared: Mapping[str, Any]) -> Event | None:
    """The event with the keys of its type only; None where it breaks the contract.

    topic: its name without the prefix. declared: the definition of the topic's database, as its
    file has it.
    """
    parts = topic.split(".")
    if parts[0] != "campaign" and event["database"] != parts[0]:
        return None
    if parts[1:2] == ["row"] and event["table"] != parts[2]:
        return None
    kind, event_type = event["kind"], event["eventType"]
    keys = KEYS[kind][event_type].split()
    if any(event.get(key) is None for key in keys if not key.endswith("?") and key in event):
        return None
    if event_type == "DELETED" and event.get("attributes") is not None:
        return None
    if not _statuses_are_right(event) or not _names_are_declared(event, declared):
        return None
    if kind == "campaign" and not _campaign_exists(event):
        return None
    own = {*HEADER, *(key.removesuffix("?") for key in keys)}
    return {key: value if key in own else None for key, value in event.items()}


def _statuses_are_right(event: Event) -> bool:
    rule = STATUSES.get((event["kind"], event["eventType"]))
    if rule is None:
        return True
    category, status, lists = event[rule[0]], event[rule[1]], rule[2]
    if category not in lists:
        return False
    allowed = lists[category]
    return allowed is None or status in allowed.split()


def _names_are_declared(event: Event, declared: Mapping[str, Any]) -> bool:
    subscriptions = declared.get("subscriptions", ())
    segments = {one["name"]: one.get("segments") for one in declared.get("segmentations", ())}
    match event["kind"]:
        case "profile":
            own = event.get("segments") or {}
            return all(one in subscriptions for one in event.get("subscriptions") or ()) and all(
                segments[name] is None or value is None or value in segments[name]
                for name, value in own.items()
            )
        case "subscription-update":
            return event["subscription"] in subscriptions
        case "segment-transition":
            if event["segment"] not in segments:
                return False
            allowed = segments[event["segment"]] or ("true", "false")
            sides = (event.get("previousValue"), event.get("newValue"))
            return all(side is None or side in allowed for side in sides)
    return True


def _campaign_exists(event: Event) -> bool:
    channels = CHANNELS_OF_KIND.get(event["campaignKind"])
    if channels is not None and event["channel"] not in channels:
        return False
    return event["state"] != "FINISHED" or event.get("finishedAt") is not None
