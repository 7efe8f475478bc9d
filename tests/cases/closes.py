"""Closes over records in memory: the rules under test, asked as a close asks them."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count
from types import MappingProxyType
from typing import Any

import ibis
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.derive import arrow_schema
from schemas.events import KINDS, Kind
from schemas.tables import Catalog, TableKind
from schemas.topics import Topic
from sinks.engine.engine import Ordered, QueryEngine, query_rows, stream_batches
from sinks.exports.types import EXPORT_TYPES, ExportType, Increment, Line, columns_on_offer
from sinks.rules.columns import Origin, Subject
from sinks.rules.declared import FactRule, RowRule
from sinks.rules.facts import Facts, drop_of_facts
from sinks.rules.outcome import Outcome, balance
from sinks.rules.rows import RowFacts, drop_of_rows, initial_drop
from sinks.state.campaigns import fold_campaigns
from sinks.state.downloads import fold_downloads
from sinks.state.firsts import Firsts, fold_firsts
from sinks.state.lives import fold_rows
from sinks.state.repeats import repeats

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NAMESPACE = uuid.UUID(int=0)
META = [
    pa.field("_partition", pa.int32()),
    pa.field("_offset", pa.int64()),
    pa.field("_appended_at", pa.timestamp("ms", "UTC")),
]
Position = tuple[int, int]


@dataclass(frozen=True)
class Record:
    """A record of a topic; `event` as SPEC §8 writes it; append time in UTC milliseconds."""

    topic: Topic
    partition: int
    offset: int
    appended_at: int
    event: Mapping[str, Any]


@dataclass(frozen=True)
class CutAt:
    """An instant (UTC milliseconds), and by topic and partition the first offset after the cut."""

    instant: int
    offsets: Mapping[tuple[Topic, int], int]

    def is_after(self, record: Record) -> bool:
        return record.offset < self.offsets.get((record.topic, record.partition), 0)


NOTHING = CutAt(0, {})


@dataclass(frozen=True)
class Closed:
    """What a close gave: each input record's outcome, the lines, the waiting facts, the counts."""

    outcomes: Mapping[Position, str]
    lines: pa.Table
    balance: Mapping[str, int]
    warnings: int


@dataclass
class Closer:
    """Closes one export again and again, each time on an engine of its own (`on`). table: the
    custom table that it is of; sources: those that its filter lets pass.
    """

    catalog: Catalog
    export_type: str
    event_type: str
    database: str = "shop"
    prefix: str = "deltadrop"
    firsts_days: int = 400
    waiting: pa.Table | None = None
    of_table: str | None = None
    sources: frozenset[str] | None = None
    repeated: dict[tuple[Topic, int, int], ibis.Table] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=count)
    engine: QueryEngine = field(init=False)

    def on(self, engine: QueryEngine) -> Closer:
        """The same, on an engine that has no tables yet."""
        self.engine, self.numbers = engine, count()
        self.repeated.clear()
        return self

    @property
    def subject(self) -> Subject:
        table = self.catalog.tables[self.database, self.of_table] if self.of_table else None
        return Subject(self.catalog.databases[self.database], table)

    @property
    def type(self) -> ExportType:
        return EXPORT_TYPES[self.export_type]

    @property
    def increment(self) -> Increment:
        return self.type.increments[self.event_type]

    @property
    def own(self) -> Topic:
        return self.topic(self.increment.kind)

    def topic(self, kind: Kind) -> Topic:
        database = None if kind is Kind.CAMPAIGN else self.database
        return Topic(kind, database, self.of_table if kind is Kind.ROW else None, self.prefix)

    def close(
        self,
        records: Sequence[Record],
        start: CutAt,
        cut: CutAt,
        deleted_later: Mapping[int, int] = MappingProxyType({}),
        base: CutAt | None = None,
    ) -> Closed:
        """Close the window between two cuts. base: a cut not after `start` at which bases were
        made.
        """
        columns = columns_on_offer(self.type, self.increment, self.subject)
        told = Told(self, records, base)
        later = self._later(deleted_later)
        match self.increment.rule:
            case RowRule() as rule:
                rows = drop_of_rows(rule, self._row_facts(told, start, cut, later), columns)
                missed = rows.missed_deletions() + rows.never_seen
                return _closed(rows.verdicts, rows.lines, missed)
            case FactRule() as rule:
                facts = self._facts(rule, told, start, cut, later)
                instant = EPOCH + timedelta(milliseconds=cut.instant)
                drop = drop_of_facts(rule, facts, columns, instant, self.firsts_days)
                self.waiting = stream_batches(drop.waiting).read_all()
                return _closed(drop.verdicts, drop.lines, drop.never_seen)

    def close_initially(
        self,
        records: Sequence[Record],
        cut: CutAt,
        deleted_later: Mapping[int, int] = MappingProxyType({}),
    ) -> Closed:
        """Make an initial drop at a cut; no record of the window has an outcome there."""
        columns = columns_on_offer(self.type, self.increment, self.subject)
        later = self._later(deleted_later)
        facts = self._row_facts(Told(self, records, None), cut, cut, later)
        drop = initial_drop(facts, columns)
        lines = drop.lines.reader().read_all()
        counted = {outcome.label: number for outcome, number in balance(drop.verdicts).items()}
        assert counted["exported"] == len(lines)
        return Closed({}, lines, counted, drop.never_seen)

    def _later(self, deleted: Mapping[int, int]) -> ibis.Table:
        """The deletions recorded after a cut: by profile, when the last occurred (UTC ms)."""
        moments = pa.array(deleted.values(), pa.timestamp("ms", tz="UTC"))
        ids = pa.array(deleted, pa.int64())
        return self.table(pa.table({"profileId": ids, "occurredAt": moments}))

    def _row_facts(self, told: Told, start: CutAt, cut: CutAt, later: ibis.Table) -> RowFacts:
        own = self.own
        of_profile = own.kind is Kind.ROW and self.type.table is not TableKind.REPOSITORY
        return RowFacts(
            window=told.between(start, cut, own),
            repeated=told.repeated(own, cut),
            before=told.rows(own, start),
            deleted_later=later,
            key=KINDS[own.kind].key_field,
            origin=Origin.ROW if own.kind is Kind.ROW else Origin.PROFILE,
            profiles=told.profiles(cut) if of_profile else None,
        )

    def _facts(
        self, rule: FactRule, told: Told, start: CutAt, cut: CutAt, later: ibis.Table
    ) -> Facts:
        active = self.type.line is Line.ACTIVITY
        waiting = self.waiting if active else None
        return Facts(
            window=told.between(start, cut, self.own, [str(t) for t in self.increment.feeds]),
            repeated=told.repeated(self.own, cut),
            profiles=(None if self.type.table is TableKind.REPOSITORY else told.profiles(cut)),
            campaigns=told.campaigns(cut) if active else None,
            firsts=told.firsts(start) if rule.first_of else None,
            downloaded=told.downloaded(cut) if rule.until_downloaded else None,
            waiting=None if waiting is None else self.table(waiting),
            deleted_later=later,
            sources=self.sources,
        )

    def table(self, content: pa.Table) -> ibis.Table:
        file = self.engine.scratch / f"records-{next(self.numbers)}.parquet"
        pq.write_table(content, file)
        return self.engine.file(file)


@dataclass
class Told:
    """The records as a close reads them: events as tables, states from a base or from nothing."""

    closer: Closer
    records: Sequence[Record]
    base: CutAt | None

    def between(
        self, start: CutAt, cut: CutAt, topic: Topic, event_types: Sequence[str] | None = None
    ) -> ibis.Table:
        wanted = event_types or [str(kind) for kind in KINDS[topic.kind].event_types]
        chosen = [
            record
            for record in self.records
            if record.topic == topic
            and cut.is_after(record)
            and not start.is_after(record)
            and record.event["eventType"] in wanted
        ]
        return self.closer.table(table_of(chosen, topic, self.closer.catalog))

    def repeated(self, topic: Topic, cut: CutAt) -> ibis.Table:
        known = self.closer.repeated
        place = topic, cut.instant, sum(cut.offsets.values())
        if place not in known:
            known[place] = repeats(self.between(NOTHING, cut, topic))
        return known[place]

    def profiles(self, cut: CutAt) -> ibis.Table:
        return self.rows(self.closer.topic(Kind.PROFILE), cut)

    def rows(self, topic: Topic, cut: CutAt) -> ibis.Table:
        state = None
        for first, last in self._steps(cut):
            since = self.between(first, last, topic)
            repeated = self.repeated(topic, last)
            state = fold_rows(state, since, repeated, KINDS[topic.kind].key_field)
        assert state is not None
        return state

    def downloaded(self, cut: CutAt) -> ibis.Table:
        topic, state = self.closer.own, None
        for first, last in self._steps(cut):
            since = self.between(first, last, topic)
            state = fold_downloads(state, since, self.repeated(topic, last))
        assert state is not None
        return state

    def campaigns(self, cut: CutAt) -> ibis.Table:
        topic = self.closer.topic(Kind.CAMPAIGN)
        state = None
        for first, last in self._steps(cut):
            since = self.between(first, last, topic)
            state = fold_campaigns(state, since, self.repeated(topic, last))
        assert state is not None
        return state

    def firsts(self, cut: CutAt) -> Firsts:
        topic = self.closer.own
        state = None
        for first, last in self._steps(cut):
            since = self.between(first, last, topic, ["OPENED", "CLICKED"])
            repeated = self.repeated(topic, last)
            state = fold_firsts(state, since, repeated, self.closer.firsts_days)
        assert state is not None
        return state

    def _steps(self, cut: CutAt) -> list[tuple[CutAt, CutAt]]:
        if self.base is None:
            return [(NOTHING, cut)]
        return [(NOTHING, self.base), (self.base, cut)]


def _closed(verdicts: ibis.Table, lines: Ordered, warnings: int) -> Closed:
    outcomes = {
        (row["_partition"], row["_offset"]): Outcome(row["outcome"]).label
        for row in query_rows(verdicts)
    }
    counted = {outcome.label: number for outcome, number in balance(verdicts).items() if number}
    assert sum(counted.values()) == len(outcomes)
    return Closed(outcomes, lines.reader().read_all(), counted, warnings)


def table_of(records: Iterable[Record], topic: Topic, catalog: Catalog) -> pa.Table:
    """The table of a topic's records: as the streams' files hold them, texts instead of
    dictionaries.
    """
    schema = pa.schema([_plain(f) for f in [*arrow_schema(topic, catalog), *META]])
    rows = [_row(record, schema) for record in records]
    return pa.table(
        [pa.array([row.get(f.name) for row in rows], f.type) for f in schema], schema=schema
    )


def _plain(column: pa.Field) -> pa.Field:
    if column.name == "eventId":
        return pa.field("eventId", pa.string())
    kind = column.type
    return column.with_type(kind.value_type) if pa.types.is_dictionary(kind) else column


def _row(record: Record, schema: pa.Schema) -> dict[str, Any]:
    event = {name: _value(value, schema, name) for name, value in record.event.items()}
    event["eventId"] = str(uuid.uuid5(NAMESPACE, str(record.event["eventId"])))
    appended_at = EPOCH + timedelta(milliseconds=record.appended_at)
    place = {"_partition": record.partition, "_offset": record.offset, "_appended_at": appended_at}
    return {**event, **place}


def _value(value: Any, schema: pa.Schema, name: str) -> Any:
    return _typed(value, schema.field(name).type) if name in schema.names else value


def _typed(value: Any, kind: pa.DataType) -> Any:
    if value is None:
        return None
    if pa.types.is_struct(kind):
        return {f.name: _typed(value.get(f.name), f.type) for f in kind}
    if pa.types.is_timestamp(kind):
        moment = datetime.fromisoformat(value)
        return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    if pa.types.is_date(kind):
        return date.fromisoformat(value)
    if pa.types.is_decimal(kind):
        return Decimal(str(value)).quantize(Decimal(1).scaleb(-kind.scale))
    return value
