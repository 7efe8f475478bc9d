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
    "event",
    "marketing_consent",
    "profile",
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


EVENT_ID = replace(event("eventId"), chosen=False)
"""May be chosen in every export of events."""


def business_key(subject: Subject) -> tuple[Column, ...]:
    """The profile's business key, headed by the attribute's name; none where the database declares
    none.
    """
    key = subject.database.business_key
    if key is None:
        return ()
    return (
        replace(_attribute(subject.database.attribute(key), Origin.PROFILE), name="businessKey"),
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
            f"segment-{one.name}",
            kinds[one.kind],
            Origin.PROFILE,
            ("segments", one.name),
            f"segment-{one.name}",
        )
        for one in subject.database.segmentations
    )


def marketing_consent(subject: Subject) -> tuple[Column, ...]:
    """The profile's marketing consent, where the database has that attribute."""
    return (
        (profile("marketingConsent", AttributeType.BOOLEAN),)
        if subject.database.marketing_consent
        else ()
    )


WHY_MISSING = {
    "businessKey": (business_key, "declares no business key"),
    "subscriptions": (subscriptions, "has no subscriptions"),
    "marketingConsent": (marketing_consent, "doesn't use marketing consent"),
}
"""Columns that some databases don't have, where they would come from, and why they are missing."""


def _attribute(attribute: AttributeDefinition, origin: Origin) -> Column:
    return Column(
        attribute.name,
        attribute.type,
        origin,
        ("attributes", attribute.name),
        attribute.name,
        personal=attribute.personal,
        precision=attribute.precision,
        scale=attribute.scale,
    )
