"""Columns that an export can have: the origin of each value, and the columns of a database.

The 13 export types (`types`) are made of the columns that are defined here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from schemas.tables import (
    AttributeDefinition,
    AttributeType,
    DatabaseDefinition,
    SegmentationKind,
    TableDefinition,
)

__all__ = [
    "EVENT_ID",
    "WHY_MISSING",
    "Column",
    "HeadedColumn",
    "Offer",
    "Origin",
    "Subject",
    "attributes",
    "business_key",
    "campaign",
    "deleted_business_key",
    "deleted_row_key",
    "event",
    "marketing_consent",
    "profile",
    "profile_columns",
    "row",
    "row_attributes",
    "ruled",
    "segmentations",
    "subscriptions",
]


class Origin(StrEnum):
    """The origin of a column's value."""

    EVENT = "event"
    """The exported event itself, without any lookup."""
    CAMPAIGN = "campaign"
    """The event's campaign, as of the cut."""
    PROFILE = "profile"
    """The profile (the event's, or the row's own in a profile export), as of the cut."""
    ROW = "row"
    """The row of a custom table, as of the cut."""
    RULE = "rule"
    """The rule that selects the lines."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column that an export can choose.

    name: unique among an export's columns; the column's name in definitions and in the data to be
    rendered. path: the way to the value in its origin: a field, or a field and the name of a
    member. fallback: a second origin, used if the first has no value. header: the file's header,
    unless the export renames it; definitions may also use it as a name for the column, if no other
    column has it. chosen: whether an export that doesn't list its columns has this one. withheld:
    whether it is always empty, as the personal key of a deleted person or row.
    """

    name: str
    type: AttributeType
    origin: Origin
    path: tuple[str, ...]
    header: str
    fallback: tuple[Origin, str] | None = None
    personal: bool = False
    precision: int | None = None
    scale: int | None = None
    chosen: bool = True
    withheld: bool = False

    @property
    def empty_when_gone(self) -> bool:
        """Whether this column is empty in an exported fact of a person who is gone (SPEC §3)."""
        return self.personal or self.origin is Origin.PROFILE

    @property
    def is_text_attribute(self) -> bool:
        """Whether its values are those of an attribute of text, a business key included."""
        is_attribute = self.path[0] in ("attributes", "businessKey")
        return is_attribute and self.type in (AttributeType.STRING, AttributeType.STRINGS)


@dataclass(frozen=True, slots=True)
class HeadedColumn:
    """A column of an export with the header it has in the file."""

    column: Column
    header: str


@dataclass(frozen=True, slots=True)
class Subject:
    """What an export is about: a database and, in some exports, one of its custom tables."""

    database: DatabaseDefinition
    table: TableDefinition | None = None


Offer = Column | Callable[[Subject], tuple[Column, ...]]
"""A column that every subject has, or a function that returns the columns of a subject."""


def event(
    name: str,
    type_: AttributeType = AttributeType.STRING,
    *,
    field: str = "",
    personal: bool = False,
) -> Column:
    """Return a column for a field of the event. field: by default the column's name."""
    return Column(name, type_, Origin.EVENT, (field or name,), name, personal=personal)


def campaign(name: str, field: str) -> Column:
    """Return a column for a text of the event's campaign."""
    return Column(name, AttributeType.STRING, Origin.CAMPAIGN, (field,), name)


def ruled(name: str, type_: AttributeType) -> Column:
    """Return a column for a value that the export's rule computes."""
    return Column(name, type_, Origin.RULE, (name,), name)


def profile(name: str, type_: AttributeType) -> Column:
    """Return a column for a technical field of the profile."""
    return Column(name, type_, Origin.PROFILE, (name,), name)


def row(name: str, type_: AttributeType) -> Column:
    """Return a column for a technical field of the custom table's row."""
    return Column(name, type_, Origin.ROW, (name,), name)


EVENT_ID = replace(event("eventId"), chosen=False)
"""The event's id; every export of events can choose it."""


def business_key(subject: Subject) -> tuple[Column, ...]:
    """Return the column of the profile's business key, headed by the attribute's name; none if the
    database declares no business key.
    """
    key = subject.database.business_key
    if key is None:
        return ()
    attribute = subject.database.attribute(key)
    return (replace(_attribute(attribute, Origin.PROFILE), name="businessKey"),)


def deleted_business_key(subject: Subject) -> tuple[Column, ...]:
    """Return the column of the deleted profile's business key, as its deletion carries it; empty if
    the key is personal (SPEC §3, *Deletions*).
    """
    return tuple(_carried(column) for column in business_key(subject))


def deleted_row_key(subject: Subject) -> tuple[Column, ...]:
    """Return the column of the deleted row's business key, as its deletion carries it, headed by
    the attribute's name. None if the key is the auto-incremented id; empty if the key is personal.
    """
    attribute = subject.table.key_attribute if subject.table else None
    if attribute is None:
        return ()
    return (_carried(replace(_attribute(attribute, Origin.ROW), name="rowBusinessKey")),)


def row_attributes(subject: Subject) -> tuple[Column, ...]:
    """Return columns for all attributes of the custom table's row."""
    table = subject.table
    return tuple(
        _attribute(attribute, Origin.ROW) for attribute in (table.attributes if table else ())
    )


def attributes(subject: Subject) -> tuple[Column, ...]:
    """Return columns for all attributes of the profile."""
    return tuple(_attribute(attribute, Origin.PROFILE) for attribute in subject.database.attributes)


def subscriptions(subject: Subject) -> tuple[Column, ...]:
    """Return the columns of the profile's subscriptions: one with several values, and a boolean for
    each subscription, which an export has only if it lists it.
    """
    names = sorted(subject.database.subscriptions)
    if not names:
        return ()
    each = (
        Column(
            f"subscription-{name}",
            AttributeType.BOOLEAN,
            Origin.PROFILE,
            ("subscriptions", name),
            "",
            chosen=False,
        )
        for name in names
    )
    return profile("subscriptions", AttributeType.STRINGS), *(
        replace(column, header=column.name) for column in each
    )


def segmentations(subject: Subject) -> tuple[Column, ...]:
    """Return a column for each segmentation: of a simple one, whether the profile is in it; of an
    exclusive one, the profile's segment.
    """
    kinds = {
        SegmentationKind.SIMPLE: AttributeType.BOOLEAN,
        SegmentationKind.EXCLUSIVE: AttributeType.STRING,
    }
    return tuple(
        Column(
            f"segment-{segmentation.name}",
            kinds[segmentation.kind],
            Origin.PROFILE,
            ("segments", segmentation.name),
            f"segment-{segmentation.name}",
        )
        for segmentation in subject.database.segmentations
    )


def marketing_consent(subject: Subject) -> tuple[Column, ...]:
    """Return the column of the profile's marketing consent, if the database has that attribute."""
    return (
        (profile("marketingConsent", AttributeType.BOOLEAN),)
        if subject.database.marketing_consent
        else ()
    )


def profile_columns(subject: Subject) -> tuple[Column, ...]:
    """Return the columns that an export of facts can add from the profile, as of the cut. Each
    column's name and header begin with `profile-`.
    """
    offers = (attributes, subscriptions, segmentations, marketing_consent)
    moments = (profile(name, AttributeType.MOMENT) for name in ("creationMoment", "updateMoment"))
    columns = (*(column for offer in offers for column in offer(subject)), *moments)
    return tuple(
        replace(
            column,
            name=f"profile-{column.name}",
            header=f"profile-{column.header}",
            chosen=False,
        )
        for column in columns
    )


WHY_MISSING = {
    "businessKey": (business_key, "database '{database}' declares no business key"),
    "subscriptions": (subscriptions, "database '{database}' has no subscriptions"),
    "marketingConsent": (
        marketing_consent,
        "database '{database}' doesn't use marketing consent",
    ),
    "rowBusinessKey": (
        deleted_row_key,
        "table '{table}' has no business key but its auto-incremented id",
    ),
}
"""Columns that some databases and tables lack: the function that returns them, and the reason why
they are missing.
"""


def _carried(key: Column) -> Column:
    """Return a business key column whose value comes from the deletion itself."""
    return replace(
        key, origin=Origin.EVENT, path=("businessKey",), personal=False, withheld=key.personal
    )


def _attribute(attribute: AttributeDefinition, origin: Origin) -> Column:
    return Column(
        attribute.name,
        attribute.type,
        origin,
        ("attributes", attribute.name),
        attribute.name,
        personal=attribute.is_personal,
        precision=attribute.precision,
        scale=attribute.scale,
    )
