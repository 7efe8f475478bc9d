"""An installation: its definitions, partitions and ledger, and lookups in Kafka.

Commands that only read (`status`, `history`) need nothing else. `sinks.setup` adds the parts that
make drops, with the engine and the readers of events.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from schemas.settings.settings import Settings
from schemas.tables import Catalog, load_catalog
from schemas.topics import Topic, topics_of
from sinks.exports.export import Export, load_exports
from sinks.ledger.holds import Holds
from sinks.ledger.ledger import Ledger
from sinks.ledger.receipts import Receipts
from sinks.locations import Locations, load_locations, terms_of
from streams.storage.folder import FolderStore
from streams.storage.partitions import Partitions

if TYPE_CHECKING:
    from sinks.closing.offsets import KafkaOffsets
    from streams.reading.kafka import Topics

__all__ = ["Installation", "KafkaLookups"]


class KafkaLookups(NamedTuple):
    """What can be looked up in Kafka: topics and offsets."""

    topics: Topics
    offsets: KafkaOffsets


@dataclass(frozen=True, slots=True)
class Installation:
    """One installation.

    topics: the topics of its databases and tables, by name. ask: returns the lookups in Kafka.
    Kafka's client library is imported at the first call only, as that takes a quarter of a
    command's start.
    """

    settings: Settings
    exports: tuple[Export, ...]
    topics: Mapping[str, Topic]
    partitions: Partitions
    ledger: Ledger
    locations: Locations
    ask: Callable[[], KafkaLookups]

    @property
    def kafka(self) -> Topics:
        """Lookups of Kafka's topics."""
        return self.ask().topics

    @property
    def offsets(self) -> KafkaOffsets:
        """Lookups of Kafka's offsets."""
        return self.ask().offsets

    @property
    def holds(self) -> Holds:
        """The records of closes that are held."""
        return Holds(self.ledger.store)

    @property
    def receipts(self) -> Receipts:
        """The receipts of deliveries."""
        return Receipts(self.ledger.store)

    @classmethod
    def of(cls, settings: Settings) -> Installation:
        """Read an installation, without connecting; raises DefinitionError if a definition is
        wrong.
        """
        settings.check_root()
        catalog = load_catalog(settings.tables)

        @cache
        def ask() -> KafkaLookups:
            from sinks.closing.offsets import KafkaOffsets
            from streams.reading.kafka import Topics

            return KafkaLookups(Topics(settings.kafka), KafkaOffsets(settings.kafka))

        return cls.over(settings, catalog, Partitions(FolderStore(settings.root)), ask)

    @classmethod
    def over(
        cls,
        settings: Settings,
        catalog: Catalog,
        partitions: Partitions,
        ask: Callable[[], KafkaLookups],
    ) -> Installation:
        """Read the exports of given tables and partitions; raises DefinitionError as `of` does."""
        locations = load_locations(settings)
        return cls(
            settings,
            load_exports(settings.exports, catalog, terms_of(locations)),
            {topic.name: topic for topic in topics_of(catalog, settings.kafka.topic_prefix)},
            partitions,
            Ledger(partitions.store),
            locations,
            ask,
        )
