"""Build the parts that make closes, from the settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from schemas.errors import PartitionError
from schemas.settings.settings import Settings
from sinks.closing.bases import Bases
from sinks.closing.close import Closer
from sinks.closing.completeness import Completeness
from sinks.closing.cut import Cuts
from sinks.closing.deliveries import Deliveries
from sinks.closing.drop import DropMaker
from sinks.closing.intent import Intentions
from sinks.closing.offsets import KafkaOffsets
from sinks.closing.read_plan import ReadPlanner
from sinks.closing.rebase import Rebase
from sinks.closing.removals import Removals
from sinks.closing.selection import Selection
from sinks.erasure.deletions import Deletions, Mend
from sinks.erasure.eraser import Eraser
from sinks.exports.export import Export
from sinks.installation import Installation, KafkaLookups
from sinks.ledger.ledger import Ledger
from sinks.ledger.receipts import Receipts
from sinks.locations import Locations, Transferbox, transferbox_of
from sinks.repair.leftovers import Leftovers
from sinks.repair.retention import Retention
from sinks.repair.revise import Reviser
from sinks.repair.sweep import Sweeper
from streams.reading.fetch import UnreadableBatchError
from streams.reading.kafka import TopicMissingError
from streams.recovery.set_aside import SetAsides, set_aside_by
from streams.setup import Streams
from streams.storage.coverage import tile
from streams.storage.layout import TopicPartition

_NOWHERE: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Sinks:
    """All parts of one installation's closes."""

    settings: Settings
    streams: Streams
    exports: tuple[Export, ...]
    locations: Locations
    cuts: Cuts
    ledger: Ledger
    closer: Closer
    rebase: Rebase
    offsets: KafkaOffsets
    eraser: Eraser
    retention: Retention

    @property
    def installation(self) -> Installation:
        """The installation, for what needs no close."""
        streams = self.streams
        return Installation(
            self.settings,
            self.exports,
            streams.topics,
            streams.partitions,
            self.ledger,
            self.locations,
            lambda: KafkaLookups(streams.kafka, self.offsets),
        )

    @property
    def reviser(self) -> Reviser:
        """The part that makes drops again."""
        return self.eraser.reviser

    @property
    def sweeper(self) -> Sweeper:
        """The part that finishes half steps of earlier runs."""
        return Sweeper(self.reviser, self.eraser.leftovers)

    @classmethod
    def of(cls, settings: Settings) -> Sinks:
        """Build all parts, without connecting; raises DefinitionError if a definition is wrong."""
        offsets = KafkaOffsets(settings.kafka)
        return cls.over(settings, Streams.of(settings), offsets)

    @classmethod
    def over(cls, settings: Settings, streams: Streams, offsets: KafkaOffsets) -> Sinks:
        """Build all parts over given streams and lookups of offsets."""
        store, partitions = streams.partitions.store, streams.partitions
        prefix, scratch = settings.kafka.topic_prefix, settings.root / "scratch"
        cuts = Cuts(store, streams.kafka, offsets, partitions, settings.kafka.clock_seconds)
        opened = Installation.over(
            settings, streams.catalog, partitions, lambda: KafkaLookups(streams.kafka, offsets)
        )
        ledger, bases = opened.ledger, Bases(store)
        selection = Selection(
            prefix=prefix,
            catalog=streams.catalog,
            partitions=partitions,
            bases=bases,
            ledger=ledger,
            scratch=scratch,
            memory_limit=settings.close.memory_limit,
            firsts_days=settings.close.firsts_days,
            repeat_hours=settings.close.repeat_hours,
        )
        intentions = Intentions(
            ReadPlanner(prefix, settings.close.repeat_hours, cuts, bases),
            partitions,
            _completeness(settings, streams, offsets),
            Removals(prefix, partitions, cuts, selection.later_deletions),
        )
        deliveries = Deliveries(opened.locations, Receipts(store), scratch)
        closer = Closer(intentions, DropMaker(selection, scratch), ledger, deliveries)
        transferbox = transferbox_of(settings)
        reviser = Reviser(closer, cuts, transferbox, prefix)
        rebase = Rebase(cuts, bases, intentions, selection)
        eraser = _eraser(settings, streams, reviser, bases, offsets)
        retention = _retention(settings, ledger, transferbox)
        parts = (cuts, ledger, closer, rebase, offsets, eraser, retention)
        return cls(settings, streams, opened.exports, opened.locations, *parts)


def _eraser(
    settings: Settings, streams: Streams, reviser: Reviser, bases: Bases, offsets: KafkaOffsets
) -> Eraser:
    scratch = settings.root / "scratch"
    deletions = Deletions(
        partitions=streams.partitions,
        tombstones=streams.tombstones,
        catalog=streams.catalog,
        scratch=scratch,
        memory_limit=settings.close.memory_limit,
        repeat_hours=settings.close.repeat_hours,
        mend=_mending(streams),
        log_start=_log_start(streams, offsets),
        cuts=reviser.cuts,
    )
    return Eraser(
        prefix=settings.kafka.topic_prefix,
        catalog=streams.catalog,
        partitions=streams.partitions,
        tombstones=streams.tombstones,
        bases=bases,
        cuts=reviser.cuts,
        deletions=deletions,
        reviser=reviser,
        leftovers=Leftovers(streams.partitions, bases, scratch, reviser.transferbox),
    )


def _retention(settings: Settings, ledger: Ledger, transferbox: Transferbox) -> Retention:
    days = settings.transferbox.retention_days
    return Retention(ledger, Receipts(ledger.store), transferbox, days)


def _mending(streams: Streams) -> Mend:
    """Return a function that reads a hole again.

    If a batch can't be read, it sets the partition aside, as a worker does, and raises
    PartitionError.
    """
    asides = SetAsides(streams.partitions)

    def mend(partition: TopicPartition, first: int, end: int) -> object:
        writer = streams.writers[partition.topic]
        try:
            return streams.range_reader.read(writer, partition, first, end)
        except UnreadableBatchError as error:
            holes = tile(streams.partitions.coverage(partition), first, end).holes
            stands = holes[0].first if holes else first  # everything before it was stored
            aside = asides.record(set_aside_by(error, partition, stands))
            raise PartitionError(error.what, where=aside.where, hint=aside.settled_by) from error

    return mend


def _log_start(streams: Streams, offsets: KafkaOffsets) -> Callable[[TopicPartition], int]:
    """Return a function that asks Kafka where a partition's log starts.

    If the partition's topic was deleted or created again since, it returns an offset behind all
    others.
    """

    def log_start(owner: TopicPartition) -> int:
        try:
            now = streams.kafka.identities([owner.topic])[owner.topic].topic_id
        except TopicMissingError:
            return _NOWHERE
        return offsets.start(owner.topic, owner.partition) if now == owner.topic_id else _NOWHERE

    return log_start


def _completeness(settings: Settings, streams: Streams, offsets: KafkaOffsets) -> Completeness:
    return Completeness(
        streams.partitions,
        fingerprints=lambda topic: {s.name: s.fingerprint for s in streams.streams[topic]},
        mend=_mending(streams),
        log_start=lambda partition: offsets.start(partition.topic, partition.partition),
        wait_seconds=settings.close.wait_seconds,
    )
