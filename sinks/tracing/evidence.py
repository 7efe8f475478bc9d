"""Evidence for an event's verdict: what a close knew of the records related to the event.

Of the close's records, it reads those of some keys and those with the same eventIds, and the states
that the close's rules use. Records from before a base aren't included.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from schemas.events import KINDS, EventType, Kind
from schemas.topics import Topic
from sinks.closing.reading import Before
from sinks.closing.selection import Judged
from sinks.editions import LATEST_DELETIONS
from sinks.engine.engine import query_rows
from sinks.engine.event_source import Narrowed
from sinks.exports.export import Export
from sinks.ledger.intent import Intent
from sinks.rules.outcome import Outcome
from sinks.state.order import POSITION

__all__ = ["Evidence", "Position", "Seen"]

Position = tuple[int, int]
"""Partition and offset."""

_HEADER: Final = ("eventId", "eventType", "occurredAt", "_appended_at", *POSITION)
_LOOKED_AT: Final = ("source", "channel", "bounceStatusCategory", "clickedUrl")


@dataclass(frozen=True, slots=True)
class Seen:
    """A record that a close read.

    key: value of its topic's key field. values: fields that rules use. is_before: whether it stands
    before the window. outcome: the close's verdict, if the record was input.
    """

    position: Position
    event_id: str
    event_type: str
    occurred_at: dt.datetime
    appended_at: dt.datetime
    key: int
    values: Mapping[str, Any]
    is_repeat: bool
    is_before: bool
    outcome: Outcome | None

    @property
    def link(self) -> tuple[int, str | None]:
        """Interaction and link, by which first clicks are distinguished."""
        return self.key, self.values.get("clickedUrl")


class Evidence:
    """What one close knew of the records of some keys; valid while the close's files are open.

    firsts_days: how long firsts are remembered, in days.
    """

    def __init__(
        self,
        judged: Judged,
        intent: Intent,
        export: Export,
        narrowed: Narrowed,
        firsts_days: int,
    ) -> None:
        self.intent = intent
        self.export = export
        self.topic = narrowed.topic
        self.key = narrowed.key
        self.firsts_days = firsts_days
        self._judged = judged

    @cached_property
    def records(self) -> Mapping[Position, Seen]:
        """The records by position."""
        repeats = self._repeats(self.topic)
        rows = self._rows(self.topic, _LOOKED_AT)
        return {_position(row): self._seen(row, self.outcomes, repeats) for row in rows}

    @cached_property
    def outcomes(self) -> Mapping[Position, Outcome]:
        """The close's outcomes by position, those of facts that had waited included."""
        rows = query_rows(self._judged.verdicts.select(*POSITION, "outcome"))
        return {_position(row): Outcome(row["outcome"]) for row in rows}

    def of_key(self, key: int) -> list[Seen]:
        """Return the records of a key that aren't repeats, in append order."""
        own = (
            record for record in self.records.values() if record.key == key and not record.is_repeat
        )
        return as_appended(own)

    def carriers(self, event_id: str) -> list[Seen]:
        """Return the records that carry an eventId, in append order."""
        return as_appended(
            record for record in self.records.values() if record.event_id == event_id
        )

    @property
    def dead_until(self) -> Mapping[int, dt.datetime | None]:
        """For each row's id, when the latest deletion before the cut occurred."""
        return {key: row["_dead_until"] for key, row in self._lives.items()}

    def is_live(self, key: int) -> bool:
        """Whether a row lives at the cut."""
        return key in self._lives and bool(self._lives[key]["_live"])

    def ends(self, key: int) -> list[Seen]:
        """Return the deletions in the window that ended a life, in append order; see
        `sinks.state.lives`.
        """
        was = self._lives_before.get(key, {})
        dead_until, ends = was.get("_dead_until"), []
        began = was.get("_began") if was.get("_live") else None
        for record in (seen for seen in self.of_key(key) if not seen.is_before):
            if record.event_type == EventType.DELETED:
                if self.intent.edition < LATEST_DELETIONS.edition:
                    ends.append(record)
                elif dead_until is None or record.occurred_at >= dead_until:
                    dead_until = record.occurred_at
                    if began is None or began <= dead_until:
                        ends.append(record)
                        began = None
            elif dead_until is None or record.occurred_at > dead_until:
                if record.event_type == EventType.CREATED:
                    began = record.occurred_at
                began = None if began is None else min(began, record.occurred_at)
        return ends

    @cached_property
    def _lives(self) -> Mapping[int, Mapping[str, Any]]:
        return self._states(None)

    @cached_property
    def _lives_before(self) -> Mapping[int, Mapping[str, Any]]:
        return self._states(self.intent.window[self.topic.name])

    def _states(self, before: Before | None) -> Mapping[int, Mapping[str, Any]]:
        reading, edition = self._judged.reading, self.intent.edition
        rows = reading.rows(self.topic, before, edition=edition)
        known = rows.select(self.key, "_dead_until", "_live", "_began")
        return {row[self.key]: row for row in query_rows(known)}

    @cached_property
    def remembered_since(self) -> Mapping[int, dt.datetime]:
        """For each interaction, since when (append time) the window's start remembers it."""
        bounds = self.intent.window[self.topic.name]
        firsts = self._judged.reading.firsts(self.topic, bounds).interactions
        return {row["interactionId"]: row["_first_at"] for row in query_rows(firsts)}

    @property
    def campaigns(self) -> Topic:
        """The topic of the campaigns."""
        return Topic(Kind.CAMPAIGN, prefix=self.topic.prefix)

    def campaign(self, campaign_id: int) -> tuple[Mapping[str, Any], Position | None]:
        """Return a campaign as of the cut, and the position of its last event; the position is None
        if that event lies before a base.
        """
        topic = self.campaigns
        state = self._judged.reading.campaigns(topic)
        (known,) = query_rows(state.filter(state["campaignId"] == campaign_id))
        repeats = self._repeats(topic)
        own = [
            self._seen({**row, "_key": campaign_id}, {}, repeats)
            for row in self._rows(topic, (), campaign_id)
        ]
        records = as_appended(record for record in own if not record.is_repeat)
        return known, records[-1].position if records else None

    def _repeats(self, topic: Topic) -> set[Position]:
        return {_position(row) for row in query_rows(self._judged.reading.repeated(topic))}

    def _rows(
        self, topic: Topic, more: Sequence[str], campaign_id: int | None = None
    ) -> Iterator[dict[str, Any]]:
        choices = [choice for choice in self.intent.choices if choice.partition.topic == topic.name]
        types = KINDS[topic.kind].event_types
        events = self._judged.reading.source.events(topic, types, choices)
        if campaign_id is not None:
            events = events.filter(events["campaignId"] == campaign_id)
        key = KINDS[topic.kind].key_field
        more = [name for name in more if name in events.columns]
        yield from query_rows(events.select(*_HEADER, *more, _key=events[key]))

    def _seen(
        self,
        row: Mapping[str, Any],
        outcomes: Mapping[Position, Outcome],
        repeats: Iterable[Position],
    ) -> Seen:
        partition, offset = position = _position(row)
        first = self.intent.window.get(self.topic.name, {}).get(partition, (0, 0))[0]
        return Seen(
            position,
            str(row["eventId"]),
            row["eventType"],
            row["occurredAt"],
            row["_appended_at"],
            row["_key"],
            {name: row[name] for name in _LOOKED_AT if name in row},
            position in repeats,
            offset < first,
            outcomes.get(position),
        )


def as_appended(records: Iterable[Seen]) -> list[Seen]:
    """Return records of one id in append order, as `sinks.state.order` defines it."""
    latest: dict[int, dt.datetime] = {}
    timed = []
    for record in sorted(records, key=lambda seen: seen.position):
        partition = record.position[0]
        latest[partition] = max(latest.get(partition, record.appended_at), record.appended_at)
        timed.append((latest[partition], record.position, record))
    return [record for _, _, record in sorted(timed, key=lambda found: found[:2])]


def _position(row: Mapping[str, Any]) -> Position:
    return row["_partition"], row["_offset"]
