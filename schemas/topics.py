"""Topic names as values; no other module joins or splits them.

One topic per database and kind, one per custom table, one for the campaigns of the whole licence
(DESIGN, Events).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from schemas.events import Kind

if TYPE_CHECKING:
    from schemas.tables import Catalog

__all__ = ["DEFAULT_PREFIX", "Topic", "dead_letter_topic", "topics_of"]

DEFAULT_PREFIX = "deltadrop"


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic of events: `<prefix>.<database>.<kind>`, `<prefix>.<database>.row.<table>` or
    `<prefix>.campaign`.
    """

    kind: Kind
    database: str | None = None
    table: str | None = None
    prefix: str = DEFAULT_PREFIX

    def __post_init__(self) -> None:
        if (self.database is None) != (self.kind is Kind.CAMPAIGN):
            raise ValueError("every topic but the campaigns' belongs to a database")
        if (self.table is None) == (self.kind is Kind.ROW):
            raise ValueError("row topics, and only they, belong to a table")

    @property
    def local(self) -> str:
        """The name without its prefix; the names of the built-in streams contain it."""
        return ".".join(
            part for part in (self.database, str(self.kind), self.table) if part is not None
        )

    @property
    def name(self) -> str:
        """The name in Kafka."""
        return f"{self.prefix}.{self.local}"

    @property
    def subject(self) -> str:
        """The subject in the schema registry (TopicNameStrategy)."""
        return f"{self.name}-value"

    def __str__(self) -> str:
        return self.name

    @classmethod
    def parse(cls, name: str, prefix: str = DEFAULT_PREFIX) -> Topic:
        """Parse a name; ValueError if it isn't the name of a topic of events under `prefix`."""
        if name.startswith(f"{prefix}."):
            match name[len(prefix) + 1 :].split("."):
                case [kind] if kind == Kind.CAMPAIGN:
                    return cls(Kind.CAMPAIGN, prefix=prefix)
                case [database, kind] if database and kind in _DATABASE_KINDS:
                    return cls(Kind(kind), database, prefix=prefix)
                case [database, kind, table] if database and table and kind == Kind.ROW:
                    return cls(Kind.ROW, database, table, prefix)
        raise ValueError(f"'{name}' isn't a topic of events under '{prefix}'")


_DATABASE_KINDS = frozenset(Kind) - {Kind.CAMPAIGN, Kind.ROW}


def topics_of(catalog: Catalog, prefix: str = DEFAULT_PREFIX) -> tuple[Topic, ...]:
    """All topics of `catalog`, sorted by name.

    Only a database with the attribute marketing consent has a topic for consents.
    """
    topics = [Topic(Kind.CAMPAIGN, prefix=prefix)]
    for name, database in catalog.databases.items():
        kinds = (
            _DATABASE_KINDS
            if database.marketing_consent
            else _DATABASE_KINDS - {Kind.MARKETING_CONSENT}
        )
        topics.extend(Topic(kind, name, prefix=prefix) for kind in kinds)
    topics.extend(Topic(Kind.ROW, database, table, prefix) for database, table in catalog.tables)
    return tuple(sorted(topics, key=str))


def dead_letter_topic(prefix: str = DEFAULT_PREFIX) -> str:
    """The name of the dead letter topic: events that can't be used, with origin and reason."""
    return f"{prefix}.dead-letter"
