"""What an installation has: its definitions, its partitions and ledger, and Kafka to ask.

Commands that only look (`status`, `history`) need nothing else: the parts that make drops, with the
engine and the readers of events, are put together in `sinks.setup`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from schemas.settings.settings import Settings
from schemas.tables import load_catalog
from schemas.topics import Topic, topics_of
from sinks.closing.offsets import KafkaOffsets
from sinks.exports.export import Export, load_exports
from sinks.ledger.holds import Holds
from sinks.ledger.ledger import Ledger
from sinks.ledger.receipts import Receipts
from sinks.locations import load_locations, terms_of
from streams.reading.kafka import Topics
from streams.storage.folder import FolderStore
from streams.storage.partitions import Partitions

__all__ = ["Installation"]


@dataclass(frozen=True, slots=True)
class Installation:
    """One installation. topics: those of its database and tables, by name."""

    settings: Settings
    exports: tuple[Export, ...]
    topics: Mapping[str, Topic]
    partitions: Partitions
    ledger: Ledger
    kafka: Topics
    offsets: KafkaOffsets

    @property
    def holds(self) -> Holds:
        """What is held, and released."""
        return Holds(self.ledger.store)

    @property
    def receipts(self) -> Receipts:
        """What was delivered where."""
        return Receipts(self.ledger.store)

    @classmethod
    def of(cls, settings: Settings) -> Installation:
        """Read it, without connecting; raises DefinitionError where a definition is wrong."""
        settings.check_root()
        catalog = load_catalog(settings.tables)
        store = FolderStore(settings.root)
        return cls(
            settings,
            load_exports(settings.exports, catalog, terms_of(load_locations(settings))),
            {topic.name: topic for topic in topics_of(catalog, settings.kafka.topic_prefix)},
            Partitions(store),
            Ledger(store),
            Topics(settings.kafka),
            KafkaOffsets(settings.kafka),
        )
