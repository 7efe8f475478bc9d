"""Definitions of a customer's databases and custom tables (SPEC §1), as reviewable YAML files.

A file defines a database (`database: shop`) or a custom table (`table: purchases`). `load_catalog`
reads a folder of them. If anything is wrong, it refuses the whole folder and lists every fault.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from schemas.definitions.definitions import AtError, Faults, Loaded, choices, read_models
from schemas.definitions.patterns import worded

__all__ = [
    "ALWAYS_PERSONAL",
    "TECHNICAL_ID",
    "AttributeDefinition",
    "AttributeType",
    "Catalog",
    "DatabaseDefinition",
    "SegmentationDefinition",
    "SegmentationKind",
    "TableDefinition",
    "TableKind",
    "load_catalog",
]

K = TypeVar("K", str, tuple[str, str])
M = TypeVar("M", bound=BaseModel)

TECHNICAL_ID = "id"
"""The `business_key` of a custom table whose key is the auto-incremented technical id."""

_MAX_NAME = 80
"""Characters of a name. A topic's name has two of them, a kind and a prefix; Kafka allows 249."""

_NAME = worded(
    r"^[A-Za-z_][A-Za-z0-9_]*$",
    "it has letters, digits and underscores, a letter or underscore first",
)
_SUBSCRIPTION = worded(r"^[A-Za-z0-9_-]+$", "it has letters, digits, dashes and underscores")
_SEGMENT = worded(r"^\S(.*\S)?$", "it is text in one line, without blanks at its ends")

Name = Annotated[
    str,
    StringConstraints(pattern=_NAME, max_length=_MAX_NAME, strict=True),
]
"""The name of a database, table, attribute or segmentation: a valid name in Avro."""

Label = Annotated[
    str,
    StringConstraints(pattern=_SUBSCRIPTION, max_length=_MAX_NAME, strict=True),
]
"""The name of a subscription."""

Flag = Annotated[bool, Field(strict=True)]

SegmentName = Annotated[str, StringConstraints(pattern=_SEGMENT, max_length=_MAX_NAME, strict=True)]
"""The name of a segment in an exclusive segmentation: one line without blanks at its ends."""


class AttributeType(StrEnum):
    """The types an attribute can have."""

    STRING = "string"
    INTEGER = "integer"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"
    DATE = "date"
    MOMENT = "moment"
    STRINGS = "strings"


ALWAYS_PERSONAL = frozenset({"emailAddress", "gsmNumber"})
"""E-mail address and phone number are personal whether they are marked or not (SPEC §5)."""

_KEY_TYPES = (AttributeType.STRING, AttributeType.INTEGER)


class _Definition(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AttributeDefinition(_Definition):
    """One attribute: its type, and whether it is personal (SPEC §5)."""

    name: Name
    type: AttributeType
    personal: Flag = False
    recency: Flag = False
    precision: Annotated[int, Field(ge=1, le=38, strict=True)] | None = None
    scale: Annotated[int, Field(ge=0, le=38, strict=True)] | None = None

    @property
    def is_personal(self) -> bool:
        """Whether the attribute is personal, by its mark or by its name."""
        return self.personal or self.name in ALWAYS_PERSONAL

    @model_validator(mode="after")
    def _fits_its_type(self) -> Self:
        if self.type is AttributeType.DECIMAL:
            if self.precision is None or self.scale is None:
                raise ValueError("a decimal needs precision (up to 38) and scale")
            if self.scale > self.precision:
                raise ValueError(f"scale {self.scale} is larger than precision {self.precision}")
        elif self.precision is not None or self.scale is not None:
            raise ValueError("only a decimal has precision and scale")
        if self.recency and self.type is not AttributeType.MOMENT:
            raise ValueError("a recency attribute is of type moment")
        return self


class SegmentationKind(StrEnum):
    """Simple: a profile is in or out. Exclusive: a profile is in one of the segments."""

    SIMPLE = "simple"
    EXCLUSIVE = "exclusive"


class SegmentationDefinition(_Definition):
    """One segmentation; an exclusive one lists its segments."""

    name: Name
    kind: SegmentationKind
    segments: tuple[SegmentName, ...] = ()

    @model_validator(mode="after")
    def _lists_its_segments(self) -> Self:
        if (self.kind is SegmentationKind.EXCLUSIVE) != bool(self.segments):
            raise ValueError("an exclusive segmentation, and only it, lists its segments")
        _refuse_doubles("segments", self.segments)
        return self


class DatabaseDefinition(_Definition):
    """A database: one table of profiles. Its YAML begins with `database: <name>`."""

    name: Name = Field(alias="database")
    attributes: tuple[AttributeDefinition, ...]
    business_key: Name | None = None
    subscriptions: tuple[Label, ...] = ()
    segmentations: tuple[SegmentationDefinition, ...] = ()
    marketing_consent: Flag = False

    @model_validator(mode="after")
    def _names_are_clear(self) -> Self:
        taken = (
            "eventId",
            "profileId",
            "creationMoment",
            "updateMoment",
            "subscriptions",
            "marketingConsent",
        )
        _check_attributes(self.attributes, taken)
        _refuse_doubles("subscriptions", self.subscriptions)
        _refuse_doubles("segmentations", [segmentation.name for segmentation in self.segmentations])
        if self.business_key is not None:
            _check_key(self.business_key, self.attributes)
        return self

    def attribute(self, name: str) -> AttributeDefinition:
        """The attribute called `name`; KeyError if there is none."""
        return _attribute(name, self.attributes)


class TableKind(StrEnum):
    """Rows of linked data and interactions belong to one profile each, repository rows to none."""

    LINKED_DATA = "linked-data"
    INTERACTION = "interaction"
    REPOSITORY = "repository"


class TableDefinition(_Definition):
    """A custom table of a database. Its YAML begins with `table: <name>`."""

    name: Name = Field(alias="table")
    kind: TableKind
    database: Name
    attributes: tuple[AttributeDefinition, ...]
    business_key: Name | None = None

    @model_validator(mode="after")
    def _names_are_clear(self) -> Self:
        _check_attributes(
            self.attributes,
            ("eventId", TECHNICAL_ID, "profileId", "creationMoment", "updateMoment"),
        )
        if self.business_key not in (None, TECHNICAL_ID):
            _check_key(self.business_key, self.attributes)
        return self

    @property
    def key_attribute(self) -> AttributeDefinition | None:
        """The attribute that is the business key; None if there is none, or if the technical id is
        the key.
        """
        if self.business_key is None or self.business_key == TECHNICAL_ID:
            return None
        return _attribute(self.business_key, self.attributes)

    def attribute(self, name: str) -> AttributeDefinition:
        """The attribute called `name`; KeyError if there is none."""
        return _attribute(name, self.attributes)


@dataclass(frozen=True, slots=True)
class Catalog:
    """All databases by name, and all custom tables by (database, table)."""

    databases: Mapping[str, DatabaseDefinition]
    tables: Mapping[tuple[str, str], TableDefinition]


def load_catalog(folder: Path) -> Catalog:
    """Read all definitions of `folder`; raises DefinitionError with every fault of every file."""
    faults = Faults()
    loaded = read_models(folder, {"table": TableDefinition, "database": DatabaseDefinition}, faults)
    databases: dict[str, Loaded[DatabaseDefinition]] = {}
    tables: dict[tuple[str, str], Loaded[TableDefinition]] = {}
    for document in loaded:
        match document.model:
            case DatabaseDefinition() as database:
                _add(
                    databases,
                    database.name,
                    Loaded(database, document.document),
                    "database",
                    faults,
                )
            case TableDefinition() as table:
                _add(
                    tables,
                    (table.database, table.name),
                    Loaded(table, document.document),
                    "table",
                    faults,
                )
    if not faults.found and not databases:
        faults.add(
            str(folder),
            "no database is defined here",
            "a file that begins with `database: <name>` defines one",
        )
    for (database_name, table_name), entry in tables.items():
        if database_name not in databases and not faults.found:
            what = f"field 'database': '{database_name}' of table '{table_name}' isn't defined"
            faults.add(entry.where("database"), what, choices(database_name, databases))
    faults.raise_if_any()
    return Catalog(
        MappingProxyType({name: entry.model for name, entry in databases.items()}),
        MappingProxyType({key: entry.model for key, entry in tables.items()}),
    )


def _add(known: dict[K, Loaded[M]], key: K, entry: Loaded[M], what: str, faults: Faults) -> None:
    if key in known:
        name = entry.document.data[what]
        first = known[key].where(what)
        faults.add(
            entry.where(what),
            f"field '{what}': '{name}' is defined twice",
            f"first at {first}",
        )
    else:
        known[key] = entry


def _attribute(name: str, attributes: Iterable[AttributeDefinition]) -> AttributeDefinition:
    return {attribute.name: attribute for attribute in attributes}[name]


def _check_attributes(attributes: Sequence[AttributeDefinition], taken: Sequence[str]) -> None:
    if not attributes:
        raise AtError(("attributes",), "lists none; there must be at least one")
    names = [attribute.name for attribute in attributes]
    _refuse_doubles("attributes", names)
    for index, name in enumerate(names):
        if name.lower() in {reserved.lower() for reserved in taken}:
            what = f"'{name}' has the name of a technical column ({', '.join(taken)})"
            raise AtError(("attributes", index, "name"), what)


def _check_key(key: str | None, attributes: Sequence[AttributeDefinition]) -> None:
    names = [attribute.name for attribute in attributes]
    if key not in names:
        raise AtError(("business_key",), f"'{key}' isn't an attribute; {choices(str(key), names)}")
    if _attribute(key, attributes).type not in _KEY_TYPES:
        raise AtError(
            ("business_key",),
            f"attribute '{key}' must be of type {' or '.join(_KEY_TYPES)}",
        )


def _refuse_doubles(field: str, names: Sequence[str]) -> None:
    """Raise AtError if a name occurs twice. Case is ignored, as SQL engines read the columns later
    and ignore it in column names.
    """
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name.lower() in seen:
            raise AtError(
                (field, index),
                f"'{name}' is there twice (upper and lower case count as the same)",
            )
        seen.add(name.lower())
