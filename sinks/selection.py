"""Select a drop: bring the tables that its intent names to the rules, and hand out what they say.

The plan runs on embedded DuckDB, with a memory limit and a folder to spill to.
"""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq
from ibis.backends.duckdb import Backend

from schemas.events import KINDS, EventType, Kind
from schemas.tables import Catalog
from schemas.topics import Topic
from sinks.bases import Base, Bases
from sinks.cut import TopicCut
from sinks.exports import Export
from sinks.instants import milliseconds
from sinks.intent import topics_read
from sinks.ledger import Choice, Deletion, Intent, Ledger
from sinks.rules import (
    EMAIL_RULES,
    ROW_RULES,
    ActivityFacts,
    Outcome,
    RowFacts,
    balance,
    drop_of_activities,
    drop_of_rows,
)
from sinks.source import EventSource, clip
from sinks.state import POSITION, Firsts, fold_campaigns, fold_firsts, fold_rows, repeats
from sinks.state.engine import fetched, streamed
from sinks.types import Line
from streams.layout import TopicPartition
from streams.partitions import Partitions

_FIRSTS: Final = (EventType.OPENED, EventType.CLICKED)
_EVERYTHING: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Selected:
    """What a drop holds: its lines in order, what became of every record, and what waits.

    `waiting` is a Parquet file for the next close (`Ledger.waiting_name`). `input` is counted by
    itself, before any rule: the balance is held against it. `late` counts the window's records that
    occurred before it began, by UTC day of the event.
    """

    lines: Iterator[pa.RecordBatch]
    input: int
    outcomes: Mapping[Outcome, int]
    waiting: bytes | None
    warnings: tuple[str, ...]
    late: Mapping[dt.date, int]


@dataclass(frozen=True, slots=True)
class Selection:
    """Selects drops from partitions, bases and the ledger."""

    prefix: str
    catalog: Catalog
    partitions: Partitions
    bases: Bases
    ledger: Ledger
    scratch: Path
    memory_limit: str
    firsts_days: int
    repeat_hours: int

    @contextmanager
    def select(self, intent: Intent, export: Export) -> Iterator[Selected]:
        """Select the drop of an intent; its lines can be read until the context ends."""
        with self._reading(intent.bases, intent.choices) as reading:
            yield reading.drop(intent, export)

    def later_deletions(
        self, profiles: Topic, cut: TopicCut, choices: Sequence[Choice]
    ) -> tuple[Deletion, ...]:
        """Return the deletions of profiles that were recorded after a cut, up to now.

        choices: those of the profile topic up to the cut; with them a repeat of an earlier deletion
        is recognised.
        """
        later = self._covered_beyond(profiles, cut)
        if not later:
            return ()
        with self._reading({}, (*choices, *later)) as reading:
            events = reading.source.events(profiles, [EventType.DELETED], later)
            told = events.anti_join(reading.repeated(profiles), ("_partition", "_offset"))
            found = {
                Deletion(
                    row["profileId"],
                    milliseconds(row["occurredAt"]),
                    milliseconds(row["_appended_at"]),
                )
                for row in fetched(told.select("profileId", "occurredAt", "_appended_at"))
            }
        return tuple(
            sorted(found, key=lambda one: (one.profile_id, one.appended_at, one.occurred_at))
        )

    def remake(
        self, topic: Topic, cut: TopicCut, base: str | None, choices: Sequence[Choice]
    ) -> Base:
        """Make a base of a topic at a cut from the one before it and the rows since."""
        with self._reading({topic.name: base} if base else {}, choices) as reading:
            return self.bases.write(cut, reading.state(topic))

    def _covered_beyond(self, topic: Topic, cut: TopicCut) -> tuple[Choice, ...]:
        found = []
        for number, offset in enumerate(cut.offsets):
            owner = TopicPartition(topic.name, cut.topic_id, number)
            ends = [path.next for path in self.partitions.coverage(owner) if path.next > offset]
            if ends:
                found.append(
                    Choice(owner, self.partitions.choose(owner, offset, max(ends), {}).tiling)
                )
        return tuple(found)

    @contextmanager
    def _reading(self, bases: Mapping[str, str], choices: Sequence[Choice]) -> Iterator[_Reading]:
        self.scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.scratch) as spill:
            connection = ibis.duckdb.connect(memory_limit=self.memory_limit, temp_directory=spill)
            connection.raw_sql("SET TimeZone = 'UTC'")
            try:
                yield _Reading(self, connection, Path(spill), bases, choices)
            finally:
                connection.disconnect()


class _Reading:
    """The tables of one close on one connection."""

    def __init__(
        self,
        selection: Selection,
        connection: Backend,
        scratch: Path,
        bases: Mapping[str, str],
        choices: Sequence[Choice],
    ) -> None:
        self.source = EventSource(connection, selection.partitions, selection.catalog, scratch)
        self._selection = selection
        self._connection = connection
        self._scratch = scratch
        self._bases = bases
        self._choices = choices
        self._repeated: dict[Topic, ir.Table] = {}

    def drop(self, intent: Intent, export: Export) -> Selected:
        """Run the rules of the export's type."""
        own, *others = topics_read(export, self._selection.prefix)
        later = self._deleted_later(intent.deletions)
        window = self._within(own, intent.window[own.name])
        if export.type.line is Line.ROW:
            return self._rows(export, own, window, intent, later)
        return self._activities(export, own, others[0], window, intent, later)

    def _rows(
        self,
        export: Export,
        own: Topic,
        window: Sequence[Choice],
        intent: Intent,
        later: ir.Table | None,
    ) -> Selected:
        events = self.source.events(own, KINDS[own.kind].event_types, window)
        facts = RowFacts(
            events, self.repeated(own), self._profiles(own, intent.window[own.name]), later
        )
        columns = [headed.column for headed in export.columns]
        drop = drop_of_rows(ROW_RULES[export.definition.event], facts, columns)
        input_events = events.filter(
            events["eventType"].isin([str(t) for t in export.increment.feeds])
        )
        return Selected(
            _lines(drop.lines),
            self._input(input_events, window),
            self._outcomes(drop.verdicts, window),
            None,
            _said(
                {"creations of rows that lived: their deletion was missed": drop.missed_deletions()}
            ),
            _late(input_events, intent.window_start),
        )

    def _activities(
        self,
        export: Export,
        own: Topic,
        profiles: Topic,
        window: Sequence[Choice],
        intent: Intent,
        later: ir.Table | None,
    ) -> Selected:
        rule = EMAIL_RULES[export.definition.event]
        events = self.source.events(own, export.increment.feeds, window)
        facts = ActivityFacts(
            window=events,
            repeated=self.repeated(own),
            campaigns=self._campaigns(),
            profiles=self._profiles(profiles),
            firsts=self._firsts(own, intent.window[own.name]) if rule.firsts else None,
            waiting=self._waiting(intent),
            deleted_later=later,
        )
        columns = [headed.column for headed in export.columns]
        drop = drop_of_activities(rule, facts, columns, intent.instant, self._selection.firsts_days)
        waited = _count(facts.waiting) if facts.waiting is not None else 0
        return Selected(
            _lines(drop.lines),
            self._input(events, window) + waited,
            self._outcomes(drop.verdicts, window),
            self._waits(drop.waiting),
            _said({"lines of profiles that were never seen": drop.never_seen()}),
            _late(events, intent.window_start),
        )

    def repeated(self, topic: Topic) -> ir.Table:
        """Find the repeats among all that is read of a topic; once."""
        if topic not in self._repeated:
            everything = self.source.events(topic, KINDS[topic.kind].event_types, self._of(topic))
            prior = everything.select("eventId", "_partition", "_offset", "_appended_at")
            self._repeated[topic] = repeats(prior, self._selection.repeat_hours)
        return self._repeated[topic]

    def _input(self, events: ir.Table, window: Sequence[Choice]) -> int:
        return _count(events) + self.source.dead_letters(window)

    def _outcomes(self, verdicts: ir.Table, window: Sequence[Choice]) -> Mapping[Outcome, int]:
        return {**balance(verdicts), Outcome.DEAD_LETTER: self.source.dead_letters(window)}

    def _profiles(
        self, topic: Topic, before: Mapping[int, tuple[int, int]] | None = None
    ) -> ir.Table:
        """The profiles at the cut, or before a window: base and rows since."""
        since = self._since(topic, before)
        events = self.source.events(topic, KINDS[topic.kind].event_types, since)
        return fold_rows(self._base(topic, "rows"), events, self.repeated(topic))

    def _campaigns(self) -> ir.Table:
        topic = Topic(Kind.CAMPAIGN, prefix=self._selection.prefix)
        events = self.source.events(topic, KINDS[topic.kind].event_types, self._since(topic))
        return fold_campaigns(self._base(topic, "campaigns"), events, self.repeated(topic))

    def _firsts(self, topic: Topic, before: Mapping[int, tuple[int, int]] | None = None) -> Firsts:
        interactions, links = self._base(topic, "interactions"), self._base(topic, "links")
        base = (
            Firsts(interactions, links) if interactions is not None and links is not None else None
        )
        events = self.source.events(topic, _FIRSTS, self._since(topic, before))
        return fold_firsts(base, events, self.repeated(topic), self._selection.firsts_days)

    def state(self, topic: Topic) -> dict[str, Callable[[], pa.RecordBatchReader]]:
        """Say how each table of a base is read, in order of ids: closes skip by statistics."""
        match topic.kind:
            case Kind.PROFILE:
                tables = {"rows": self._profiles(topic).order_by("profileId")}
            case Kind.CAMPAIGN:
                tables = {"campaigns": self._campaigns().order_by("campaignId")}
            case _:
                firsts = self._firsts(topic)
                tables = {
                    "interactions": firsts.interactions.order_by("interactionId"),
                    "links": firsts.links.order_by("interactionId", "clickedUrl"),
                }
        return {name: partial(streamed, table) for name, table in tables.items()}

    def _of(self, topic: Topic) -> tuple[Choice, ...]:
        return tuple(choice for choice in self._choices if choice.partition.topic == topic.name)

    def _within(self, topic: Topic, bounds: Mapping[int, tuple[int, int]]) -> tuple[Choice, ...]:
        own = self._of(topic)
        return clip(own, {c.partition: bounds[c.partition.partition] for c in own})

    def _since(
        self, topic: Topic, before: Mapping[int, tuple[int, int]] | None = None
    ) -> tuple[Choice, ...]:
        """What came after the topic's base, up to the cut or to where a window begins."""
        own = self._of(topic)
        known: tuple[int, ...] = ()
        if topic.name in self._bases:
            known = self._selection.bases.base(topic.name, self._bases[topic.name]).cut.offsets
        bounds = {}
        for choice in own:
            number = choice.partition.partition
            first = known[number] if number < len(known) else 0
            bounds[choice.partition] = (
                first,
                before[number][0] if before is not None else _EVERYTHING,
            )
        return clip(own, bounds)

    def _base(self, topic: Topic, table: str) -> ir.Table | None:
        if topic.name not in self._bases:
            return None
        path = self._selection.bases.table(topic.name, self._bases[topic.name], table)
        return self._connection.read_parquet(path)

    def _waits(self, waiting: ir.Table) -> bytes:
        file = self._scratch / "waiting.parquet"
        waiting.order_by(*POSITION).to_parquet(file)
        return file.read_bytes()

    def _waiting(self, intent: Intent) -> ir.Table | None:
        if intent.previous_drop is None:
            return None
        name = self._selection.ledger.waiting_name(intent.export, intent.window_start)
        return self._connection.read_parquet(self._selection.ledger.store.location(name))

    def _deleted_later(self, deletions: Sequence[Deletion]) -> ir.Table | None:
        if not deletions:
            return None
        ids = sorted({deletion.profile_id for deletion in deletions})
        file = self._scratch / "deleted-later.parquet"
        pq.write_table(pa.table({"profileId": pa.array(ids, pa.int64())}), file)
        return self._connection.read_parquet(file)


def _lines(table: ir.Table) -> Iterator[pa.RecordBatch]:
    """Compute the lines when they are asked for: till the last is read, nothing else may run."""
    yield from streamed(table)


def _count(table: ir.Table) -> int:
    return int(fetched(table.agg(n=table.count()))[0]["n"])


def _late(events: ir.Table, start: dt.datetime) -> dict[dt.date, int]:
    late = events.filter(events["occurredAt"] < ibis.literal(start))
    days = late.group_by(day=late["occurredAt"].date()).agg(n=late.count()).order_by("day")
    return {row["day"]: row["n"] for row in fetched(days)}


def _said(counts: Mapping[str, int]) -> tuple[str, ...]:
    return tuple(f"{number} {what}" for what, number in counts.items() if number)
