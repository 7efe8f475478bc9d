"""Reasons for an event's outcome: the rule by its name in SPEC, and the record that proves it.

The outcome itself comes from the close (`sinks.rules`). This module adds the sentence of SPEC that
gives it, and the record that this sentence is about: the earlier carrier of an eventId, the first
of an interaction, the deletion, or the record that makes a row's line.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, assert_never

from schemas.events import CampaignKind, CampaignState, Engine, EventType
from sinks.editions import UPDATES_AT_CREATION
from sinks.exports.increments import Line
from sinks.rules.campaigns import CAMPAIGN_LIFE, CLOSES_TO_WAIT
from sinks.rules.declared import FactRule, RowRule
from sinks.rules.outcome import Outcome
from sinks.tracing.evidence import Evidence, Position, Seen
from sinks.tracing.finding import StoredEvent

__all__ = ["Reason", "of_initial", "reason_of"]

REPEAT: Final = "Facts: repeat"
SOURCES: Final = "Source filter"
NOT_THIS: Final = "Balance: filtered (not this increment)"
FIRST: Final = "Activities: First means first recorded"
UNKNOWN: Final = "Activities: Unknown campaigns"
ACTIVE: Final = "Activities: Active campaigns only"
LIFE: Final = "Rows: life"
CURRENT: Final = "Rows: Only the current life counts"
GONE: Final = "People who are gone: again when the file is written"
READY: Final = "Activities: READY"
ONE_LINE: Final = "Rows: One line a row"
INITIAL: Final = "Rows: initial drop"
DEAD: Final = "Balance: dead letter"
RULES: Final = (
    REPEAT,
    SOURCES,
    NOT_THIS,
    FIRST,
    UNKNOWN,
    ACTIVE,
    LIFE,
    CURRENT,
    GONE,
    READY,
    ONE_LINE,
    INITIAL,
    DEAD,
)
"""The rules that a reason can name, besides `FactRule.filtered_by` and rules of exported events."""

_DELETED_LATER: Final = "its deletion was recorded after the cut, before the file was written"
_NAMED: Final = frozenset(
    {"OPENED", "CLICKED", "NOT_SENT", "BOUNCED", "UNSUBSCRIBED", "READY", "DOWNLOADED"}
)
"""Activities' event types with a sentence of their own in SPEC §3; others are ordinary facts."""


@dataclass(frozen=True, slots=True)
class Reason:
    """The reason for an event's outcome.

    name: the rule's name in SPEC §3. finding: what the rule found. by: position of the record that
    `finding` is about, if the close has read one. topic: that record's topic.
    """

    name: str
    finding: str
    by: Position | None = None
    topic: str = ""

    @property
    def rule(self) -> str:
        """The rule, and where SPEC has it."""
        return f"SPEC §3, {self.name}"

    @property
    def place(self) -> str | None:
        """Position of the record that the reason is about."""
        return None if self.by is None else f"{self.topic}/{self.by[0]}, offset {self.by[1]}"

    def __str__(self) -> str:
        """Return the text for people."""
        return f"{self.finding} ({self.rule})"


def of_initial(outcome: Outcome | None) -> Reason:
    """Return why a row is, or isn't, in an initial drop. outcome: the row's; None if none."""
    if outcome is Outcome.ROW_GONE:
        return Reason(GONE, _DELETED_LATER)
    lived = outcome is Outcome.EXPORTED
    return Reason(
        INITIAL, "its row lived at the cut" if lived else "its row didn't live at the cut"
    )


def reason_of(event: StoredEvent, outcome: Outcome, evidence: Evidence) -> Reason:
    """Return why an event has the outcome that a close gave it."""
    reasons = _Reasons(event, evidence)
    match outcome:
        case Outcome.DEAD_LETTER:
            reason = reasons.dead_letter
        case Outcome.DUPLICATE:
            reason = reasons.repeat
        case Outcome.FILTERED:
            reason = reasons.filtered
        case Outcome.NOT_FIRST:
            reason = reasons.not_first
        case Outcome.WAITING:
            reason = reasons.waiting
        case Outcome.UNKNOWN_CAMPAIGN:
            reason = reasons.unknown_campaign
        case Outcome.INACTIVE_CAMPAIGN:
            reason = reasons.inactive
        case Outcome.ROW_GONE:
            reason = reasons.gone
        case Outcome.ALREADY_DOWNLOADED:
            reason = reasons.downloaded
        case Outcome.SUPERSEDED:
            reason = reasons.superseded
        case Outcome.EXPORTED:
            reason = reasons.exported
        case _:
            assert_never(outcome)
    return reason()


class _Reasons:
    """One event, and what a close knew of related records."""

    def __init__(self, event: StoredEvent, evidence: Evidence) -> None:
        self._event = event
        self._evidence = evidence
        self._position = event.owner.partition, event.offset
        self._key = event.ids[evidence.key]

    def dead_letter(self) -> Reason:
        return Reason(DEAD, "it can't be used (SPEC §6, Bad input)")

    def repeat(self) -> Reason:
        carriers = self._evidence.carriers(str(self._event.event_id))
        places = [record.position for record in carriers]
        before = carriers[places.index(self._position) - 1]
        return self._by(REPEAT, "its topic carried the eventId before", before)

    def filtered(self) -> Reason:
        export, event = self._evidence.export, self._event
        sources, rule = export.definition.accepted_sources, export.increment.rule
        if isinstance(rule, FactRule):
            if sources is not None and event.source not in sources:
                return Reason(SOURCES, f"its source, {event.source}, isn't one of the export's")
            seen = self._evidence.records.get(self._position)
            values = [f"{name} {seen.values.get(name)}" for name in rule.reads] if seen else []
            return Reason(rule.filtered_by, f"{', '.join(values) or 'it'} isn't exported here")
        if event.event_type not in rule.makes_lines:
            what = f"a {event.event_type} makes no line in {export.definition.event}"
            return Reason(NOT_THIS, what)
        return self._of_creation()

    def _of_creation(self) -> Reason:
        """Return the reason for an update that only repeats its row's creation."""
        name = f"Rows: {self._evidence.export.definition.event}"
        at_once = [
            record for record in self._own() if record.occurred_at == self._event.occurred_at
        ]
        later = self._after(at_once)
        births = [
            record
            for record in at_once
            if record.event_type == EventType.CREATED
            and record not in later
            and not record.is_before
        ]
        if births:
            what = "it occurred at the moment of a creation in the same window"
            return self._by(name, what, births[-1])
        what = (
            f"its moment, or its row's updateMoment, is the creationMoment; by an earlier edition, "
            f"`deltadrop redrop` goes by today's: {UPDATES_AT_CREATION.sentence}"
        )
        return Reason(name, what)

    def not_first(self) -> Reason:
        rule = self._evidence.export.increment.rule
        by_link = isinstance(rule, FactRule) and "clickedUrl" in rule.reads
        what = "link" if by_link else "interaction"
        rivals = [record for record in self._own() if not by_link or record.link == self._seen.link]
        earlier = self._remembered(rivals)
        if earlier is not None:
            return self._by(FIRST, f"the {what} had its first in an earlier window", earlier)
        lost = (None, Outcome.DUPLICATE, Outcome.FILTERED, Outcome.NOT_FIRST)
        first = next((record for record in rivals if record.outcome not in lost), None)
        if first is None:
            return self._by(FIRST, f"the {what} had its first in an earlier window", None)
        return self._by(FIRST, f"the {what}'s first, by its moment, is another", first)

    def _remembered(self, rivals: Iterable[Seen]) -> Seen | None:
        """Return the record by which an earlier window remembers a first, if it still does."""
        began = self._evidence.remembered_since.get(self._key)
        lasts = dt.timedelta(days=self._evidence.firsts_days)
        if began is None or self._event.appended_at >= began + lasts:
            return None
        wanted = (EventType.OPENED, EventType.CLICKED)
        before = (record for record in rivals if record.is_before and record.event_type in wanted)
        return next((record for record in before if record.appended_at >= began), None)

    def waiting(self) -> Reason:
        finding = f"{self._unknown()}; {CLOSES_TO_WAIT} closes after its own look it up again"
        return Reason(UNKNOWN, finding)

    def unknown_campaign(self) -> Reason:
        return Reason(UNKNOWN, f"{self._unknown()}, nor had it at the {CLOSES_TO_WAIT} before")

    def _unknown(self) -> str:
        return f"campaign {self._event.ids['campaignId']} has no event before the cut"

    def inactive(self) -> Reason:
        number = self._event.ids["campaignId"]
        known, by = self._evidence.campaign(number)
        topic = self._evidence.campaigns.name
        finding = f"campaign {number} {_inactive(known)}"
        if by is None:
            return Reason(ACTIVE, f"{finding}; {self._before_base(topic)}")
        return Reason(ACTIVE, finding, by, topic)

    def gone(self) -> Reason:
        dead_until = self._evidence.dead_until.get(self._key)
        deletions = [record for record in self._own() if record.event_type == EventType.DELETED]
        if dead_until is not None and self._event.occurred_at <= dead_until:
            last = [record for record in deletions if record.occurred_at == dead_until]
            what = "it occurred at or before the row's latest deletion"
            return self._by(LIFE, what, last[-1] if last else None)
        after = self._after(self._evidence.ends(self._key))
        if after or not self._evidence.is_live(self._key):
            what = "the row was deleted before the close"
            return self._by(CURRENT, what, after[0] if after else None)
        return Reason(GONE, _DELETED_LATER)

    def downloaded(self) -> Reason:
        own = (record for record in self._own() if record.event_type == EventType.DOWNLOADED)
        return self._by(READY, "the interaction was downloaded by the close", next(own, None))

    def superseded(self) -> Reason:
        dead_until = self._evidence.dead_until.get(self._key)
        ends = self._evidence.ends(self._key)
        for record in self._after(self._own()):
            if record in ends:
                return self._by(CURRENT, "its life was ended by a deletion", record)
            begins = dead_until is None or record.occurred_at > dead_until
            if record.event_type == EventType.CREATED and begins:
                return self._by(CURRENT, "the row was created again", record)
        line = [record for record in self._own() if record.outcome is Outcome.EXPORTED]
        return self._by(ONE_LINE, "a later record of the row makes its line", line[0])

    def exported(self) -> Reason:
        export = self._evidence.export
        event = export.definition.event
        if isinstance(export.increment.rule, RowRule):
            return Reason(f"Rows: {event}", "the row's last record in the window that qualifies")
        if export.type.line is Line.CHANGE:
            deletes = event == EventType.DELETED
            return Reason(f"Rows: {'Deletions' if deletes else 'Change events'}", "it is a fact")
        if event not in _NAMED:
            return Reason("Facts", "it is a fact of the window, and its campaign counts")
        return Reason(
            f"Activities: {event}", "it is what the export holds, and its campaign counts"
        )

    @property
    def _seen(self) -> Seen:
        return self._evidence.records[self._position]

    def _own(self) -> list[Seen]:
        return self._evidence.of_key(self._key)

    def _after(self, records: Iterable[Seen]) -> list[Seen]:
        """Return the records of the event's key that were appended after the event."""
        order = {record.position: number for number, record in enumerate(self._own())}
        own = order.get(self._position, -1)
        return [record for record in records if order[record.position] > own]

    def _by(self, name: str, finding: str, record: Seen | None) -> Reason:
        topic = self._evidence.topic.name
        if record is None:
            return Reason(name, f"{finding}; {self._before_base(topic)}")
        found = Reason(name, finding, record.position, topic)
        return replace(found, finding=f"{finding}: {record.event_type} at {found.place}")

    def _before_base(self, topic: str) -> str:
        return f"the record stands before the base of {self._evidence.intent.bases.get(topic)}"


def _inactive(campaign: Mapping[str, Any]) -> str:
    """Return which condition on campaigns isn't met."""
    long_ago = f"{CAMPAIGN_LIFE // dt.timedelta(days=1)} days or more before the close"
    if campaign["state"] == CampaignState.DRAFT:
        return "is a DRAFT"
    if campaign["engine"] == Engine.LEGACY:
        return "runs on the LEGACY engine"
    kind = campaign["campaignKind"]
    if kind in (CampaignKind.SCENARIZED, CampaignKind.TRANSACTIONAL):
        return f"was finished at {_utc(campaign['finishedAt'])}, {long_ago}"
    if campaign["sentAt"] is None:
        return f"is {kind}, has no sentAt, and isn't ACTIVE"
    return f"was sent at {_utc(campaign['sentAt'])}, {long_ago}"


def _utc(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).isoformat(timespec="milliseconds")
