"""Verdicts on stored events in each export: which close judged them, and its decision.

The close's own rules are run again on the input that its intent names (`Selection.judged`). Only
the event's own records are judged; the whole window is judged only to count a line.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any, Final

from schemas.errors import UnreadableFilesError
from schemas.events import KINDS
from schemas.topics import Topic
from sinks.closing.selection import Selection
from sinks.engine.engine import EngineFileError, Table, query_rows
from sinks.engine.event_source import Narrowed
from sinks.exports.export import Export
from sinks.exports.schedule import next_close
from sinks.ledger.intent import Intent
from sinks.ledger.outcome import CloseOutcome
from sinks.ledger.record import CloseRecord
from sinks.repair.revise import Reviser
from sinks.rules.campaigns import CLOSES_TO_WAIT
from sinks.rules.declared import RowRule
from sinks.rules.outcome import Outcome
from sinks.tracing.evidence import Evidence
from sinks.tracing.finding import Place, StoredEvent
from sinks.tracing.why import Reason, of_initial, reason_of
from streams.storage.layout import TakenOutPath

__all__ = ["BEGUN", "EARLIER", "HELD", "NOT_CLOSED", "REMOVED", "Verdict", "Verdicts"]

_WAITING: Final = Outcome.WAITING.label

NOT_CLOSED: Final = "not closed yet"
HELD: Final = "held"
BEGUN: Final = "close begun, not finished"
NO_LONGER: Final = "not closed, and the export is no longer defined"
EARLIER: Final = "before the export's first window"
REMOVED: Final = "can't be judged again"
IN_INITIAL: Final = "in the initial drop: its row lived at the cut"
NOT_IN_INITIAL: Final = "not in the initial drop"
UNSEEN: Final = "not among what the close read"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of an event in one export.

    outcome: a label of `rules.outcome.Outcome`, or one of this module. begin, end: the window that
    holds the event; if it isn't closed yet, `end` is its earliest end. close: the last close that
    judged the event; later than the window's own if the event waited for its campaign. line: line
    in the file, the header being 1; only if it was counted. rule: the rule of SPEC that gives the
    outcome, by its name there. why: what the rule found. by: position of the record that `why` is
    about.
    """

    export: str
    outcome: str
    begin: dt.datetime | None = None
    end: dt.datetime | None = None
    close: dt.datetime | None = None
    drop: str | None = None
    file: str | None = None
    line: int | None = None
    rule: str | None = None
    why: str | None = None
    by: str | None = None


@dataclass(frozen=True, slots=True)
class _Judgement:
    """The judgement of one close on an event."""

    outcome: str
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class _Close:
    """A close that was begun, with its current drop. `outcome` is None if it wasn't finished."""

    export: Export
    intent: Intent
    outcome: CloseOutcome | None
    is_held: bool

    @classmethod
    def of(cls, record: CloseRecord) -> _Close:
        """Return it from the ledger's record."""
        latest = record.latest
        intent = latest.intent if latest else record.decides
        outcome = latest.outcome if latest else None
        return cls(intent.decided_export, intent, outcome, record.waiting is not None)

    def holds(self, event: StoredEvent) -> bool:
        """Whether an event stands in its window."""
        bounds = self._bounds(event)
        return bounds is not None and bounds[0] <= event.offset < bounds[1]

    def is_before(self, event: StoredEvent) -> bool:
        """Whether its window ended before an event, or has nothing of the event's partition."""
        bounds = self._bounds(event)
        return bounds is None or bounds[1] <= event.offset

    def _bounds(self, event: StoredEvent) -> tuple[int, int] | None:
        if event.owner not in {choice.partition for choice in self.intent.choices}:
            return None  # another topic, or a topic that was created again
        return self.intent.window.get(event.topic.name, {}).get(event.owner.partition)


class Verdicts:
    """Finds outcomes of events; each close is read once.

    exports: those that are defined now. until: the last close to read; None: all closes.
    """

    def __init__(
        self,
        exports: Sequence[Export],
        reviser: Reviser,
        selection: Selection,
        until: dt.datetime | None = None,
    ) -> None:
        self._exports = {export.name: export for export in exports}
        self._reviser = reviser
        self._selection = selection
        self._until = until
        self._closes: dict[tuple[str, dt.datetime], _Close | None] = {}

    def of(
        self,
        events: Sequence[StoredEvent],
        *,
        names: Iterable[str] | None = None,
        counting: bool = False,
    ) -> dict[Place, list[Verdict]]:
        """Return the verdicts on events in each export that they feed, by the events' positions.

        names: of the exports; None: all. counting: find the lines too, which takes as long as
        judging a whole window.
        """
        ledger = self._reviser.ledger
        found: dict[Place, list[Verdict]] = {event.place: [] for event in events}
        wanted = {*self._exports, *ledger.exports()} if names is None else set(names)
        for name in sorted(wanted):
            closes = ledger.closes(name)
            instants = [at for at in closes if self._until is None or at <= self._until]
            export = self._exports.get(name) or self._as_closed(name, instants)
            fed = [event for event in events if export and self._feeds(export, event)]
            for place, verdict in self._in_export(name, fed, instants, counting):
                found[place].append(verdict)
        return found

    def fed_by(self, names: Iterable[str]) -> dict[Topic, set[str]]:
        """Return the event types that feed some exports, by topic."""
        found: dict[Topic, set[str]] = defaultdict(set)
        for name in names:
            instants = list(self._reviser.ledger.closes(name))
            export = self._exports.get(name) or self._as_closed(name, instants)
            if export is not None:
                fed = map(str, export.increment.feeds)
                found[export.topic(self._selection.prefix)].update(fed)
        return found

    def _as_closed(self, name: str, instants: Sequence[dt.datetime]) -> Export | None:
        last = self._close(name, instants[-1]) if instants else None
        return last.export if last else None

    def _feeds(self, export: Export, event: StoredEvent) -> bool:
        own = export.topic(self._selection.prefix)
        return own == event.topic and event.event_type in map(str, export.increment.feeds)

    def _in_export(
        self,
        name: str,
        events: Sequence[StoredEvent],
        instants: Sequence[dt.datetime],
        counting: bool,
    ) -> Iterator[tuple[Place, Verdict]]:
        in_window: dict[int, list[StoredEvent]] = defaultdict(list)
        for event in events:
            index = self._window_of(name, event, instants)
            if index is None:
                yield event.place, self._outside(name, event, instants)
            else:
                in_window[index].append(event)
        for index, together in sorted(in_window.items()):
            begun = [close for at in instants[index:] if (close := self._close(name, at))]
            closes = list(takewhile(lambda close: close.outcome is not None, begun))
            if not closes:
                outcome = HELD if begun and begun[0].is_held else BEGUN
                yield from ((event.place, _at(begun[:1], outcome)) for event in together)
                continue
            try:
                yield from self._judged(closes, together, counting)
            except (
                OSError,
                EngineFileError,
                UnreadableFilesError,
            ):  # the close's input has been removed since
                yield from ((event.place, _at(closes[:1], REMOVED)) for event in together)

    def _window_of(
        self, name: str, event: StoredEvent, instants: Sequence[dt.datetime]
    ) -> int | None:
        """Return the index of the close whose window holds an event; the append time gives the
        first guess.
        """
        near = bisect_right(instants, event.appended_at)
        for index in sorted(range(len(instants)), key=lambda place: abs(place - near)):
            found = self._close(name, instants[index])
            if found is not None and found.holds(event):
                return index
        return None

    def _outside(self, name: str, event: StoredEvent, instants: Sequence[dt.datetime]) -> Verdict:
        last = self._close(name, instants[-1]) if instants else None
        if last is not None and not last.is_before(event):
            return Verdict(name, EARLIER)
        if name not in self._exports:
            return Verdict(name, NO_LONGER)
        after = max([event.appended_at, *instants[-1:]])
        begin = instants[-1] if instants else None
        return Verdict(name, NOT_CLOSED, begin, next_close(self._exports[name], after))

    def _judged(
        self, closes: Sequence[_Close], events: Sequence[StoredEvent], counting: bool
    ) -> Iterator[tuple[Place, Verdict]]:
        """Judge events in the window's own close, then those that waited in the next closes."""
        left = list(events)
        for number, close in enumerate(closes[: CLOSES_TO_WAIT + 1], start=1):
            judgements = self._judgements(close, left)
            waiting = [event for event in left if judgements[event.place].outcome == _WAITING]
            is_last = close is closes[-1]
            for event in left if is_last else (e for e in left if e not in waiting):
                judgement = judgements[event.place]
                line = self._line(close, event) if counting and _is_in(judgement.outcome) else None
                verdict = _at(closes[:number], judgement.outcome, line)
                yield event.place, _because(verdict, judgement.reason)
            left = waiting
            if not left or is_last:
                return

    def _judgements(self, close: _Close, events: Sequence[StoredEvent]) -> dict[Place, _Judgement]:
        key = KINDS[events[0].topic.kind].key_field
        keys = tuple(sorted({event.ids[key] for event in events}))
        ids = self._selection.event_ids(events[0].topic, key, keys, close.intent)
        narrowed = Narrowed(events[0].topic, key, keys, ids)
        with self._selection.judged(close.intent, close.export, narrowed) as judged:
            if close.intent.initial:
                rows = query_rows(judged.verdicts.filter(judged.verdicts[key].isin(keys)))
                return {event.place: _initial(event.ids[key], key, rows) for event in events}
            days = self._selection.firsts_days
            evidence = Evidence(judged, close.intent, close.export, narrowed, days)
            return {event.place: _judgement(event, evidence) for event in events} | {
                event.place: _Judgement(Outcome.DEAD_LETTER.label, _TAKEN_OUT)
                for event in events
                if TakenOutPath(event.owner, event.offset) in close.intent.taken_out
            }

    def _line(self, close: _Close, event: StoredEvent) -> int:
        """Return the line of an exported event, the header being 1."""
        with self._selection.judged(close.intent, close.export) as judged:
            verdicts = judged.verdicts
            exported = verdicts.filter(verdicts["outcome"] == int(Outcome.EXPORTED))
            if isinstance(close.export.increment.rule, RowRule):
                key = KINDS[event.topic.kind].key_field
                before = exported.filter(exported[key] < event.ids[key])
            else:
                before = _before(exported, event)
            return int(query_rows(before.agg(lines=before.count()))[0]["lines"]) + 2

    def _close(self, name: str, instant: dt.datetime) -> _Close | None:
        known = self._closes
        if (name, instant) not in known:
            record = self._reviser.ledger.record_of(name, instant)
            known[name, instant] = None if record is None else _Close.of(record)
        return known[name, instant]


_TAKEN_OUT: Final = Reason("Balance: dead letter", "it can't be read, and was taken out (SPEC §6)")


def _judgement(event: StoredEvent, evidence: Evidence) -> _Judgement:
    outcome = evidence.outcomes.get((event.owner.partition, event.offset))
    if outcome is None:
        return _Judgement(UNSEEN)
    return _Judgement(outcome.label, reason_of(event, outcome, evidence))


def _initial(row: int, key: str, verdicts: Iterable[Mapping[str, Any]]) -> _Judgement:
    """Return the judgement of an initial drop on a row's event."""
    outcome = {verdict[key]: Outcome(verdict["outcome"]) for verdict in verdicts}.get(row)
    is_in = outcome is Outcome.EXPORTED
    return _Judgement(IN_INITIAL if is_in else NOT_IN_INITIAL, of_initial(outcome))


def _because(verdict: Verdict, reason: Reason | None) -> Verdict:
    if reason is None:
        return verdict
    return replace(verdict, rule=reason.rule, why=reason.finding, by=reason.place)


def _is_in(outcome: str) -> bool:
    """Whether an outcome means that the file has a line."""
    return outcome in (Outcome.EXPORTED.label, IN_INITIAL)


def _at(closes: Sequence[_Close], outcome: str, line: int | None = None) -> Verdict:
    """Return a verdict. closes: those that judged the event, the window's own first."""
    own, last = closes[0].intent, closes[-1]
    return Verdict(
        own.export,
        outcome,
        None if own.initial else own.window_start,
        own.instant,
        last.intent.instant,
        last.intent.drop_id,
        last.outcome.file if last.outcome and _is_in(outcome) else None,
        line,
    )


def _before(verdicts: Table, event: StoredEvent) -> Table:
    partition = verdicts["_partition"]
    same = (partition == event.owner.partition) & (verdicts["_offset"] < event.offset)
    return verdicts.filter(same | (partition < event.owner.partition))
