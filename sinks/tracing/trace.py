"""Where events are stored, and their outcomes in exports (SPEC §7, *trace*).

Nothing personal is shown: an event is identified by its ids and moments.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from schemas.events import KINDS
from schemas.one_line import joined
from sinks.rendering.zones import zone
from sinks.rules.campaigns import CLOSES_TO_WAIT
from sinks.setup import Sinks
from sinks.tracing.elsewhere import NOWHERE, Elsewhere, look_elsewhere, traced_record
from sinks.tracing.finding import Days, Finder, StoredEvent
from sinks.tracing.report import ExportTrace, TracedEvent, TracedTakeOut, TraceReport
from sinks.tracing.verdict import HELD, REMOVED, Verdict, Verdicts
from streams.dead_letters.read import LetterReader

__all__ = ["Trace", "TraceScope", "Traced", "trace_event", "trace_profile"]

_DAY = dt.timedelta(days=1)

_WHY: Mapping[str, str] = {
    HELD: "nothing of the drop was sent; `deltadrop status` says what settles it",
    REMOVED: "what the close read was removed since",
}
"""Explanations of outcomes that no rule of SPEC gives."""


@dataclass(frozen=True, slots=True)
class TraceScope:
    """Limits for the trace of a profile: exports by name (None: all), one of their closes, and the
    maximum number of events.
    """

    exports: tuple[str, ...] | None = None
    instant: dt.datetime | None = None
    most: int = 20


@dataclass(frozen=True, slots=True)
class Traced:
    """An event with its verdicts."""

    event: StoredEvent
    verdicts: tuple[Verdict, ...]

    @property
    def report(self) -> TracedEvent:
        """Return the same for `--json`."""
        event = self.event
        return TracedEvent(
            str(event.event_id),
            event.topic.name,
            str(event.owner.topic_id),
            event.owner.partition,
            event.offset,
            _utc(event.appended_at),
            event.event_type,
            event.source,
            None if _is_unknown(event) else _utc(event.occurred_at),
            event.ids,
            event.files,
            _taken_out(event),
            tuple(map(_export_trace, self.verdicts)),
        )


@dataclass(frozen=True, slots=True)
class Trace:
    """The found events, by time of append. zones: time zones of the exports by name, for their
    moments.

    elsewhere: where the event is if it isn't stored; set only if that was searched.
    """

    events: tuple[Traced, ...]
    zones: Mapping[str, str]
    elsewhere: Elsewhere = NOWHERE

    @property
    def is_found(self) -> bool:
        """Whether anything was found."""
        elsewhere = self.elsewhere
        found = elsewhere.dead_letters or elsewhere.not_stored or elsewhere.passed_over
        return bool(self.events or found)

    @property
    def report(self) -> TraceReport:
        """Return the same for `--json`."""
        elsewhere = self.elsewhere
        return TraceReport(
            tuple(traced.report for traced in self.events),
            elsewhere.letters,
            tuple(map(traced_record, elsewhere.not_stored)),
            elsewhere.passed_over_records,
            elsewhere.remarks,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the object that `--json` prints, a `TraceReport`."""
        return self.report.to_json()

    def __str__(self) -> str:
        """Return the text for people."""
        events = [joined(self._lines(traced)) for traced in self.events]
        return "\n\n".join([*events, *filter(None, [str(self.elsewhere)])])

    def _lines(self, traced: Traced) -> Iterator[str]:
        event = traced.event
        ids = ", ".join(f"{name} {number}" for name, number in event.ids.items())
        yield f"{event.event_id}  {event.topic.local} {event.event_type}, {ids}"
        occurred = "unreadable" if _is_unknown(event) else _utc(event.occurred_at)
        yield f"  occurred  {occurred}, source {event.source}"
        place = f"{event.topic.name}/{event.owner.partition}, offset {event.offset}"
        yield f"  appended  {_utc(event.appended_at)}, {place}"
        yield from (f"  stored    {file}" for file in event.files)
        if taken := event.taken_out:
            columns = f" (unreadable: {', '.join(taken.columns)})" if taken.columns else ""
            yield f"  taken out {taken.taken_out_at}{columns}: {taken.reason}"
        if not traced.verdicts:
            yield "  no export is fed by it: it counts as state only, if any reads its topic"
        width = max((len(verdict.export) for verdict in traced.verdicts), default=0)
        for verdict in traced.verdicts:
            yield f"  {verdict.export:{width}}  {self._outcome_text(verdict)}"
            if verdict.rule is not None:
                yield f"  {'':{width}}  {verdict.why} ({verdict.rule})"

    def _outcome_text(self, verdict: Verdict) -> str:
        text = verdict.outcome
        if verdict.line is not None:
            text += f": line {verdict.line:,} of {verdict.file}"
        elif verdict.file is not None:
            text += f" in {verdict.file}"
        elif verdict.outcome in _WHY:
            text += f": {_WHY[verdict.outcome]}"
        if verdict.end is None:
            return text
        begin = f"{self._local(verdict, verdict.begin)} to " if verdict.begin else "until "
        text += f"  (window {begin}{self._local(verdict, verdict.end)}"
        if verdict.close is not None and verdict.close != verdict.end:
            text += f", looked up again at {self._local(verdict, verdict.close)}"
        return f"{text})"

    def _local(self, verdict: Verdict, moment: dt.datetime) -> str:
        own = zone(self.zones.get(verdict.export, "UTC"))
        return moment.astimezone(own).isoformat(sep=" ", timespec="seconds")


def trace_event(
    sinks: Sinks, event_id: UUID, days: Days, letters: LetterReader | None = None
) -> Trace:
    """Find an event, its repeats and their outcomes, with the lines. If it isn't stored, search the
    dead letters, and the records that no worker has stored.
    """
    repeat_hours = sinks.settings.close.repeat_hours
    found = _finder(sinks).by_id(event_id, days, repeat_hours)
    traced = _traced(sinks, found, _verdicts(sinks).of(found, counting=True))
    if found or letters is None:
        return traced
    return replace(traced, elsewhere=look_elsewhere(sinks, event_id, letters))


def trace_profile(sinks: Sinks, profile_id: int, database: str, scope: TraceScope) -> Trace:
    """Find the latest events of a profile and their outcomes. For one close, find all events, with
    the lines.
    """
    verdicts, one_close = _verdicts(sinks, scope.instant), scope.instant is not None
    if scope.exports is None:
        own = (topic for topic in sinks.streams.topics.values() if topic.database == database)
        wanted = {topic: set(map(str, KINDS[topic.kind].event_types)) for topic in own}
    else:
        fed = verdicts.fed_by(scope.exports)
        own = (topic for topic in fed if topic.database == database)
        wanted = {topic: fed[topic] for topic in own if topic.name in sinks.streams.topics}
    days, most = (_days(sinks, scope), _ALL) if one_close else (Days(), scope.most)
    found = _finder(sinks).of_profile(profile_id, wanted, days, most)
    came = verdicts.of(found, names=scope.exports, counting=one_close)
    if one_close:
        came = {
            place: [verdict for verdict in some if verdict.close == scope.instant]
            for place, some in came.items()
        }
        found = [event for event in found if came[event.place]]
    return _traced(sinks, found, came)


_ALL = 1_000_000


def _days(sinks: Sinks, scope: TraceScope) -> Days:
    """Return the days of append whose events a close can judge: those of its window, and those of
    the windows before it, whose events may have waited.
    """
    assert scope.instant is not None
    first = scope.instant
    for name in scope.exports or ():
        before = [instant for instant in sinks.ledger.closes(name) if instant <= scope.instant]
        for instant in before[-CLOSES_TO_WAIT - 1 :]:
            intent = sinks.ledger.intent(name, instant)
            if intent is None or intent.initial:
                return Days(None, (scope.instant + _DAY).date())
            first = min(first, intent.window_start)
    # A day more on both sides: clocks of brokers differ from ours.
    return Days((first - _DAY).date(), (scope.instant + _DAY).date())


def _finder(sinks: Sinks) -> Finder:
    settings = sinks.settings
    return Finder(sinks.streams, settings.close.memory_limit, settings.root / "scratch")


def _verdicts(sinks: Sinks, until: dt.datetime | None = None) -> Verdicts:
    return Verdicts(sinks.exports, sinks.reviser, sinks.closer.maker.selection, until)


def _traced(
    sinks: Sinks, events: Sequence[StoredEvent], verdicts: Mapping[Any, Sequence[Verdict]]
) -> Trace:
    traced = tuple(Traced(event, tuple(verdicts[event.place])) for event in events)
    return Trace(traced, {export.name: export.zone_name for export in sinks.exports})


def _is_unknown(event: StoredEvent) -> bool:
    """Whether an event's moment is unknown: its row was taken out, as `occurredAt` is
    unreadable.
    """
    return event.taken_out is not None and "occurredAt" in event.taken_out.columns


def _taken_out(event: StoredEvent) -> TracedTakeOut | None:
    taken = event.taken_out
    if taken is None:
        return None
    return TracedTakeOut(taken.reason, taken.taken_out_at, taken.columns)


def _export_trace(verdict: Verdict) -> ExportTrace:
    begin, end, close = (
        _utc(moment) if moment else None for moment in (verdict.begin, verdict.end, verdict.close)
    )
    return ExportTrace(
        verdict.export,
        verdict.outcome,
        begin,
        end,
        close,
        verdict.drop,
        verdict.file,
        verdict.line,
        verdict.rule,
        verdict.why,
        verdict.by,
    )


def _utc(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).isoformat(timespec="milliseconds")
