"""Construction of the streams' parts from settings, for the worker and for closes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from schemas.decoding.decode import Decoder
from schemas.events import Kind
from schemas.registry.registry import Registry
from schemas.settings.settings import Settings
from schemas.tables import Catalog, load_catalog
from schemas.topics import Topic, dead_letter_topic, topics_of
from streams.definition import user_streams
from streams.erasure.personal import PersonalData, Writes
from streams.erasure.tombstones import TombstoneFiles
from streams.reading.kafka import Topics
from streams.recovery.range_reader import RangeReader
from streams.storage.folder import FolderStore
from streams.storage.partitions import Partitions
from streams.storage.stream import Stream, builtin_streams
from streams.writing.batch import BatchWriter
from streams.writing.dead_letter_topic import DeadLetterTopic


@dataclass(frozen=True, slots=True)
class Streams:
    """All parts of one installation's streams; `topics`, `streams` and `writers` by topic name.

    `streams` are the built-in ones, which hold every event; closes read them. `writers` also write
    users' streams.
    """

    settings: Settings
    catalog: Catalog
    topics: Mapping[str, Topic]
    streams: Mapping[str, Sequence[Stream]]
    partitions: Partitions
    tombstones: TombstoneFiles
    writers: Mapping[str, BatchWriter]
    range_reader: RangeReader
    kafka: Topics

    @classmethod
    def of(cls, settings: Settings) -> Streams:
        """Make all parts, without connecting to anything.

        Raises DefinitionError if a definition is wrong or the root can't be used.
        """
        settings.check_root()
        catalog = load_catalog(settings.tables)
        prefix = settings.kafka.topic_prefix
        topics = {topic.name: topic for topic in topics_of(catalog, prefix)}
        streams = {name: builtin_streams([topic]) for name, topic in topics.items()}
        partitions = Partitions(FolderStore(settings.root))
        tombstones = TombstoneFiles(partitions.store)
        dead_letters = DeadLetterTopic(dead_letter_topic(prefix), settings.kafka)
        registry = Registry(settings.registry)
        users = user_streams(settings.streams, topics.values())
        writers = {
            name: BatchWriter(
                topic=name,
                streams=[*streams[name], *users[name]],
                decoder=Decoder(registry, topic, catalog),
                partitions=partitions,
                dead_letters=dead_letters,
                erasure=_erasure(topic, catalog, tombstones),
            )
            for name, topic in topics.items()
        }
        reader = RangeReader(settings.kafka, settings.worker.batch_bytes)
        return cls(
            settings,
            catalog,
            topics,
            streams,
            partitions,
            tombstones,
            writers,
            reader,
            Topics(settings.kafka),
        )


def _erasure(topic: Topic, catalog: Catalog, tombstones: TombstoneFiles) -> Writes | None:
    if topic.kind is Kind.CAMPAIGN:  # belongs to no profile
        return None
    return Writes(topic, PersonalData(topic, catalog), tombstones)
