"""A whole installation without servers: a log in memory in Kafka's place, all else is real.

Its business keys are personal, so that every way in which personal data is kept is there.
"""

from __future__ import annotations

import dataclasses
import io
import shutil
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from uuid import UUID, uuid4

import fastavro
import numpy as np
import pyarrow as pa

from schemas.decoding.decode import Decoder
from schemas.derive import AvroSchema, avro_schema
from schemas.events import KINDS, Kind
from schemas.registry.registry import wire_header
from schemas.settings.settings import Settings, load_settings
from schemas.tables import Catalog
from schemas.topics import Topic
from sinks.closing.append_runs import Runs
from sinks.closing.offsets import KafkaOffsets, OffsetAtTime
from sinks.instants import milliseconds
from sinks.ledger.chain import read_chain
from sinks.ledger.intent import Intent
from sinks.ledger.outcome import CloseOutcome
from sinks.setup import Sinks
from streams.erasure.personal import PersonalData, Writes
from streams.erasure.tombstones import TombstoneFiles
from streams.reading.fetch import UnreadableBatchError
from streams.reading.kafka import OffsetsGoneError, TopicIdentity, Topics
from streams.reading.records import RECORDS, Chunk, Flush
from streams.recovery.range_reader import RangeReader
from streams.setup import Streams
from streams.storage.layout import TopicPartition
from streams.storage.store import Store
from streams.storage.stream import Stream
from streams.writing.batch import BatchWriter
from streams.writing.dead_letter_topic import DeadLetters, Poison
from tests.shop.events import OneSchema, payload

TOPIC_ID = UUID(int=7)
DAY = datetime(2026, 3, 27, tzinfo=UTC)
DEFINITIONS = {
    "tables/shop.yaml": """
database: shop
attributes:
  - {name: customerId, type: string, personal: true}
  - {name: emailAddress, type: string, personal: true}
  - {name: firstName, type: string, personal: true}
  - {name: hobbies, type: strings, personal: true}
  - {name: birthDate, type: date, personal: true}
  - {name: city, type: string}
business_key: customerId
subscriptions: [offers]
segmentations: [{name: vip, kind: simple}]
marketing_consent: true
""",
    "tables/cards.yaml": """
table: cards
kind: linked-data
database: shop
attributes:
  - {name: number, type: string, personal: true}
  - {name: nameOnCard, type: string, personal: true}
  - {name: level, type: string}
business_key: number
""",
    "tables/stores.yaml": """
table: stores
kind: repository
database: shop
attributes:
  - {name: city, type: string}
""",
    "exports/stores.yaml": """
export: stores
suffix: "_yyyyMMdd_HHmm"
entity: crm
database: shop
table: stores
type: repository
event: CREATION_OR_UPDATE
schedule: {at: "06:00", time_zone: UTC}
""",
    "exports/profiles.yaml": """
export: profiles
suffix: "_yyyyMMdd_HHmm"
entity: crm
database: shop
type: profile
event: CREATION_OR_UPDATE
schedule: {at: "06:00", time_zone: UTC}
""",
    "exports/sent.yaml": """
export: sent
suffix: "_yyyyMMdd_HHmm"
entity: crm
database: shop
type: email-activities
event: SENT
file: {compression: gzip}
schedule: {at: "06:00", time_zone: UTC}
""",
    "exports/clicks.yaml": """
export: clicks
suffix: "_yyyyMMdd_HHmm"
entity: crm
database: shop
type: email-activities
event: CLICKED
schedule: {at: "06:00", time_zone: UTC}
""",
    "exports/texts.yaml": """
export: texts
suffix: "_yyyyMMdd_HHmm"
entity: crm
database: shop
type: sms-activities
event: SENT
schedule: {at: "06:00", time_zone: UTC}
""",
    "exports/offers.yaml": """
export: offers
suffix: "_yyyyMMdd_HHmm"
entity: crm
database: shop
type: profile-changes
event: SUBSCRIPTION_UPDATE
columns: [profileId, subscription, businessKey, profile-firstName]
schedule: {at: "06:00", time_zone: UTC}
""",
    "exports/cards.yaml": """
export: cards
suffix: "_yyyyMMdd_HHmm"
entity: crm
database: shop
table: cards
type: linked-data
event: CREATION_OR_UPDATE
columns: [id, level, number, nameOnCard, profile-emailAddress]
schedule: {at: "06:00", time_zone: UTC}
""",
}


def with_exports(*names: str) -> dict[str, str]:
    """The definitions with these exports only: a night of few closes."""
    wanted = {f"exports/{name}.yaml" for name in names}
    return {
        file: text
        for file, text in DEFINITIONS.items()
        if file in wanted or not file.startswith("exports/")
    }


def at(hour: float, day: int = 27) -> datetime:
    """A moment of March 2026, in UTC."""
    return datetime(2026, 3, day, tzinfo=UTC) + timedelta(hours=hour)


@dataclass(frozen=True)
class Record:
    """A record of a partition."""

    appended_at: int
    key: bytes
    value: bytes


class Log:
    """What Kafka is to an installation: records by topic, offsets by time, and ranges to read.

    `records` are those of partition 0; of the others, `partition` gives them.
    """

    def __init__(self) -> None:
        self.records: dict[str, list[Record]] = defaultdict(list)
        self.partitions: dict[str, int] = defaultdict(int)  # 0: nothing was said, so one
        self.kept_from: dict[str, int] = defaultdict(int)
        self.unreadable: dict[str, tuple[int, int]] = {}  # offsets [first, next) of partition 0

    def partition(self, topic: str, number: int) -> list[Record]:
        """The records of one partition."""
        return self.records[f"{topic}/{number}" if number else topic]

    def count(self, topic: str) -> int:
        """How many partitions a topic has."""
        return self.partitions[topic] or 1

    def identities(self, names: Iterable[str]) -> dict[str, TopicIdentity]:
        return {name: TopicIdentity(name, TOPIC_ID, self.count(name)) for name in names}

    def existing(self, names: Iterable[str]) -> dict[str, TopicIdentity]:
        return self.identities(names)

    def at(self, topic: str, partitions: int, instant_ms: int) -> Sequence[OffsetAtTime]:
        return [self._at(topic, number, instant_ms) for number in range(partitions)]

    def of_topics(
        self, partitions: Mapping[str, int], instant_ms: int
    ) -> dict[str, Sequence[OffsetAtTime]]:
        return {topic: self.at(topic, count, instant_ms) for topic, count in partitions.items()}

    def _at(self, topic: str, number: int, instant_ms: int) -> OffsetAtTime:
        records, start = self.partition(topic, number), self.kept_from[topic]
        for offset in range(start, len(records)):
            if (appended_at := records[offset].appended_at) >= instant_ms:
                return OffsetAtTime(offset, start, len(records), appended_at)
        return OffsetAtTime(len(records), start, len(records))

    def runs(self, topic: str, partition: int, first: int, end: int) -> Runs:
        end = min(end, first + 3)  # as a broker brings what fits in a fetch
        times = [record.appended_at for record in self.partition(topic, partition)[first:end]]
        return Runs(first, end, np.arange(first, end), np.array(times, np.int64))

    def start(self, topic: str, partition: int) -> int:
        return self.kept_from[topic]

    def ends(self, topic: str, partitions: int) -> list[int]:
        return [len(self.partition(topic, number)) for number in range(partitions)]

    def chunk(self, topic: str, first: int, end: int, number: int = 0) -> Chunk:
        rows = self.partition(topic, number)[first:end]
        columns: list[list[Any]] = [
            list(range(first, first + len(rows))),
            [row.appended_at for row in rows],
            [row.key for row in rows],
            [row.value for row in rows],
        ]
        arrays = [pa.array(c, f.type) for c, f in zip(columns, RECORDS, strict=True)]
        batch = pa.RecordBatch.from_arrays(arrays, schema=RECORDS)
        return Chunk(number, first, end, (batch,) if rows else ())

    def find(
        self, partition: TopicPartition, first: int, end: int, texts: Sequence[str]
    ) -> list[tuple[int, int]]:
        """Find records by text, as the range reader does."""
        self._refuse_unreadable(partition, first, end)
        records = self.partition(partition.topic, partition.partition)
        rows = enumerate(records[first:end], start=first)
        return [
            (offset, row.appended_at)
            for offset, row in rows
            if any(text.encode() in row.value for text in texts)
        ]

    def fetched(self, partition: TopicPartition, first: int, end: int) -> Chunk:
        """Fetch a range again, as the range reader does; what isn't kept is refused."""
        if first < self.kept_from[partition.topic]:
            raise OffsetsGoneError(
                what="offsets are no longer in Kafka", hint="raise the retention"
            )
        return self.chunk(partition.topic, first, end, partition.partition)

    def read(self, writer: BatchWriter, partition: TopicPartition, first: int, end: int) -> int:
        """Read a range again, as the range reader does; what isn't kept is refused."""
        if first < self.kept_from[partition.topic]:
            raise OffsetsGoneError(
                what="offsets are no longer in Kafka", hint="raise the retention"
            )
        self._refuse_unreadable(partition, first, end)
        chunk = self.chunk(partition.topic, first, end, partition.partition)
        return writer.write(Flush(partition.topic, (chunk,)), partition.topic_id).rows

    def _refuse_unreadable(self, partition: TopicPartition, first: int, end: int) -> None:
        """Refuse a range with a batch in it that can't be read."""
        bad, behind = self.unreadable.get(partition.topic, (0, 0))
        if max(bad, first) < min(behind, end):
            raise UnreadableBatchError(
                "its checksum is wrong",
                topic=partition.topic,
                partition=partition.partition,
                offset=bad,
                next_offset=behind,
                hint="is a disk failing?",
            )


class NoDeadLetters:
    """Every event here can be used."""

    def send(self, events: Iterable[Poison]) -> None:
        raise AssertionError([event.reason for event in events])


@dataclass
class OfflineShop:
    """The installation in a folder; `log` is what was published to it."""

    folder: Path
    log: Log = field(default_factory=Log)
    store: Store | None = None  # in place of the folder's own
    stored: dict[str, int] = field(default_factory=dict)
    definitions: Mapping[str, str] = field(default_factory=lambda: DEFINITIONS)
    dead_letters: DeadLetters = field(default_factory=NoDeadLetters)
    schemas: Mapping[str, AvroSchema] = field(default_factory=dict)  # by topic; else today's

    def __post_init__(self) -> None:
        for name, text in self.definitions.items():
            file = self.folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            if not file.exists():
                file.write_text(text)
        if not (self.folder / "deltadrop.yaml").exists():
            (self.folder / "deltadrop.yaml").write_text("root: data\n")
        self.settings: Settings = load_settings(self.folder / "deltadrop.yaml")
        self.root = self.settings.root
        self.sinks = self.sinks_of(self.settings)

    def again(self, store: Store | None = None) -> OfflineShop:
        """The same installation, as another process sees it."""
        return dataclasses.replace(self, store=store)

    def copied(self, folder: Path, store: Store | None = None) -> OfflineShop:
        """The same in another folder, with a life of its own from here on."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        log, stored = deepcopy(self.log), dict(self.stored)
        return dataclasses.replace(self, folder=folder, log=log, store=store, stored=stored)

    @property
    def transferbox(self) -> Path:
        return self.root / "transferbox" / "crm"

    def tell(
        self,
        kind: Kind,
        event_type: str,
        when: datetime,
        occurred: datetime | None = None,
        event_id: UUID | None = None,
        **telling: Any,
    ) -> int:
        """Publish an event, appended and (if nothing else is said) occurred then; its offset."""
        table = telling.setdefault("table", "cards") if kind is Kind.ROW else None
        topic = Topic(kind, None if kind is Kind.CAMPAIGN else "shop", table)
        record = {
            "eventId": str(event_id or uuid4()),
            "eventType": event_type,
            "database": "shop",
            "source": "API",
            "occurredAt": occurred or when,
            **payload(kind, event_type, **telling),
        }
        out = io.BytesIO()
        schema = self._schema(topic, self.sinks.streams.catalog)
        fastavro.schemaless_writer(out, fastavro.parse_schema(schema), record)
        entity = int(record[KINDS[kind].key_field])
        key = str(entity).encode()
        records = self.log.partition(topic.name, entity % self.log.count(topic.name))
        records.append(Record(milliseconds(when), key, wire_header(1) + out.getvalue()))
        return len(records) - 1

    def store_all(self) -> None:
        """Let a worker store all that isn't stored yet, a batch a topic."""
        for name in self.sinks.streams.topics:
            chunks = []
            for number, end in enumerate(self.log.ends(name, self.log.count(name))):
                place = f"{name}/{number}" if number else name
                first = self.stored.get(place, 0)
                if end > first:
                    chunks.append(self.log.chunk(name, first, end, number))
                    self.stored[place] = end
            if chunks:
                self.sinks.streams.writers[name].write(Flush(name, tuple(chunks)), TOPIC_ID)

    def batch(
        self,
        topic: str,
        first: int,
        end: int,
        *,
        number: int = 0,
        knows_tombstones: bool = True,
        more: Sequence[Stream] = (),
    ) -> None:
        """Let a worker write a batch; one of an older version doesn't know of tombstones.

        more: streams of users, beside those that are there.
        """
        writer = self.sinks.streams.writers[topic]
        if more or not knows_tombstones:
            own = self.sinks.streams.topics[topic]
            tombstones = self.sinks.streams.tombstones if knows_tombstones else None
            writer = self._writer(own, [*writer.streams, *more], tombstones)
        writer.write(Flush(topic, (self.log.chunk(topic, first, end, number),)), TOPIC_ID)

    def close(self, export: str, instant: datetime) -> CloseOutcome:
        """Close a window."""
        chosen = next(one for one in self.sinks.exports if one.name == export)
        return self.sinks.closer.close(chosen, instant, lambda lags: None)

    def begin(self, export: str, instant: datetime) -> Intent:
        """Begin a close, as a run does that is killed when it has recorded the intent."""
        chosen = next(one for one in self.sinks.exports if one.name == export)
        link = read_chain(self.sinks.ledger, chosen).link(instant)
        return link.begin(self.sinks.closer.intentions.decide(link, lambda lags: None))

    def close_all(self, instant: datetime) -> Mapping[str, CloseOutcome]:
        """Close the window of every export."""
        return {one.name: self.close(one.name, instant) for one in self.sinks.exports}

    def drops(self) -> list[str]:
        """Names of the drops in the transferbox."""
        return sorted(file.name for file in self.transferbox.rglob("*") if ".csv" in file.suffixes)

    def sinks_of(self, settings: Settings) -> Sinks:
        """The parts of its closes."""
        streams = Streams.of(settings)
        if self.store is not None:
            streams.partitions.store = self.store
        tombstones = TombstoneFiles(streams.partitions.store)
        streams = dataclasses.replace(
            streams,
            tombstones=tombstones,
            kafka=cast("Topics", self.log),
            range_reader=cast("RangeReader", self.log),
        )
        writers = {
            name: self._writer(topic, streams.writers[name].streams, tombstones, streams)
            for name, topic in streams.topics.items()
        }
        streams = dataclasses.replace(streams, writers=writers)
        return Sinks.over(settings, streams, cast("KafkaOffsets", self.log))

    def _writer(
        self,
        topic: Topic,
        written: Sequence[Stream],
        tombstones: TombstoneFiles | None,
        streams: Streams | None = None,
    ) -> BatchWriter:
        streams = streams or self.sinks.streams
        catalog = streams.catalog
        return BatchWriter(
            topic=topic.name,
            streams=written,
            decoder=Decoder(OneSchema(self._schema(topic, catalog)), topic, catalog),
            partitions=streams.partitions,
            dead_letters=self.dead_letters,
            erasure=Writes(topic, PersonalData(topic, catalog), tombstones) if tombstones else None,
        )

    def _schema(self, topic: Topic, catalog: Catalog) -> AvroSchema:
        return self.schemas.get(topic.name) or avro_schema(topic, catalog)
