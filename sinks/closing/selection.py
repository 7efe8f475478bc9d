"""Select a drop: give the tables of its intent to the rules, and return their result.

The plan runs on an engine with a memory limit and a folder to spill to.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from uuid import UUID

import pyarrow as pa

from schemas.events import KINDS, EventType, Kind
from schemas.tables import AttributeType, Catalog
from schemas.topics import Topic
from sinks.closing.bases import Base, Bases
from sinks.closing.cut import TopicCut
from sinks.closing.losses import PassedSpan, passed_over_of_intent
from sinks.closing.planning import planning
from sinks.closing.reading import Reading
from sinks.editions import WAITED_ARE_LATE, refuse_later
from sinks.engine.engine import Table, query_files, query_rows
from sinks.engine.engines import open_engine
from sinks.engine.event_source import EventSource, Narrowed, taken_out_of
from sinks.engine.unreadable import explain_unreadable
from sinks.exports.export import Export
from sinks.instants import milliseconds
from sinks.ledger.intent import Deletion, Intent
from sinks.ledger.ledger import Ledger
from sinks.rules.columns import EVENT_ID, Column, Origin
from sinks.rules.declared import FactRule, RowRule
from sinks.rules.facts import FactDrop, Facts, drop_of_facts
from sinks.rules.late import late_by_day
from sinks.rules.lines import members_of
from sinks.rules.outcome import Outcome, balance
from sinks.rules.rows import RowDrop, RowFacts, drop_of_rows, initial_drop
from sinks.state.order import POSITION
from sinks.wording import counted
from streams.storage.choice import Choice
from streams.storage.layout import TakenOutPath, TopicPartition
from streams.storage.partitions import Partitions


@dataclass(frozen=True, slots=True)
class Selected:
    """The content of a drop: its lines in order, the outcome of every record, and what waits.

    waiting: a Parquet file for the next close (`Ledger.waiting_name`), if any fact waits. input:
    counted before any rule, to check the balance; the verdicts of an initial drop. late: records
    that occurred before the window, by UTC day of the event. passed_over: offsets passed over.
    """

    lines: Iterator[pa.RecordBatch]
    input: int
    outcomes: Mapping[Outcome, int]
    waiting: bytes | None
    warnings: tuple[str, ...]
    late: Mapping[dt.date, int]
    passed_over: tuple[PassedSpan, ...] = ()


@dataclass(frozen=True, slots=True)
class Judged:
    """The verdicts on a window's records (`FactDrop.verdicts` or `RowDrop.verdicts`), and the
    tables that they were read from. Both are valid as long as the context lasts.
    """

    verdicts: Table
    reading: Reading


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
        with self._reading_of(intent, export) as reading:
            selected = _Drop(self, reading, intent, export).select()
            passed_over = passed_over_of_intent(intent, self.partitions)
            yield replace(selected, passed_over=passed_over)

    @contextmanager
    def judged(
        self, intent: Intent, export: Export, narrowed: Narrowed | None = None
    ) -> Iterator[Judged]:
        """Judge the records of an intent's window as its close does, without making lines; the
        verdicts can be read until the context ends.

        narrowed: a part of the export's own topic; verdicts on other records are then void.
        """
        with self._reading_of(intent, export, narrowed) as reading:
            yield Judged(_Drop(self, reading, intent, export).verdicts(), reading)

    def later_deletions(
        self, profiles: Topic, cut: TopicCut, choices: Sequence[Choice]
    ) -> tuple[Deletion, ...]:
        """Return the deletions of profiles that were recorded after a cut, up to now.

        choices: those of the profile topic up to the cut, to recognise repeats of earlier
        deletions.
        """
        later = self._covered_beyond(profiles, cut)
        if not later:
            return ()
        read = (*choices, *later)
        with self._reading({}, read, taken_out_of(self.partitions, read)) as reading:
            events = reading.source.events(profiles, [EventType.DELETED], later)
            recorded = events.anti_join(reading.repeated(profiles), ("_partition", "_offset"))
            found = {
                Deletion(
                    row["profileId"],
                    milliseconds(row["occurredAt"]),
                    milliseconds(row["_appended_at"]),
                )
                for row in query_rows(recorded.select("profileId", "occurredAt", "_appended_at"))
            }
        return tuple(
            sorted(
                found,
                key=lambda deletion: (
                    deletion.profile_id,
                    deletion.appended_at,
                    deletion.occurred_at,
                ),
            )
        )

    def event_ids(
        self, topic: Topic, key: str, keys: Sequence[int], intent: Intent
    ) -> tuple[UUID, ...]:
        """Return the eventIds of a topic's records with some keys, among all that a close reads."""
        choices = [choice for choice in intent.choices if choice.partition.topic == topic.name]
        with self._reading({}, choices) as reading:
            events = reading.source.carried(topic, KINDS[topic.kind].event_types, choices)
            found = query_files(events.filter(events[key].isin(keys)).select("eventId"))
        return tuple(sorted({UUID(str(row["eventId"])) for row in found}))

    def remake(
        self, topic: Topic, cut: TopicCut, base: str | None, choices: Sequence[Choice]
    ) -> Base:
        """Make a base of a topic at a cut, from the base before it and the rows since."""
        taken_out = taken_out_of(self.partitions, choices)
        with self._reading({topic.name: base} if base else {}, choices, taken_out) as reading:
            return self.bases.write(cut, reading.state(topic), taken_out)

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

    def _reading_of(
        self, intent: Intent, export: Export, narrowed: Narrowed | None = None
    ) -> AbstractContextManager[Reading]:
        """Open what an intent names, by the definitions that decided it."""
        return self._reading(
            intent.bases, intent.choices, intent.taken_out, narrowed, export.catalog
        )

    @contextmanager
    def _reading(
        self,
        named: Mapping[str, str],
        choices: Sequence[Choice],
        taken_out: Sequence[TakenOutPath] = (),
        narrowed: Narrowed | None = None,
        catalog: Catalog | None = None,
    ) -> Iterator[Reading]:
        with open_engine(self.memory_limit, self.scratch) as engine, planning():
            declared = catalog or self.catalog
            source = EventSource(engine, self.partitions, declared, narrowed, taken_out)
            reading = Reading(
                source,
                self.bases,
                named,
                choices,
                firsts_days=self.firsts_days,
                repeat_hours=self.repeat_hours,
            )
            with explain_unreadable(lambda: source.read):
                yield reading


class _Drop:
    """The selection of one drop: the input of its rule, and the result."""

    def __init__(
        self, selection: Selection, reading: Reading, intent: Intent, export: Export
    ) -> None:
        refuse_later(intent.edition, intent.drop_id)
        self._selection = selection
        self._reading = reading
        self._intent = intent
        self._export = export
        topics = {topic.kind: topic for topic in export.topics_read(selection.prefix)}
        self._own = export.topic(selection.prefix)
        self._profiles, self._campaigns = topics.get(Kind.PROFILE), topics.get(Kind.CAMPAIGN)
        self._window = reading.within(self._own, intent.window[self._own.name])
        self._columns = [headed.column for headed in export.columns]

    def select(self) -> Selected:
        """Run the rule of the export's event type."""
        match self._export.increment.rule:
            case RowRule() as rule:
                return self._initial() if self._intent.initial else self._rows(rule)
            case FactRule() as rule:
                return self._facts(rule)

    def verdicts(self) -> Table:
        """Run the rule up to the verdicts: `FactDrop.verdicts` or `RowDrop.verdicts`. Columns and
        profiles are left out, as they don't change verdicts.
        """
        self._profiles = None
        match self._export.increment.rule:
            case RowRule() as rule:
                self._columns = [self._key_column()]
                drop = self._initial_drop() if self._intent.initial else self._row_drop(rule)[0]
                return drop.verdicts
            case FactRule() as rule:
                self._columns = [EVENT_ID]
                return self._fact_drop(rule, self._fact_input(rule)).verdicts

    def _key_column(self) -> Column:
        key, origin = KINDS[self._own.kind].key_field, self._origin
        return Column(key, AttributeType.INTEGER, origin, (key,), key)

    @property
    def _origin(self) -> Origin:
        return Origin.PROFILE if self._own.kind is Kind.PROFILE else Origin.ROW

    def _row_drop(self, rule: RowRule) -> tuple[RowDrop, Table]:
        """Return the drop, and the events of its window."""
        events = self._reading.source.events(
            self._own, KINDS[self._own.kind].event_types, self._window
        )
        edition, bounds = self._intent.edition, self._intent.window[self._own.name]
        before = self._reading.rows(self._own, bounds, edition=edition)
        return drop_of_rows(rule, self._row_facts(events, before), self._columns), events

    def _rows(self, rule: RowRule) -> Selected:
        drop, events = self._row_drop(rule)
        fed = events.filter(
            events["eventType"].isin([str(t) for t in self._export.increment.feeds])
        )
        return Selected(
            drop.lines.batches(),
            self._input(fed),
            self._outcomes(drop),
            None,
            (*_missed(drop.missed_deletions()), *_unseen(drop.never_seen)),
            late_by_day(fed, self._intent.window_start),
        )

    def _initial_drop(self) -> RowDrop:
        nothing = self._reading.source.events(self._own, [], ())
        rows = self._reading.rows(self._own, edition=self._intent.edition)
        return initial_drop(self._row_facts(nothing, rows), self._columns)

    def _initial(self) -> Selected:
        drop = self._initial_drop()
        outcomes = balance(drop.verdicts)
        warnings = _unseen(drop.never_seen)
        return Selected(drop.lines.batches(), _count(drop.verdicts), outcomes, None, warnings, {})

    def _row_facts(self, events: Table, before: Table) -> RowFacts:
        return RowFacts(
            window=events,
            repeated=self._reading.repeated(self._own),
            before=before,
            deleted_later=self._deleted_later(),
            key=KINDS[self._own.kind].key_field,
            origin=self._origin,
            profiles=None if self._origin is Origin.PROFILE else self._beside(),
            edition=self._intent.edition,
        )

    def _fact_input(self, rule: FactRule) -> Facts:
        reading, own = self._reading, self._own
        sources = self._export.definition.accepted_sources
        rows = [path for path in self._intent.taken_out if path.partition.topic == own.name]
        return Facts(
            window=reading.source.carried(own, self._export.increment.feeds, self._window),
            taken_out=reading.places(rows) if rows else None,
            repeated=reading.repeated(own),
            profiles=self._beside(),
            campaigns=reading.campaigns(self._campaigns) if self._campaigns else None,
            firsts=(reading.firsts(own, self._intent.window[own.name]) if rule.first_of else None),
            downloaded=reading.downloaded(own) if rule.until_downloaded else None,
            waiting=self._waiting() if self._campaigns else None,
            deleted_later=self._deleted_later(),
            sources=None if sources is None else frozenset(map(str, sources)),
            edition=self._intent.edition,
        )

    def _fact_drop(self, rule: FactRule, facts: Facts) -> FactDrop:
        return drop_of_facts(
            rule, facts, self._columns, self._intent.instant, self._selection.firsts_days
        )

    def _facts(self, rule: FactRule) -> Selected:
        facts = self._fact_input(rule)
        counted = self._input(facts.counted)
        late = self._late_facts(facts)
        drop = self._fact_drop(rule, facts)
        waited = _count(facts.waiting) if facts.waiting is not None else 0
        outcomes = self._outcomes(drop)
        waits = outcomes[Outcome.WAITING] > 0
        return Selected(
            drop.lines.batches(),
            counted + waited,
            outcomes,
            self._reading.stored("waiting", drop.waiting, POSITION) if waits else None,
            _unseen(drop.never_seen),
            late,
        )

    def _late_facts(self, facts: Facts) -> dict[dt.date, int]:
        """Count input from before the window; since an edition also what waited for campaigns."""
        late = Counter(late_by_day(facts.counted, self._intent.window_start))
        if facts.waiting is not None and self._intent.edition >= WAITED_ARE_LATE.edition:
            late.update(late_by_day(facts.waiting, self._intent.window_start))
        return dict(sorted(late.items()))

    def _beside(self) -> Table | None:
        """Return the profiles of the lines, with the attributes that the columns take from them."""
        if self._profiles is None:
            return None
        return self._reading.rows(
            self._profiles,
            attributes=members_of(self._columns, Origin.PROFILE, "attributes"),
            edition=self._intent.edition,
        )

    def _input(self, events: Table) -> int:
        return int(query_files(events.agg(n=events.count()))[0]["n"]) + self._dead_letters

    def _outcomes(self, drop: RowDrop | FactDrop) -> Mapping[Outcome, int]:
        """Return the balance. Of dead letters, the rule knows only those that waited in vain."""
        waited = drop.waited_in_vain() if isinstance(drop, FactDrop) else 0
        return {**balance(drop.verdicts), Outcome.DEAD_LETTER: self._dead_letters + waited}

    @cached_property
    def _dead_letters(self) -> int:
        return self._reading.source.dead_letters(self._window)

    def _waiting(self) -> Table | None:
        if self._intent.previous_drop is None:
            return None
        ledger = self._selection.ledger
        previous = ledger.outcome(self._intent.export, self._intent.window_start)
        if previous is not None and not previous.balance[Outcome.WAITING.label]:
            return None
        name = ledger.waiting_name(self._intent.export, self._intent.window_start)
        return self._reading.source.stored(name)

    def _deleted_later(self) -> Table | None:
        found = self._intent.deletions
        return self._reading.deletions(found) if found else None


def _count(table: Table) -> int:
    return int(query_rows(table.agg(n=table.count()))[0]["n"])


def _unseen(lines: int) -> tuple[str, ...]:
    if not lines:
        return ()
    singular, many = "line of a profile that was", "lines of profiles that were"
    return (f"{counted(lines, singular, many)} never seen",)


def _missed(creations: int) -> tuple[str, ...]:
    if not creations:
        return ()
    singular, many = "creation of a row that lived", "creations of rows that lived"
    return (f"{counted(creations, singular, many)}: a deletion was missed",)
