"""What stands in each column, and how it is written (SPEC §2, §4, §7)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Context, Decimal
from typing import Any

from tests.model.exports import Export
from tests.model.history import EPOCH, Event, Recorded, milliseconds
from tests.model.rows import Row

Value = tuple[str, Any]
"""The type of a value (an attribute type of SPEC §1) and the value, None if it is empty."""

ANY_SCALE = Context(prec=76)


@dataclass(frozen=True)
class Line:
    """What one line is made from: the fact, and what was known beside it at the cut.

    `profile` is None if the profile was never heard of or is gone; `gone` tells which.
    """

    fact: Recorded
    profile: Row | None
    gone: bool = False
    campaign: Event | None = None
    is_first_click: bool = False


def line_of(export: Export, line: Line) -> list[str | None]:
    """The line's values in the order of the export's columns, as text before quoting; None is
    empty.
    """
    read = profile_value if export.is_of_rows else activity_value
    return [written(export, *read(export, line, column)) for column in export.chosen_columns]


def activity_value(export: Export, line: Line, column: str) -> Value:
    event = line.fact.body
    if column.startswith("profile-"):
        return profile_value(export, line, column.removeprefix("profile-"))
    if export.database.business_key and column in ("businessKey", export.database.business_key):
        return profile_value(export, line, export.database.business_key)
    if column in ("interactionId", "campaignId", "profileId"):
        return "integer", event[column]
    if column == "eventTime":
        return "moment", line.fact.occurred_at
    if column == "emailAddress":
        return "string", None if line.gone else event.get("emailAddress")
    if column == "campaignTechnicalName":
        return "string", line.campaign["technicalName"] if line.campaign else None
    if column == "subscription":
        of_campaign = line.campaign.get("subscription") if line.campaign else None
        own = event.get("subscription")
        return "string", of_campaign if own is None else own
    if column == "isFirstClick":
        return "boolean", line.is_first_click
    return "string", event.get(column)


def profile_value(export: Export, line: Line, column: str) -> Value:
    """A column of the profile as of the cut: empty if the profile is gone or was never heard of."""
    if line.profile is None:
        return "string", None
    values, database = line.profile.values, export.database
    if column == "profileId":
        return "integer", values["profileId"]
    if column == "creationMoment":
        return "moment", line.profile.creation_moment
    if column == "updateMoment":
        return "moment", line.profile.update_moment
    if column == "marketingConsent":
        return "boolean", values.get("marketingConsent")
    subscribed = values.get("subscriptions") or []
    if column == "subscriptions":
        return "strings", sorted(subscribed)
    if column.startswith("subscription-"):
        return "boolean", column.removeprefix("subscription-") in subscribed
    if column.startswith("segment-"):
        name = column.removeprefix("segment-")
        kind = "boolean" if database.segmentations[name] == "simple" else "string"
        return kind, (values.get("segments") or {}).get(name)
    attribute = database.attributes[column]
    value = (values.get("attributes") or {}).get(column)
    return attribute.type, exact(value, attribute.scale) if attribute.type == "decimal" else value


def written(export: Export, kind: str, value: Any) -> str | None:
    """A value as the file shows it, before quoting. A list without values is empty, too."""
    formats = export.formats
    if value is None or value == []:
        return None
    match kind:
        case "boolean":
            return formats.yes if value else formats.no
        case "strings":
            return formats.between_values.join(value)
        case "date":
            return in_pattern(formats.date, date.fromisoformat(value))
        case "moment":
            since = milliseconds(value) if isinstance(value, str) else value
            return in_pattern(
                formats.moment,
                (EPOCH + timedelta(milliseconds=since)).astimezone(export.time_zone),
            )
        case "decimal":
            return format(value, "f")
        case _:
            return str(value)


def exact(value: Any, scale: int) -> Decimal | None:
    """A decimal with as many places as its attribute declares; zero has no sign."""
    if value is None:
        return None
    return ANY_SCALE.plus(
        Decimal(str(value)).quantize(Decimal(1).scaleb(-scale), context=ANY_SCALE)
    )


def in_pattern(pattern: str, moment: date | datetime) -> str:
    """Fill a pattern of SPEC §4; years have four digits."""
    if pattern == "ISO 8601" and isinstance(moment, datetime):
        return moment.isoformat(timespec="milliseconds")
    parts: Mapping[str, str] = {
        "yyyy": f"{moment.year:04}",
        "MM": f"{moment.month:02}",
        "dd": f"{moment.day:02}",
    }
    if isinstance(moment, datetime):
        parts = {
            **parts,
            "HH": f"{moment.hour:02}",
            "mm": f"{moment.minute:02}",
            "SSS": f"{moment.microsecond // 1000:03}",
            "ss": f"{moment.second:02}",
        }
    for letters, digits in parts.items():
        pattern = pattern.replace(letters, digits)
    return pattern


def csv_text(header: Iterable[str], lines: Iterable[Iterable[str | None]], separator: str) -> str:
    """The whole file: RFC 4180 with LF; quotes only where they are needed, and around the empty
    string.
    """
    everything = [list(header), *lines]
    return "".join(
        separator.join(quoted(value, separator) for value in line) + "\n" for line in everything
    )


def quoted(value: str | None, separator: str) -> str:
    if value is None:
        return ""
    if value == "" or any(character in value for character in (separator, '"', "\n", "\r")):
        return '"' + value.replace('"', '""') + '"'
    return value
