"""Columns that an export may have: where each value comes from, and which columns a database has
to offer.

The 13 export types (`types`) are put together from what is defined here.
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
    """What a column's value is taken from."""

    EVENT = "event"
    """The exported event itself, never looked up."""
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
    """One column on offer.

    name: unique among an export's columns; it names the column in definitions and in the data to
    be rendered.
    path: the way to the value in its origin: a field, or a field and the name of a member.
    fallback: where the value comes from if the origin has none.
    header: the file's header unless the export renames it; also a name for the column where no
    other has it.
    chosen: whether the column is there when an export doesn't say which columns it has.
    withheld: whether it is always empty: a personal key of what was deleted.
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
        """Whether an exported fact of a person who is gone has this column empty (SPEC §3)."""
        return self.personal or self.origin is Origin.PROFILE


@dataclass(frozen=True, slots=True)
class HeadedColumn:
    """A column of an export with the header it has in the file."""

    column: Column
    header: str


@dataclass(frozen=True, slots=True)
class Subject:
    """What an export is about: a database, and a custom table of it for exports of one."""

    database: DatabaseDefinition
    table: TableDefinition | None = None


Offer = Column | Callable[[Subject], tuple[Column, ...]]
"""A column that is always there, or those that a subject has."""


def event(
    name: str,
    type_: AttributeType = AttributeType.STRING,
    *,
    field: str = "",
    personal: bool = False,
) -> Column:
    """A field of the event, by default one called as the column."""
    return Column(name, type_, Origin.EVENT, (field or name,), name, personal=personal)


def campaign(name: str, field: str) -> Column:
    """A text of the event's campaign."""
    return Column(name, AttributeType.STRING, Origin.CAMPAIGN, (field,), name)


def ruled(name: str, type_: AttributeType) -> Column:
    """A value that the rule of the export finds."""
    return Column(name, type_, Origin.RULE, (name,), name)


def profile(name: str, type_: AttributeType) -> Column:
    """A technical field of the profile."""
    return Column(name, type_, Origin.PROFILE, (name,), name)


def row(name: str, type_: AttributeType) -> Column:
    """A technical field of the custom table's row."""
    return Column(name, type_, Origin.ROW, (name,), name)


EVENT_ID = replace(event("eventId"), chosen=False)
"""May be chosen in every export of events."""


def business_key(subject: Subject) -> tuple[Column, ...]:
    """The profile's business key, headed by the attribute's name; none where the database declares
    none.
    """
    key = subject.database.business_key
    if key is None:
        return ()
    attribute = subject.database.attribute(key)
    return (replace(_attribute(attribute, Origin.PROFILE), name="businessKey"),)


def deleted_business_key(subject: Subject) -> tuple[Column, ...]:
    """The deleted profile's business key, as its deletion carries it; empty where it is personal
    (SPEC §3, *Deletions*).
    """
    return tuple(_carried(column) for column in business_key(subject))


def deleted_row_key(subject: Subject) -> tuple[Column, ...]:
    """The deleted row's business key, as its deletion carries it, headed by the attribute's name;
    none where the key is the auto-incremented id. Empty where it is personal.
    """
    attribute = subject.table.key_attribute if subject.table else None
    if attribute is None:
        return ()
    return (_carried(replace(_attribute(attribute, Origin.ROW), name="rowBusinessKey")),)


def row_attributes(subject: Subject) -> tuple[Column, ...]:
    """All attributes of the custom table's row."""
    table = subject.table
    return tuple(
        _attribute(attribute, Origin.ROW) for attribute in (table.attributes if table else ())
    )


def attributes(subject: Subject) -> tuple[Column, ...]:
    """All attributes of the profile."""
    return tuple(_attribute(attribute, Origin.PROFILE) for attribute in subject.database.attributes)


def subscriptions(subject: Subject) -> tuple[Column, ...]:
    """The profile's subscriptions: as one column of several values, or (only if chosen) as a
    boolean each.
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
    """A column for each segmentation: whether the profile is in a simple one, its segment of an
    exclusive one.
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
    """The profile's marketing consent, where the database has that attribute."""
    return (
        (profile("marketingConsent", AttributeType.BOOLEAN),)
        if subject.database.marketing_consent
        else ()
    )


def profile_columns(subject: Subject) -> tuple[Column, ...]:
    """What may be added of the fact's profile, as of the cut: each column's name and header begin
    with `profile-`.
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
"""Columns that some databases and tables don't have, where they would come from, and why they are
missing.
"""


def _carried(key: Column) -> Column:
    """A business key taken from the deletion itself."""
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
