"""What stands in each column, and how it is written (SPEC §2, §4, §7)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Context, Decimal
from typing import Any

from tests.model.exports import Export
from tests.model.history import EPOCH, Event, Recorded, milliseconds
from tests.model.people import NOBODY, Person
from tests.model.rows import Row
from tests.model.tables import Attribute, Database, Table

Value = tuple[str, Any]
"""The type of a value (an attribute type of SPEC §1) and the value, None if it is empty."""

EMPTY: Value = ("string", None)

ANY_SCALE = Context(prec=76)


@dataclass(frozen=True)
class Line:
    """What one line is made from: the fact, and what was known beside it at the cut.

    row: the line's own row in exports of rows; person: whom it is about, elsewhere.
    """

    fact: Recorded
    row: Row | None = None
    person: Person = NOBODY
    campaign: Event | None = None
    is_first_click: bool = False


def line_of(export: Export, line: Line) -> list[str | None]:
    """The line's values in the order of the export's columns, as text before quoting; None is
    empty.
    """
    return [
        escaped(export, column, written(export, *value_of(export, line, column)))
        for column in export.chosen_columns
    ]


FORMULA = ("=", "+", "-", "@", "\t", "\r")


def escaped(export: Export, column: str, text: str | None) -> str | None:
    """A text attribute that a spreadsheet would compute gets an apostrophe, if the export escapes
    formulas; a phone number doesn't.
    """
    attribute = attribute_of(export, column)
    if text is None or not export.formats.escapes_formulas or attribute is None:
        return text
    if attribute.type not in ("string", "strings") or not text.lstrip("'").startswith(FORMULA):
        return text
    is_phone = text[0] == "+" and text[1:2].isdigit() and set(text[1:]) <= set("0123456789 ()./-")
    return text if is_phone else f"'{text}"


def attribute_of(export: Export, column: str) -> Attribute | None:
    """The attribute that a column is of; None for technical columns."""
    database, table = export.database, export.table
    if database.business_key and column in ("businessKey", database.business_key):
        return database.attributes[database.business_key]
    if export.type == "profile" or column.startswith("profile-"):
        return database.attributes.get(column.removeprefix("profile-"))
    if table is None:
        return None
    if export.event_type == "DELETED":
        is_key = table.key and column in ("rowBusinessKey", table.key)
        return table.attributes[table.key] if is_key else None
    return table.attributes.get(column)


def value_of(export: Export, line: Line, column: str) -> Value:
    if export.type == "profile":
        return profile_value(export.database, line.row, column)
    if column.startswith("profile-"):
        of_profile = column.removeprefix("profile-")
        return profile_value(export.database, line.person.profile, of_profile)
    if line.row is not None and export.table is not None:
        return row_value(export.table, line.row, line.person.gone, column)
    if export.event_type == "DELETED":
        return deletion_value(export, line, column)
    return event_value(export, line, column)


def profile_value(database: Database, profile: Row | None, column: str) -> Value:
    """A column of the profile as of the cut: empty if the profile is gone or was never heard of."""
    if profile is None:
        return EMPTY
    values = profile.values
    if column == "profileId":
        return "integer", values["profileId"]
    if column in ("creationMoment", "updateMoment"):
        return technical_moment(profile, column)
    if column == "marketingConsent":
        return "boolean", values.get("marketingConsent")
    subscribed = values.get("subscriptions") or []
    if column == "subscriptions":
        return "strings", sorted(set(subscribed))
    if column.startswith("subscription-"):
        return "boolean", column.removeprefix("subscription-") in subscribed
    if column.startswith("segment-"):
        name = column.removeprefix("segment-")
        kind = "boolean" if database.segmentations[name] == "simple" else "string"
        return kind, (values.get("segments") or {}).get(name)
    return attribute_value(database.attributes[column], values)


def row_value(table: Table, row: Row, gone: bool, column: str) -> Value:
    """A column of a custom table's row as of the cut: what is personal is empty if its person is
    gone.
    """
    if column == "id" or (column == "profileId" and table.kind != "repository"):
        return "integer", row.values.get(column)
    if column in ("creationMoment", "updateMoment"):
        return technical_moment(row, column)
    attribute = table.attributes[column]
    return EMPTY if gone and attribute.personal else attribute_value(attribute, row.values)


def technical_moment(row: Row, column: str) -> Value:
    return "moment", row.creation_moment if column == "creationMoment" else row.update_moment


def attribute_value(attribute: Attribute, values: Event) -> Value:
    value = (values.get("attributes") or {}).get(attribute.name)
    return attribute.type, exact(value, attribute.scale) if attribute.type == "decimal" else value


def deletion_value(export: Export, line: Line, column: str) -> Value:
    """A column of a deletion: what the event carries of what was deleted, but no personal key.
    Beside a deleted row the profile's key is the profile's own.
    """
    event, database, table = line.fact.body, export.database, export.table
    if table is not None and column in ("rowBusinessKey", table.key):
        return "string", None if table.has_personal_key else event.get("businessKey")
    if table is None and column in ("businessKey", database.business_key):
        return "string", None if database.has_personal_key else event.get("businessKey")
    return event_value(export, line, column)


def event_value(export: Export, line: Line, column: str) -> Value:
    """A column of an event: its own, but for what is told of its campaign and of its profile."""
    event, key = line.fact.body, export.database.business_key
    if key and column in ("businessKey", key):
        return profile_value(export.database, line.person.profile, key)
    if column == "eventTime":
        generated = export.event_type == "DOWNLOADED"
        return "moment", event["generatedAt"] if generated else line.fact.occurred_at
    if column == "depositDate":
        return "moment", line.fact.occurred_at
    if column in ("collectionMoment", "dataCollectionMoment"):
        return "moment", event.get(column)
    if column in ("emailAddress", "gsmNumber"):
        return "string", None if line.person.gone else event.get(column)
    if column == "isFirstClick":
        return "boolean", line.is_first_click
    if column == "consentValue":
        return "boolean", event[column]
    if line.campaign is not None and column in ("campaignName", "campaignTechnicalName"):
        name = "name" if column == "campaignName" else "technicalName"
        return "string", line.campaign[name]
    if line.campaign is not None and column == "subscription":
        own = event.get("subscription")
        return "string", line.campaign.get("subscription") if own is None else own
    return "string", event.get(column)


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
