"""What a database and its custom tables hold: as much of a table definition as the rules need (SPEC
§1).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

TECHNICAL_ID = "id"


@dataclass(frozen=True)
class Attribute:
    """One attribute of a table; `scale` is the number of decimals, for decimals only."""

    name: str
    type: str
    personal: bool = False
    scale: int = 0


@dataclass(frozen=True)
class Database:
    """A profile table. `segmentations` names each segmentation's kind: `simple` or `exclusive`."""

    name: str
    attributes: Mapping[str, Attribute]
    business_key: str | None = None
    subscriptions: tuple[str, ...] = ()
    segmentations: Mapping[str, str] = field(default_factory=dict)
    marketing_consent: bool = False

    @property
    def has_personal_key(self) -> bool:
        return self.business_key is not None and self.attributes[self.business_key].personal

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> "Database":
        """The database that a definition file declares; `document` is the YAML as loaded."""
        return cls(
            name=document["database"],
            attributes=_attributes(document["attributes"]),
            business_key=document.get("business_key"),
            subscriptions=tuple(document.get("subscriptions", ())),
            segmentations={one["name"]: one["kind"] for one in document.get("segmentations", ())},
            marketing_consent=document.get("marketing_consent", False),
        )

    @classmethod
    def load(cls, file: Path) -> "Database":
        return cls.read(yaml.safe_load(file.read_text(encoding="utf-8")))


@dataclass(frozen=True)
class Table:
    """A custom table. `key` is the attribute that is its business key, None where that is the
    technical id, or where it has none.
    """

    name: str
    kind: str
    attributes: Mapping[str, Attribute]
    key: str | None = None

    @property
    def has_personal_key(self) -> bool:
        return self.key is not None and self.attributes[self.key].personal

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> "Table":
        """The table that a definition file declares; `document` is the YAML as loaded."""
        key = document.get("business_key")
        return cls(
            name=document["table"],
            kind=document["kind"],
            attributes=_attributes(document["attributes"]),
            key=None if key == TECHNICAL_ID else key,
        )


def tables_in(folder: Path, database: str) -> dict[str, Table]:
    """The custom tables of a database that the files of a folder declare, by name."""
    documents = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in folder.glob("*.yaml")]
    return {
        one["table"]: Table.read(one)
        for one in documents
        if "table" in one and one["database"] == database
    }


def _attributes(declared: Iterable[Mapping[str, Any]]) -> dict[str, Attribute]:
    return {
        one["name"]: Attribute(
            name=one["name"],
            type=one["type"],
            personal=one.get("personal", False),
            scale=one.get("scale", 0),
        )
        for one in declared
    }
