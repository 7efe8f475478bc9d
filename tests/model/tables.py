"""What a database holds: as much of a table definition as the rules need (SPEC §1)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml


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

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> "Database":
        """The database that a definition file declares; `document` is the YAML as loaded."""
        attributes = [
            Attribute(
                name=attribute["name"],
                type=attribute["type"],
                personal=attribute.get("personal", False),
                scale=attribute.get("scale", 0),
            )
            for attribute in document["attributes"]
        ]
        return cls(
            name=document["database"],
            attributes={attribute.name: attribute for attribute in attributes},
            business_key=document.get("business_key"),
            subscriptions=tuple(document.get("subscriptions", ())),
            segmentations={one["name"]: one["kind"] for one in document.get("segmentations", ())},
            marketing_consent=document.get("marketing_consent", False),
        )

    @classmethod
    def load(cls, file: Path) -> "Database":
        return cls.read(yaml.safe_load(file.read_text(encoding="utf-8")))
