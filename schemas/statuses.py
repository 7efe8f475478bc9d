"""The closed lists of statuses (SPEC §2, below the table); a value outside them breaks the
contract.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from schemas.events import EventType, Kind

__all__ = ["STATUS_RULES", "StatusRule"]


@dataclass(frozen=True, slots=True)
class StatusRule:
    """A closed list: the statuses of each category (None: any status, or no status)."""

    kind: Kind
    event_type: EventType
    category_field: str
    status_field: str
    statuses: Mapping[str, tuple[str, ...] | None]


_EMAIL_NOT_SENT = {
    "IN_ERROR": (
        "EMAIL_SENDING_ERROR",
        "EMAIL_GENERATION_ERROR",
        "EMAIL_PARAMETER_ERROR",
        "RECIPIENT_NOT_IN_TARGET_GROUP_TABLE",
        "RECIPIENT_NOT_IN_TARGET_GROUP",
        "VARIABLE_VALUE_ERROR",
        "NO_FILTER_LIMIT_REACHED",
        "INVALID_TARGET_GROUP",
        "OTHER_ERROR",
    ),
    "FILTERED": (
        "NO_EMAIL_ADDRESS",
        "INVALID_EMAIL_ADDRESS",
        "DUPLICATE_EMAIL_ADDRESS",
        "BLACKLISTED_BY_RECIPIENT",
        "CATCH_ALL_DOMAIN",
        "COMMERCIAL_PRESSURE",
        "QUARANTINE_TEMPORARY",
        "QUARANTINE_PERMANENT",
        "EMAIL_SIZE_TOO_HEAVY",
        "CONTROL_SAMPLE",
    ),
}
_EMAIL_BOUNCED: Mapping[str, tuple[str, ...] | None] = {
    "HARD_BOUNCE": ("UNKNOWN_DOMAIN", "UNKNOWN_USER", "OTHER_HARD_BOUNCE"),
    "SOFT_BOUNCE": ("QUOTA_EXCEEDED", "OTHER_SOFT_BOUNCE"),
    "TECHNICAL": None,
}
_SMS_NOT_SENT = {
    "IN_ERROR": (
        "ERROR_GENERATING_MESSAGE",
        "UNRESOLVED_VARIABLE",
        "NO_MESSAGE",
        "INVALID_MESSAGE_LENGTH",
        "ERROR_CONTACTING_PROVIDER",
        "RECIPIENT_NOT_IN_TARGET_GROUP",
        "NO_ACCOUNT",
        "NOT_ENOUGH_MONEY",
        "MISSING_PHONE_NUMBER",
        "BAD_FORMAT_PHONE_NUMBER",
    ),
    "FILTERED": ("QUARANTINE", "COMMERCIAL_PRESSURE", "CONTROL_SAMPLE"),
}
_SMS_DELIVERY_FAILED = {
    "DELIVERY_FAILED": (
        "UNKNOWN_PHONE_NUMBER",
        "EXPIRED",
        "DEVICE_TURNED_OFF",
        "OTHER_PROVIDER_ERROR",
    ),
}

STATUS_RULES = (
    StatusRule(
        Kind.EMAIL_ACTIVITY,
        EventType.NOT_SENT,
        "statusCategory",
        "status",
        _EMAIL_NOT_SENT,
    ),
    StatusRule(
        Kind.EMAIL_ACTIVITY,
        EventType.BOUNCED,
        "bounceStatusCategory",
        "bounceStatus",
        _EMAIL_BOUNCED,
    ),
    StatusRule(
        Kind.SMS_ACTIVITY,
        EventType.NOT_SENT,
        "errorStatusCategory",
        "errorStatus",
        _SMS_NOT_SENT,
    ),
    StatusRule(
        Kind.SMS_ACTIVITY,
        EventType.DELIVERY_FAILED,
        "errorStatusCategory",
        "errorStatus",
        _SMS_DELIVERY_FAILED,
    ),
)
"""All closed lists of statuses (SPEC §2)."""
