"""Events as tables: the chosen events of a topic's partitions, ready for the plan.

Columns and types are those that today's definitions declare, whatever the files have.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import ibis
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.derive import arrow_schema
from schemas.tables import Catalog
from schemas.topics import Topic
from sinks.engine.engine import QueryEngine, Table
from sinks.engine.unreadable import Read
from streams.storage.choice import Choice
from streams.storage.coverage import Tile, Tiling
from streams.storage.layout import TakenOutPath, TopicPartition
from streams.storage.partitions import FileSlice, Partitions
from streams.storage.stream import builtin_name
from streams.storage.stream_files import META


@dataclass(frozen=True, slots=True)
class Narrowed:
    """The part of a topic that concerns some keys: the records of these keys, and all records with
    one of their eventIds, so that repeats are found.
    """

    topic: Topic
    key: str
    keys: tuple[int, ...]
    event_ids: tuple[UUID, ...]

    def of(self, topic: Topic, table: Table) -> Table:
        """Narrow a table of events, or a state by its key; leave other topics' tables whole."""
        if topic != self.topic or self.key not in table.columns:
            return table
        wanted = table[self.key].isin(self.keys)
        if "eventId" in table.columns:
            wanted = wanted.fill_null(False) | table["eventId"].isin(self.event_ids)
        return table.filter(wanted)


class EventSource:
    """Makes tables of events on one engine. narrowed: read only a part of one topic. taken_out:
    rows that count as dead letters.

    `read` records which files of which topic the tables are made of.
    """

    def __init__(
        self,
        engine: QueryEngine,
        partitions: Partitions,
        catalog: Catalog,
        narrowed: Narrowed | None = None,
        taken_out: Collection[TakenOutPath] = (),
    ) -> None:
        self.taken_out = frozenset(taken_out)
        self.read: list[Read] = []
        self._engine = engine
        self._partitions = partitions
        self._catalog = catalog
        self._narrowed = narrowed
        self._schemas: dict[Topic, pa.Schema] = {}

    def events(self, topic: Topic, event_types: Iterable[str], choices: Sequence[Choice]) -> Table:
        """Return the events of these types in the choices: the topic's columns and META.

        Rows come in no particular order; `eventId` is a UUID, moments are timestamps in UTC. Rows
        that were taken out are left out.
        """
        carried = self.carried(topic, event_types, choices)
        taken_out = [row for choice in choices for row in self._taken_out_of(choice)]
        if not taken_out:
            return carried
        places = [
            (carried["_partition"] == n) & carried["_offset"].isin(o) for n, o in _by(taken_out)
        ]
        return carried.filter(~ibis.or_(*places))

    def carried(self, topic: Topic, event_types: Iterable[str], choices: Sequence[Choice]) -> Table:
        """Return the same events with the rows that were taken out: they still make repeats, and
        they use up firsts.
        """
        chosen = [self._partitions.chosen(choice.partition, choice.tiling) for choice in choices]
        slices = [
            piece
            for event_type in sorted(event_types)
            for piece in self._partitions.slices(builtin_name(topic, event_type), chosen)
        ]
        self.read += [Read(topic.name, piece, tuple(chosen)) for piece in slices]
        return self.narrowed(topic, self._engine.events(self._schema(topic), slices))

    def _schema(self, topic: Topic) -> pa.Schema:
        if topic not in self._schemas:
            self._schemas[topic] = pa.schema([*arrow_schema(topic, self._catalog), *META])
        return self._schemas[topic]

    def narrowed(self, topic: Topic, table: Table) -> Table:
        """Narrow a topic's table to the part that is read (`Narrowed`)."""
        return table if self._narrowed is None else self._narrowed.of(topic, table)

    def file(self, path: Path) -> Table:
        """Return the rows of a Parquet file on this machine."""
        return self._file(str(path), path)

    def stored(self, name: str) -> Table:
        """Return the rows of a stored Parquet file."""
        (path,) = self._partitions.store.local([name])
        return self._file(name, path)

    def _file(self, name: str, path: Path) -> Table:
        self.read.append(Read("", FileSlice(name, path, ())))
        return self._engine.file(path)

    def table(self, name: str, rows: pa.Table) -> Table:
        """Return rows as a table. name: unique among such tables."""
        path = self.scratch / f"{name}.parquet"
        pq.write_table(rows, path)
        return self.file(path)

    @property
    def scratch(self) -> Path:
        """A folder for files; it lives as long as the engine."""
        return self._engine.scratch

    def dead_letters(self, choices: Sequence[Choice]) -> int:
        """Count the dead letters in the choices; rows that were taken out count too."""
        return sum(len(self._dead(choice)) for choice in choices)

    def _dead(self, choice: Choice) -> set[int]:
        chosen = self._partitions.chosen(choice.partition, choice.tiling)
        taken_out = {row.offset for row in self._taken_out_of(choice)}
        return {offset for offset, _ in chosen.dead_letters} | taken_out

    def _taken_out_of(self, choice: Choice) -> list[TakenOutPath]:
        return [
            row
            for row in self.taken_out
            if row.partition == choice.partition
            and any(piece.first <= row.offset < piece.next for piece in choice.tiling.tiles)
        ]


def taken_out_of(partitions: Partitions, choices: Iterable[Choice]) -> tuple[TakenOutPath, ...]:
    """Return the rows that are taken out by now and stand before the ends of the choices. Rows from
    before their beginnings are included: a waiting fact may stand there.
    """
    return partitions.taken_out.within({c.partition: c.tiling.next for c in choices})


def _by(rows: Iterable[TakenOutPath]) -> list[tuple[int, list[int]]]:
    """Offsets by partition."""
    offsets: dict[int, list[int]] = defaultdict(list)
    for row in sorted(rows):
        offsets[row.partition.partition].append(row.offset)
    return list(offsets.items())


def clip(
    choices: Iterable[Choice], bounds: Mapping[TopicPartition, tuple[int, int]]
) -> tuple[Choice, ...]:
    """Return the part of each choice within its bounds `[first, next)`; leave out choices without
    bounds.
    """
    return tuple(
        Choice(choice.partition, _clip(choice.tiling, *bounds[choice.partition]))
        for choice in choices
        if choice.partition in bounds
    )


def _clip(tiling: Tiling, first: int, end: int) -> Tiling:
    low, high = (
        max(tiling.first, first),
        max(min(tiling.next, end), tiling.first, first),
    )
    tiles = tuple(
        Tile(piece.record, max(piece.first, low), min(piece.next, high))
        for piece in tiling.tiles
        if piece.first < high and piece.next > low
    )
    return Tiling(low, high, tiles, ())
