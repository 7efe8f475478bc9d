"""Drops of activities: which facts are exported, what becomes of the others, and the values of the lines (SPEC §3).

A fact is one record. Its verdict is reached on narrow columns alone, and kept; texts are read once, for the records
that are exported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final

import ibis
import ibis.expr.types as ir

from schemas.events import Source
from sinks.columns import Column, Origin
from sinks.rules.campaigns import CLOSES_TO_WAIT, is_active
from sinks.rules.firsts import judge_clicks, judge_firsts
from sinks.rules.lines import origins_of, state_fields, values_of
from sinks.rules.outcome import Outcome, first_that_applies
from sinks.rules.people import judge_people
from sinks.state.engine import fetched, kept
from sinks.state.firsts import FIRSTS_DAYS, Firsts
from sinks.state.order import POSITION
from sinks.state.repeats import is_repeat

__all__ = ["EMAIL_RULES", "ActivityDrop", "ActivityFacts", "ActivityRule", "drop_of_activities"]

CAMPAIGN_UNSUBSCRIBES: Final = (Source.UNSUBSCRIBE_LINK.value, Source.LIST_UNSUBSCRIBE.value)
"""The sources of unsubscribes that were made from a campaign's e-mail."""
NEVER_BOUNCED: Final = "TECHNICAL"
"""The bounces that tell nothing of the address: out of office, replies."""


@dataclass(frozen=True, slots=True)
class ActivityRule:
    """What sets one activity export apart from the others.

    filtered: which facts are never exported; reads: the fields that this looks at; firsts: which facts aren't first.
    """

    filtered: Callable[[ir.Table], ir.BooleanColumn] | None = None
    reads: tuple[str, ...] = ()
    firsts: Callable[[ir.Table, Firsts], ir.Table] | None = None


EMAIL_RULES: Final[Mapping[str, ActivityRule]] = MappingProxyType(
    {
        "SENT": ActivityRule(),
        "NOT_SENT": ActivityRule(),
        "OPENED": ActivityRule(firsts=judge_firsts),
        "CLICKED": ActivityRule(firsts=judge_clicks, reads=("clickedUrl",)),
        "BOUNCED": ActivityRule(
            filtered=lambda facts: facts["bounceStatusCategory"] == NEVER_BOUNCED,
            reads=("bounceStatusCategory",),
        ),
        "UNSUBSCRIBED": ActivityRule(
            filtered=lambda facts: facts["source"].notin(CAMPAIGN_UNSUBSCRIBES), reads=("source",)
        ),
    }
)
"""The rules of e-mail activities, by the event type of the export."""


@dataclass(frozen=True, slots=True)
class ActivityFacts:
    """What a close reads for one drop of activities.

    window: the records between the cuts, of the event types that feed the export. repeated: see `repeats`. campaigns,
    profiles: their state as of the cut. firsts: as of the window's start; only where the rule asks for them.
    waiting: what an earlier drop left in `waiting`. deleted_later: profileId of deletions recorded after the cut.
    """

    window: ir.Table
    repeated: ir.Table
    campaigns: ir.Table
    profiles: ir.Table
    firsts: Firsts | None = None
    waiting: ir.Table | None = None
    deleted_later: ir.Table | None = None


@dataclass(frozen=True, slots=True)
class ActivityDrop:
    """The selection of one drop.

    verdicts: each input record's position, `outcome` (numbers of `Outcome`), whether its person is `_gone` and was ever
    `_seen`, `isFirstClick`, and at how many further closes its campaign was looked up (`_waited`); kept as a table.
    lines: the exported columns by name, in order of partition and offset. waiting: facts for the next close.
    """

    verdicts: ir.Table
    lines: ir.Table
    waiting: ir.Table

    def never_seen(self) -> int:
        """Count the lines whose profile no event ever told of: the report says so."""
        judged = self.verdicts
        unseen = (judged["outcome"] == int(Outcome.EXPORTED)) & ~judged["_seen"] & ~judged["_gone"]
        return int(fetched(judged.agg(lines=unseen.sum().fill_null(0)))[0]["lines"])


def drop_of_activities(
    rule: ActivityRule,
    facts: ActivityFacts,
    columns: Sequence[Column],
    cut: datetime,
    firsts_days: int = FIRSTS_DAYS,
) -> ActivityDrop:
    """Select one drop; the verdicts are computed at once, lines and waiting facts when they are read.

    columns: those of the export, as `sinks.types` declares them. cut: the instant that the window ends at, in UTC.
    """
    judged = _judge_alone(rule, facts, cut, firsts_days)
    if facts.waiting is not None:
        judged = judged.union(_judged_before(facts.waiting, judged.columns))
    judged = judge_people(judged, facts.profiles, facts.deleted_later)
    verdicts = kept(_judge_campaigns(judged, facts.campaigns, cut))
    return ActivityDrop(verdicts, _lines(facts, verdicts, columns), _left_waiting(facts, verdicts))


def _judge_alone(
    rule: ActivityRule, facts: ActivityFacts, cut: datetime, firsts_days: int
) -> ir.Table:
    """What a record's own window says of it: repeated, filtered, not first."""
    needed = (
        *POSITION,
        "_appended_at",
        "occurredAt",
        "interactionId",
        "campaignId",
        "profileId",
        *rule.reads,
    )
    judged = is_repeat(facts.window.select(*needed), facts.repeated)
    if rule.firsts is not None and facts.firsts is not None:
        memory = facts.firsts.touched_by(facts.window).remembered(cut, firsts_days)
        judged = rule.firsts(judged, memory)
    else:
        judged = judged.mutate(_not_first=False)
    filtered = rule.filtered(judged) if rule.filtered else ibis.literal(False)
    if "isFirstClick" not in judged.columns:
        judged = judged.mutate(isFirstClick=ibis.null("boolean"))
    return judged.mutate(_filtered=filtered, _waited=ibis.literal(0, "int8")).drop(
        *rule.reads, "interactionId"
    )


def _judged_before(waiting: ir.Table, columns: Sequence[str]) -> ir.Table:
    """Facts that waited keep what their own window said of them; they waited for one more close now."""
    kept = waiting.mutate(
        _repeat=False,
        _filtered=False,
        _not_first=False,
        _waited=(waiting["_waited"] + 1).cast("int8"),
    )
    return kept.select(*columns)


def _judge_campaigns(judged: ir.Table, campaigns: ir.Table, cut: datetime) -> ir.Table:
    known = campaigns.select("campaignId", _active=is_active(campaigns, cut))
    facts = judged.left_join(known, "campaignId")
    unknown = facts["_active"].isnull()
    outcome = first_that_applies(
        {
            Outcome.DUPLICATE: facts["_repeat"],
            Outcome.FILTERED: facts["_filtered"],
            Outcome.NOT_FIRST: facts["_not_first"],
            Outcome.WAITING: unknown & (facts["_waited"] < CLOSES_TO_WAIT),
            Outcome.UNKNOWN_CAMPAIGN: unknown,
            Outcome.INACTIVE_CAMPAIGN: ~facts["_active"],
        }
    )
    return facts.select(*POSITION, "_gone", "_seen", "isFirstClick", "_waited", outcome=outcome)


def _lines(facts: ActivityFacts, verdicts: ir.Table, columns: Sequence[Column]) -> ir.Table:
    lines = _with(facts, verdicts, Outcome.EXPORTED, ("_gone", "isFirstClick"))
    origins = origins_of(columns)
    for origin, state, key in (
        (Origin.CAMPAIGN, facts.campaigns, "campaignId"),
        (Origin.PROFILE, facts.profiles, "profileId"),
    ):
        if origin in origins:
            fields = state.select(key, **state_fields(state, origin, columns))
            lines = lines.left_join(fields, key).drop(f"{key}_right")
    in_order = lines.order_by(*POSITION)
    return in_order.select(**values_of(columns, in_order, in_order["_gone"]))


def _left_waiting(facts: ActivityFacts, verdicts: ir.Table) -> ir.Table:
    return _with(facts, verdicts, Outcome.WAITING, ("isFirstClick", "_waited"))


def _with(
    facts: ActivityFacts, verdicts: ir.Table, outcome: Outcome, kept: tuple[str, ...]
) -> ir.Table:
    """The records of one outcome, whole, with these columns of their verdicts."""
    records = facts.window
    if facts.waiting is not None:
        records = records.union(facts.waiting.select(*records.columns))
    chosen = verdicts.filter(verdicts["outcome"] == int(outcome)).select(*POSITION, *kept)
    return records.inner_join(chosen, POSITION)
