"""Find stored events by id, or those of a profile (SPEC §7, *trace*).

Days are searched from the newest backwards, a few at a time, and only the needed columns are read.
If a batch was written twice, each event is found once, in the file that readers use. The result
says where an event stands and which ids it names, and nothing personal.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.derive import arrow_schema
from schemas.events import KINDS
from schemas.topics import Topic
from sinks.engine.engine import FILE, QueryEngine, Table, query_files
from sinks.engine.engines import open_engine
from sinks.engine.unreadable import Read, explain_unreadable
from streams.setup import Streams
from streams.storage.layout import StreamFilePath, TakenOutPath, TopicPartition
from streams.storage.partitions import Chosen, FileSlice
from streams.storage.stream import builtin_name
from streams.storage.stream_files import META
from streams.storage.taken_out import TakenOut

__all__ = ["Days", "Finder", "Place", "StoredEvent"]

Place: TypeAlias = tuple[TopicPartition, int, int]
"""Position of an event: the partition with its topic's id, its number, and the offset."""

_HEADER: Final = ("eventId", "eventType", "source", "occurredAt", *(field.name for field in META))
_IDS: Final = ("profileId", "interactionId", "campaignId", "id")
_EVENT_ID: Final = pa.field("eventId", pa.uuid())


@dataclass(frozen=True, slots=True)
class Days:
    """UTC days of append to search, both included; None: from the first, or to the last."""

    first: dt.date | None = None
    last: dt.date | None = None

    def hold(self, day: dt.date) -> bool:
        """Whether a day is within the range."""
        return (self.first or day) <= day <= (self.last or day)


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event where it is stored.

    ids: the ids that it names. files: relative to the root; the built-in stream's file comes first.
    taken_out: that the row was taken out, and why.
    """

    topic: Topic
    owner: TopicPartition
    offset: int
    event_id: UUID
    event_type: str
    source: str
    occurred_at: dt.datetime
    appended_at: dt.datetime
    ids: Mapping[str, int]
    files: tuple[str, ...]
    taken_out: TakenOut | None = None

    @property
    def place(self) -> Place:
        """The event's position."""
        return self.owner, self.owner.partition, self.offset


@dataclass(frozen=True, slots=True)
class _Hit:
    """A matching row of a stream file."""

    path: StreamFilePath
    values: Mapping[str, Any]

    @property
    def place(self) -> tuple[int, int]:
        return self.values["_partition"], self.values["_offset"]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The search key: a column, and its value."""

    column: str
    value: UUID | int


class Finder:
    """Finds events in the built-in streams, which hold every event."""

    def __init__(self, streams: Streams, memory_limit: str, scratch: Path) -> None:
        self._streams = streams
        self._partitions = streams.partitions
        self._memory_limit = memory_limit
        self._scratch = scratch

    def by_id(self, event_id: UUID, days: Days, repeat_hours: int) -> list[StoredEvent]:
        """Find an event and its repeats; return them by time of append.

        Once the event is found, the search goes back only as far as a repeat can be.
        """
        wanted = _Wanted("eventId", event_id)
        found: list[StoredEvent] = []
        everything = {topic: _streams_of(topic) for topic in self._streams.topics.values()}
        with open_engine(self._memory_limit, self._scratch) as engine:
            for oldest, files in self._in_steps(self._files(everything, days)):
                everywhere = [path for paths in files.values() for path in paths]
                with self._explained(files):
                    hits = self._matching(engine, everywhere, wanted)
                for topic in files:
                    own = [path for path in hits if path.stream in _streams_of(topic)]
                    with self._explained({topic: own}):
                        found += self._stored(topic, self._hits(engine, topic, own, wanted))
                if found and oldest <= _oldest_repeated(found, repeat_hours):
                    break
        return sorted(found, key=_by_time)

    def of_profile(
        self, profile_id: int, event_types: Mapping[Topic, Iterable[str]], days: Days, most: int
    ) -> list[StoredEvent]:
        """Find the latest `most` events of a profile, of the given types of each topic; return them
        by time of append.
        """
        wanted = _Wanted("profileId", profile_id)
        found: list[StoredEvent] = []
        streams = {
            topic: {builtin_name(topic, event_type) for event_type in types}
            for topic, types in event_types.items()
            if wanted.column in self._schema(topic).names
        }
        with open_engine(self._memory_limit, self._scratch) as engine:
            for _, files in self._in_steps(self._files(streams, days)):
                for topic, paths in files.items():
                    with self._explained({topic: paths}):
                        found += self._stored(topic, self._hits(engine, topic, paths, wanted))
                if len(found) >= most:
                    break
        return sorted(found, key=_by_time)[-most:]

    def _files(
        self, streams: Mapping[Topic, Iterable[str]], days: Days
    ) -> dict[dt.date, dict[Topic, list[StreamFilePath]]]:
        """Return the files of some topics' built-in streams, by day."""
        found: dict[dt.date, dict[Topic, list[StreamFilePath]]] = defaultdict(dict)
        for topic, names in streams.items():
            for stream in sorted(names):
                stored = self._partitions.store.names(StreamFilePath.folder(stream))
                for path in StreamFilePath.among(stored):
                    if days.hold(path.day):
                        found[path.day].setdefault(topic, []).append(path)
        return found

    def _in_steps(
        self, files: Mapping[dt.date, Mapping[Topic, Sequence[StreamFilePath]]]
    ) -> Iterator[tuple[dt.date, dict[Topic, list[StreamFilePath]]]]:
        """Yield the files of a few days at a time, newest first, with the oldest of these days. The
        number of days doubles with each step.
        """
        days, step = sorted(files, reverse=True), 1
        while days:
            now, days = days[:step], days[step:]
            together: dict[Topic, list[StreamFilePath]] = defaultdict(list)
            for day in now:
                for topic, paths in files[day].items():
                    together[topic] += paths
            yield now[-1], together
            step *= 2

    def _matching(
        self, engine: QueryEngine, paths: Sequence[StreamFilePath], wanted: _Wanted
    ) -> list[StreamFilePath]:
        """Return the files that hold an event; one query reads one column of all files."""
        by_location = dict(zip(map(str, self._local(paths)), paths, strict=True))
        found = _wanted(engine, pa.schema([_EVENT_ID, FILE]), by_location, wanted)
        rows = query_files(found.select(FILE.name).distinct())
        return sorted(by_location[row[FILE.name]] for row in rows)

    def _hits(
        self, engine: QueryEngine, topic: Topic, paths: Sequence[StreamFilePath], wanted: _Wanted
    ) -> list[_Hit]:
        if not paths:
            return []
        by_location = dict(zip(map(str, self._local(paths)), paths, strict=True))
        rows = query_files(_wanted(engine, self._schema(topic).append(FILE), by_location, wanted))
        return [_Hit(by_location[row[FILE.name]], row) for row in rows]

    def _explained(
        self, files: Mapping[Topic, Iterable[StreamFilePath]]
    ) -> AbstractContextManager[None]:
        """See `explain_unreadable`; for files that are read whole."""
        return explain_unreadable(
            lambda: [
                Read(topic.name, FileSlice(str(path), local, ()))
                for topic, paths in ((topic, list(paths)) for topic, paths in files.items())
                for path, local in zip(paths, self._local(paths), strict=True)
            ]
        )

    def _schema(self, topic: Topic) -> pa.Schema:
        """Return the columns of a topic's events that are read."""
        declared = pa.schema([*arrow_schema(topic, self._streams.catalog), *META])
        names = [*_HEADER, *(name for name in _IDS if name in declared.names)]
        return pa.schema([declared.field(name) for name in names])

    def _stored(self, topic: Topic, hits: Iterable[_Hit]) -> Iterator[StoredEvent]:
        """Yield the events of some hits, each once; only of files that coverage names."""
        by_place: dict[tuple[int, int], list[_Hit]] = defaultdict(list)
        for hit in hits:
            by_place[hit.place].append(hit)
        known = self._partitions.partitions_of(topic.name) if by_place else {}
        for (partition, offset), same in sorted(by_place.items()):
            for topic_id in (UUID(text) for text in known if partition in known[text]):
                owner = TopicPartition(topic.name, topic_id, partition)
                chosen = self._partitions.choose(owner, offset, offset + 1, {})
                batches = {piece.record.batch for piece in chosen.tiling.tiles}
                for hit in (found for found in same if found.path.batch in batches):
                    yield self._event(topic, owner, hit, chosen)

    def _event(self, topic: Topic, owner: TopicPartition, hit: _Hit, chosen: Chosen) -> StoredEvent:
        values = hit.values
        ids = {name: values[name] for name in _IDS if values.get(name) is not None}
        return StoredEvent(
            topic,
            owner,
            values["_offset"],
            UUID(str(values["eventId"])),
            values["eventType"],
            values["source"],
            values["occurredAt"],
            values["_appended_at"],
            ids,
            (str(hit.path), *self._of_users(topic, hit, chosen)),
            self._partitions.taken_out.of(TakenOutPath(owner, values["_offset"])),
        )

    def _of_users(self, topic: Topic, hit: _Hit, chosen: Chosen) -> Iterator[str]:
        """Yield the files of users' streams that hold the event too."""
        builtin = _streams_of(topic)
        for record in chosen.records.values():
            for file in (written for written in record.files if written.stream not in builtin):
                partition, offset = hit.place
                place = [("_partition", "=", partition), ("_offset", "=", offset)]
                (location,) = self._partitions.store.local([file.path])
                columns = ["_offset"]
                with self._explained({topic: [StreamFilePath.parse(file.path)]}):
                    rows = pq.read_table(
                        location, columns=columns, filters=place, partitioning=None
                    )
                if rows.num_rows:
                    yield file.path

    def _local(self, paths: Iterable[StreamFilePath]) -> list[Path]:
        return self._partitions.store.local([str(path) for path in paths])


def _wanted(
    engine: QueryEngine,
    columns: pa.Schema,
    by_location: Mapping[str, StreamFilePath],
    wanted: _Wanted,
) -> Table:
    slices = [FileSlice(str(name), Path(at), ()) for at, name in by_location.items()]
    events = engine.events(columns, slices)
    return events.filter(events[wanted.column] == wanted.value)


def _streams_of(topic: Topic) -> set[str]:
    return {builtin_name(topic, event_type) for event_type in KINDS[topic.kind].event_types}


def _oldest_repeated(found: Iterable[StoredEvent], hours: int) -> dt.date:
    """Return the oldest day of a record that the first of some events can repeat."""
    first = min(event.appended_at for event in found)
    return (first - dt.timedelta(hours=hours)).date()


def _by_time(event: StoredEvent) -> tuple[dt.datetime, str, int, int]:
    return event.appended_at, event.topic.name, event.owner.partition, event.offset
