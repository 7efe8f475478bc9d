"""Where events went (SPEC §7, *trace*): where they are stored, and what became of them in exports.

Nothing personal is shown, of nobody: an event is told by its ids and moments.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any
from uuid import UUID

from schemas.events import KINDS
from sinks.rendering.zones import zone
from sinks.rules.campaigns import CLOSES_TO_WAIT
from sinks.setup import Sinks
from sinks.tracing.elsewhere import NOWHERE, Elsewhere, look_elsewhere
from sinks.tracing.fate import HELD, REMOVED, Fate, Fates
from sinks.tracing.finding import Days, Finder, StoredEvent
from streams.dead_letters.read import LetterReader

__all__ = ["Asked", "Trace", "Traced", "trace_event", "trace_profile"]

_DAY = dt.timedelta(days=1)

_WHY: Mapping[str, str] = {
    HELD: "nothing of the drop was sent; `deltadrop status` says what settles it",
    REMOVED: "what the close read was removed since",
}
"""What it means, where no rule of SPEC decides."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a trace of a profile is narrowed to: exports by name (None: all), one close of them, and
    how many events at most.
    """

    exports: tuple[str, ...] | None = None
    instant: dt.datetime | None = None
    most: int = 20


@dataclass(frozen=True, slots=True)
class Traced:
    """An event, and what came of it."""

    event: StoredEvent
    fates: tuple[Fate, ...]

    def to_dict(self) -> dict[str, Any]:
        """Its fields, for scripts."""
        event = self.event
        return {
            "event_id": str(event.event_id),
            "topic": event.topic.name,
            "topic_id": str(event.owner.topic_id),
            "partition": event.owner.partition,
            "offset": event.offset,
            "appended_at": _utc(event.appended_at),
            "event_type": event.event_type,
            "source": event.source,
            "occurred_at": None if _is_unknown(event) else _utc(event.occurred_at),
            **event.ids,
            "files": list(event.files),
            "taken_out": _taken_out_dict(event),
            "exports": [_fate_dict(fate) for fate in self.fates],
        }


@dataclass(frozen=True, slots=True)
class Trace:
    """What was found, by time of append. zones: of the exports, by name, to tell moments in.

    elsewhere: where an event is that isn't stored, if it was looked for.
    """

    events: tuple[Traced, ...]
    zones: Mapping[str, str]
    elsewhere: Elsewhere = NOWHERE

    @property
    def is_found(self) -> bool:
        """Whether anything was."""
        elsewhere = self.elsewhere
        found = elsewhere.dead_letters or elsewhere.not_stored or elsewhere.passed_over
        return bool(self.events or found)

    def to_json(self) -> str:
        """Serialise, for scripts."""
        told = {"events": [one.to_dict() for one in self.events], **self.elsewhere.to_dict()}
        return json.dumps(told, indent=2)

    def __str__(self) -> str:
        """For people."""
        events = ["\n".join(self._lines(one)) for one in self.events]
        return "\n\n".join([*events, *filter(None, [str(self.elsewhere)])])

    def _lines(self, one: Traced) -> Iterator[str]:
        event = one.event
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
        if not one.fates:
            yield "  no export is fed by it: it counts as state only, if any reads its topic"
        width = max((len(fate.export) for fate in one.fates), default=0)
        for fate in one.fates:
            yield f"  {fate.export:{width}}  {self._told(fate)}"
            if fate.rule is not None:
                yield f"  {'':{width}}  {fate.why} ({fate.rule})"

    def _told(self, fate: Fate) -> str:
        told = fate.outcome
        if fate.line is not None:
            told += f": line {fate.line:,} of {fate.file}"
        elif fate.file is not None:
            told += f" in {fate.file}"
        elif fate.outcome in _WHY:
            told += f": {_WHY[fate.outcome]}"
        if fate.end is None:
            return told
        begin = f"{self._local(fate, fate.begin)} to " if fate.begin else "until "
        told += f"  (window {begin}{self._local(fate, fate.end)}"
        if fate.close is not None and fate.close != fate.end:
            told += f", looked up again at {self._local(fate, fate.close)}"
        return f"{told})"

    def _local(self, fate: Fate, moment: dt.datetime) -> str:
        own = zone(self.zones.get(fate.export, "UTC"))
        return moment.astimezone(own).isoformat(sep=" ", timespec="seconds")


def trace_event(
    sinks: Sinks, event_id: UUID, days: Days, letters: LetterReader | None = None
) -> Trace:
    """Find an event and its repeats, and what came of them, with the lines; where it isn't stored,
    look for it in the dead letters and in what Kafka has beyond.
    """
    repeat_hours = sinks.settings.close.repeat_hours
    found = _finder(sinks).by_id(event_id, days, repeat_hours)
    traced = _traced(sinks, found, _fates(sinks).of(found, counting=True))
    if found or letters is None:
        return traced
    return replace(traced, elsewhere=look_elsewhere(sinks, event_id, letters))


def trace_profile(sinks: Sinks, profile_id: int, database: str, asked: Asked) -> Trace:
    """Find the latest events of a profile, and what came of them; of one close all, with the
    lines.
    """
    fates, one_close = _fates(sinks, asked.instant), asked.instant is not None
    if asked.exports is None:
        own = (one for one in sinks.streams.topics.values() if one.database == database)
        wanted = {topic: set(map(str, KINDS[topic.kind].event_types)) for topic in own}
    else:
        fed = fates.fed_by(asked.exports)
        own = (one for one in fed if one.database == database)
        wanted = {one: fed[one] for one in own if one.name in sinks.streams.topics}
    days, most = (_days(sinks, asked), _ALL) if one_close else (Days(), asked.most)
    found = _finder(sinks).of_profile(profile_id, wanted, days, most)
    came = fates.of(found, names=asked.exports, counting=one_close)
    if one_close:
        came = {
            place: [fate for fate in some if fate.close == asked.instant]
            for place, some in came.items()
        }
        found = [event for event in found if came[event.place]]
    return _traced(sinks, found, came)


_ALL = 1_000_000


def _days(sinks: Sinks, asked: Asked) -> Days:
    """The days of append whose events a close may judge: its window's, and those of the windows
    before it, whose events may have waited.
    """
    assert asked.instant is not None
    first = asked.instant
    for name in asked.exports or ():
        before = [one for one in sinks.ledger.closes(name) if one <= asked.instant]
        for instant in before[-CLOSES_TO_WAIT - 1 :]:
            intent = sinks.ledger.intent(name, instant)
            if intent is None or intent.initial:
                return Days(None, (asked.instant + _DAY).date())
            first = min(first, intent.window_start)
    # A day more on both sides: clocks of brokers differ from ours.
    return Days((first - _DAY).date(), (asked.instant + _DAY).date())


def _finder(sinks: Sinks) -> Finder:
    settings = sinks.settings
    return Finder(sinks.streams, settings.close.memory_limit, settings.root / "scratch")


def _fates(sinks: Sinks, until: dt.datetime | None = None) -> Fates:
    return Fates(sinks.exports, sinks.reviser, sinks.closer.maker.selection, until)


def _traced(
    sinks: Sinks, events: Sequence[StoredEvent], fates: Mapping[Any, Sequence[Fate]]
) -> Trace:
    traced = tuple(Traced(event, tuple(fates[event.place])) for event in events)
    return Trace(traced, {export.name: export.zone_name for export in sinks.exports})


def _is_unknown(event: StoredEvent) -> bool:
    """Whether nobody knows when an event occurred: its row was taken out, and made readable."""
    return event.taken_out is not None and "occurredAt" in event.taken_out.columns


def _taken_out_dict(event: StoredEvent) -> dict[str, Any] | None:
    taken = event.taken_out
    if taken is None:
        return None
    return {
        "reason": taken.reason,
        "taken_out_at": taken.taken_out_at,
        "columns": list(taken.columns),
    }


def _fate_dict(fate: Fate) -> dict[str, Any]:
    told = asdict(fate)
    for name in ("begin", "end", "close"):
        told[name] = _utc(told[name]) if told[name] else None
    return told


def _utc(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).isoformat(timespec="milliseconds")
