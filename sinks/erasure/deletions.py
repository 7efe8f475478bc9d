"""Find the deletions of profiles in what workers have stored, and record them as tombstones.

Each pass continues where the last one ended, up to the first offset that isn't stored. Behind such
a hole, an apparent deletion may be the repeat of an earlier one, and the profile may have begun
another life since.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

import numpy as np
import pyarrow as pa

from schemas.errors import DeltadropError, PartitionError
from schemas.events import KINDS, EventType, Kind
from schemas.tables import Catalog
from schemas.topics import Topic
from sinks.closing.cut import Cuts, TopicCut
from sinks.closing.losses import Losses
from sinks.engine.engine import QueryEngine, Table, query_rows, stream_batches
from sinks.engine.engines import open_engine
from sinks.engine.event_source import EventSource, clip, taken_out_of
from sinks.engine.unreadable import explain_unreadable
from sinks.state.deletions import created_later, latest_deletions
from sinks.state.order import POSITION
from sinks.state.repeats import repeats, without_repeats
from streams.erasure.tombstones import (
    NOWHERE,
    TOMBSTONES,
    FoundTombstones,
    TombstoneFiles,
    Tombstones,
    TombstonesPath,
)
from streams.storage.choice import Choice
from streams.storage.layout import CoveragePath, TopicPartition
from streams.storage.partitions import Partitions

__all__ = ["Deletions", "Recorded"]

_MS_PER_HOUR: Final = 3_600_000

Mend = Callable[[TopicPartition, int, int], object]
"""Reads the offsets of a hole again; raises DeltadropError if it can't."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """The result of a pass: how many profiles' deletions it recorded, and what it can't look at."""

    profiles: int = 0
    holes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Deletions:
    """Finds the deletions in profile topics and records them."""

    partitions: Partitions
    tombstones: TombstoneFiles
    catalog: Catalog
    scratch: Path
    memory_limit: str
    repeat_hours: int
    mend: Mend
    log_start: Callable[[TopicPartition], int]
    cuts: Cuts

    def record(self, topic: Topic) -> Recorded:
        """Record the deletions in what was stored of a profile topic since the last pass.

        Raises PartitionError if another pass records at the same time, UnreadableError if stored
        rows can't be read.
        """
        profiles, holes = 0, []
        for topic_id, numbers in sorted(self.partitions.partitions_of(topic.name).items()):
            known = self.tombstones.looked_up_to(topic.name, UUID(topic_id))
            owners = [TopicPartition(topic.name, UUID(topic_id), n) for n in sorted(numbers)]
            begins, unknown = self._begins(owners, known)
            holes += unknown
            ranges = [
                self._range(owner, known.get(owner.partition), begins[owner.partition])
                for owner in owners
                if owner.partition in begins
            ]
            holes += [hole for span in ranges if (hole := span.hole)]
            if any(span.next > span.first for span in ranges):
                profiles += self._record(topic, UUID(topic_id), ranges)
        return Recorded(profiles, tuple(holes))

    def _record(self, topic: Topic, topic_id: UUID, ranges: Sequence[_Range]) -> int:
        path = TombstonesPath(topic.name, self.tombstones.last_number(topic.name) + 1)
        known = self.tombstones.known(topic.name)
        rows, deleted = self._find(topic, ranges, known)
        looked = {span.owner.partition: span.next for span in ranges}
        if not self.tombstones.add(path, FoundTombstones(topic_id, looked, rows)):
            raise PartitionError(
                what="another erase pass records deletions at the same time",
                where=topic.name,
                hint="run it again when that one has ended",
            )
        return deleted

    def _range(self, owner: TopicPartition, known: int | None, begin: int) -> _Range:
        """Return the offsets of a partition to look at: from the end of the last pass to a hole.

        begin: where to read from, to recognise repeats of earlier events. Holes are mended where
        possible.
        """
        paths = self.partitions.coverage(owner)
        first = known if known is not None else begin
        end = max((path.next for path in paths), default=first)
        holes = self.partitions.choose(owner, begin, max(end, first), {}).tiling.holes
        where, problem = f"{owner.topic}/{owner.partition}", ""
        for hole in Losses(self.partitions.store).without(owner, holes):
            try:
                self.mend(owner, hole.first, hole.next)
            except DeltadropError as error:
                problem = (
                    f"{where}: offsets {hole.first} to {hole.next} are not"
                    f" stored ({error.reason(where)}); deletions from there on are not erased yet"
                )
                end = hole.first
                break
        return _Range(owner, begin, first, max(end, first), problem)

    def _find(
        self, topic: Topic, ranges: Sequence[_Range], known: Tombstones
    ) -> tuple[pa.Table, int]:
        choices = [self._choice(span, span.begin) for span in ranges]
        bounds = {span.owner: (span.first, span.next) for span in ranges}
        with open_engine(self.memory_limit, self.scratch) as engine:
            source = self._source(engine, choices)
            records = self._records(source, topic, choices, clip(choices, bounds))
            before = source.table("known", _as_table(known))
            with explain_unreadable(lambda: source.read):
                found = stream_batches(latest_deletions(records, before)).read_all()
            found = self._with_late(engine, topic, ranges, found)
        return _rows(found, known)

    def _source(self, engine: QueryEngine, choices: Sequence[Choice]) -> EventSource:
        taken_out = taken_out_of(self.partitions, choices)
        return EventSource(engine, self.partitions, self.catalog, taken_out=taken_out)

    def _records(
        self,
        source: EventSource,
        topic: Topic,
        choices: Sequence[Choice],
        within: Sequence[Choice],
    ) -> Table:
        """Return a topic's records within some of the choices, without repeats of records in all
        choices.
        """
        prior = source.carried(topic, _TYPES, choices)
        repeated = repeats(prior.select("eventId", *POSITION, "_appended_at"), self.repeat_hours)
        return without_repeats(source.events(topic, _TYPES, within), repeated)

    def _with_late(
        self, engine: QueryEngine, topic: Topic, ranges: Sequence[_Range], found: pa.Table
    ) -> pa.Table:
        """Return what the new records say of each profile, corrected for late deletions.

        A deletion is late if its profile was created again after the deletion occurred, in records
        before the new ones. Only all of the profile's events can then say which life goes on, so
        these are read.
        """
        deleted = found.filter(found["deleted"]).select(["profileId", "occurred_at"])
        if not deleted.num_rows:
            return found
        everything = [self._choice(span, self._stored_from(span)) for span in ranges]
        source = self._source(engine, everything)
        before = clip(everything, {span.owner: (0, span.first) for span in ranges})
        created = source.events(topic, [EventType.CREATED], before)
        with explain_unreadable(lambda: source.read):
            late = created_later(created, source.table("deleted", deleted))
            if not query_rows(late.limit(1)):
                return found
            records = self._records(source, topic, everything, everything)
            nobody = source.table("nobody", _as_table(Tombstones.none()))
            anew = stream_batches(
                latest_deletions(records.semi_join(late, "profileId"), nobody)
            ).read_all()
        others = ~np.isin(found["profileId"].to_numpy(), anew["profileId"].to_numpy())
        return pa.concat_tables([found.filter(pa.array(others)), anew])

    def _stored_from(self, span: _Range) -> int:
        """Return the first stored offset of a partition."""
        return min(
            (path.first for path in self.partitions.coverage(span.owner)), default=span.first
        )

    def _choice(self, span: _Range, first: int) -> Choice:
        return Choice(span.owner, self.partitions.choose(span.owner, first, span.next, {}).tiling)

    def _begins(
        self, owners: Sequence[TopicPartition], known: Mapping[int, int]
    ) -> tuple[dict[int, int], list[str]]:
        """Return where to read each partition from, and messages on partitions where that is
        unknown.

        Reading begins early enough to recognise repeats of earlier events, stored or not. A
        partition that no pass has looked at is read from its beginning.
        """
        begins, unknown = self._beginnings([o for o in owners if o.partition not in known])
        looked = {o.partition: known[o.partition] for o in owners if o.partition in known}
        appended = [time for owner in owners for time in self._since_looked(owner, known)]
        if not appended:
            return begins | looked, unknown
        at = min(appended) - self.repeat_hours * _MS_PER_HOUR
        ends = tuple(looked.get(number, 0) for number in range(max(looked) + 1))
        now = dt.datetime.now(dt.UTC)
        found = self.cuts.stored_since(TopicCut(owners[0].topic, owners[0].topic_id, now, ends), at)
        return begins | {number: found[number].first for number in looked}, unknown

    def _beginnings(self, owners: Sequence[TopicPartition]) -> tuple[dict[int, int], list[str]]:
        """Return the beginnings of partitions that no pass has looked at.

        Offsets that are in Kafka and not stored count too, as they may have deletions. Also
        returned: messages on partitions where Kafka doesn't answer.
        """
        begins, unknown = {}, []
        for owner in owners:
            stored = min(path.first for path in self.partitions.coverage(owner))
            try:
                begins[owner.partition] = min(stored, self.log_start(owner)) if stored else 0
            except DeltadropError as error:
                where = f"{owner.topic}/{owner.partition}"
                unknown.append(
                    f"{where}: what Kafka has before offset {stored} can't be asked"
                    f" ({error.reason(where)}); its deletions are not erased yet"
                )
        return begins, unknown

    def _since_looked(self, owner: TopicPartition, known: Mapping[int, int]) -> Iterator[int]:
        """Yield the first append times of what was stored in a partition since the last pass.

        If there is any, the last append time of the record before is added, as a hole may lie
        between.
        """
        first = known.get(owner.partition)
        if first is None:
            return
        before: CoveragePath | None = None
        new = 0
        for path in self.partitions.coverage(owner):
            if path.next <= first:
                before = path
            elif (appended := self.partitions.record(path).appended) is not None:
                new += 1
                yield appended[0]
        if new and before and (appended := self.partitions.record(before).appended) is not None:
            yield appended[1]


@dataclass(frozen=True, slots=True)
class _Range:
    """Offsets `[first, next)` to look at, read from `begin` on to recognise repeats.

    hole: why the range ends at a hole; empty if it doesn't.
    """

    owner: TopicPartition
    begin: int
    first: int
    next: int
    hole: str


_MOMENT: Final = pa.timestamp("ms", tz="UTC")
_TYPES: Final = KINDS[Kind.PROFILE].event_types


def _as_table(known: Tombstones) -> pa.Table:
    until = pa.array(known.occurred_at, pa.int64()).cast(_MOMENT)
    ids = pa.array(known.profile_ids, pa.int64())
    return pa.table({"profileId": ids, "_known_until": until})


def _rows(found: pa.Table, known: Tombstones) -> tuple[pa.Table, int]:
    """Return the rows to record, and how many profiles were deleted.

    The rows are those of deleted profiles, and of known deleted profiles that live again.
    """
    ids = found["profileId"].to_numpy()
    deleted = found["deleted"].to_numpy().astype(np.bool_)
    index, has = known.found(ids)
    again = ~deleted & found["revived"].to_numpy().astype(np.bool_) & has
    again[again] = ~known.revived[index[again]]
    before = {
        "profileId": known.profile_ids,
        "appended_at": known.appended_at,
        "occurred_at": known.occurred_at,
        "partition": known.partition,
        "offset": known.offset,
        "revived": np.ones(len(known), np.bool_),
        "life_appended_at": known.life_appended_at,
        "life_partition": known.life_partition,
        "life_offset": known.life_offset,
    }
    alive = pa.table({name: pa.array(values[index[again]]) for name, values in before.items()})
    gone = found.select(TOMBSTONES.names).filter(pa.array(deleted))
    for name in ("appended_at", "occurred_at", "life_appended_at"):
        place = gone.schema.get_field_index(name)
        moments = gone[name].cast(_MOMENT).cast(pa.int64())
        gone = gone.set_column(place, name, moments.fill_null(NOWHERE))
    return pa.concat_tables([gone.cast(TOMBSTONES), alive.cast(TOMBSTONES)]), gone.num_rows
