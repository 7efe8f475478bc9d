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

    verdicts: each input record's position, profileId and campaignId, its `outcome` (a number of
    `Outcome`), whether its person is `_gone` and was ever `_seen`, `isFirstClick`, and at how many
    further closes its campaign was looked up (`_waited`); kept as a table. lines: the exported
    columns by name, in order of partition and offset. waiting: facts for the next close.
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
    """Select one drop; the verdicts are computed at once, lines and waiting facts when read.

    columns: those of the export, as `sinks.types` declares them. cut: the instant at which the
    window ends, in UTC.
    """
    records = facts.window.mutate(_waited=ibis.literal(0, "int8"), isFirstClick=_UNTOLD)
    if facts.waiting is not None:
        again = (facts.waiting["_waited"] + 1).cast("int8")
        records = records.union(facts.waiting.mutate(_waited=again).select(*records.columns))
    judged = judge_people(records.select(*_READ, *rule.reads), facts.profiles, facts.deleted_later)
    judged = _judge_by_rule(rule, _judge_alone(rule, judged, facts, cut), facts, cut, firsts_days)
    verdicts = kept(judged)
    lines = _lines(facts, _with(records, verdicts, Outcome.EXPORTED), columns)
    left = _with(records, verdicts, Outcome.WAITING).select(*records.columns)
    return ActivityDrop(verdicts, lines, left)


_READ: Final = (
    *POSITION,
    "_appended_at",
    "_waited",
    "occurredAt",
    "interactionId",
    "campaignId",
    "profileId",
    "isFirstClick",
)
"""The fields that verdicts are reached by."""
_JUDGED: Final = (*POSITION, "profileId", "campaignId", "_waited", "_gone", "_seen")
"""What verdicts hold beside the outcome and `isFirstClick`."""
_UNTOLD: Final = ibis.null("boolean")


def _judge_alone(
    rule: ActivityRule, judged: ir.Table, facts: ActivityFacts, cut: datetime
) -> ir.Table:
    """Reach the outcome of each record as if it were a first: `outcome`.

    `_contends`: whether it may be one. Facts that waited were judged in their own window.
    """
    marked = is_repeat(judged, facts.repeated)
    known = facts.campaigns.select("campaignId", _active=is_active(facts.campaigns, cut))
    of_campaign = marked.left_join(known, "campaignId")
    waited, repeat = of_campaign["_waited"] > 0, of_campaign["_repeat"]
    filtered = rule.filtered(of_campaign) if rule.filtered else ibis.literal(False)
    unknown = of_campaign["_active"].isnull()
    outcome = first_that_applies(
        {
            Outcome.DUPLICATE: repeat & ~waited,
            Outcome.FILTERED: filtered,
            Outcome.WAITING: unknown & (of_campaign["_waited"] < CLOSES_TO_WAIT),
            Outcome.UNKNOWN_CAMPAIGN: unknown,
            Outcome.INACTIVE_CAMPAIGN: ~of_campaign["_active"],
        }
    )
    contends = ~(repeat | waited | filtered)
    return of_campaign.select(*judged.columns, outcome=outcome, _contends=contends)


def _judge_by_rule(
    rule: ActivityRule, judged: ir.Table, facts: ActivityFacts, cut: datetime, firsts_days: int
) -> ir.Table:
    """Let those that contend and aren't first have that outcome; give the columns of verdicts."""
    if rule.firsts is None or facts.firsts is None:
        return judged.select(*_JUDGED, "isFirstClick", "outcome")
    memory = facts.firsts.touched_by(facts.window).remembered(cut, firsts_days)
    carried = (*_JUDGED, "interactionId", "occurredAt", *rule.reads, "outcome", "_contends")
    told = judged.select(*carried, _told=judged["isFirstClick"])
    firsts = rule.firsts(told, memory)
    late = firsts["_contends"] & firsts["_not_first"]
    outcome = late.ifelse(ibis.literal(int(Outcome.NOT_FIRST), "int8"), firsts["outcome"])
    first_click = firsts["isFirstClick"] if "isFirstClick" in firsts.columns else _UNTOLD
    first_click = ibis.coalesce(firsts["_told"], first_click)
    return firsts.select(*_JUDGED, isFirstClick=first_click, outcome=outcome)


def _with(records: ir.Table, verdicts: ir.Table, outcome: Outcome) -> ir.Table:
    """The records of one outcome, whole, with their verdicts; ids are the verdicts' own.

    So whatever is joined to them by an id is joined to these records only, not to all that are
    read: an engine that orders joins by itself must begin with the verdicts.
    """
    chosen = verdicts.filter(verdicts["outcome"] == int(outcome)).drop("_waited", "outcome")
    others = [name for name in records.columns if name not in chosen.columns]
    return records.select(*POSITION, *others).inner_join(chosen, POSITION)


def _lines(facts: ActivityFacts, exported: ir.Table, columns: Sequence[Column]) -> ir.Table:
    origins = origins_of(columns)
    for origin, state, key in (
        (Origin.CAMPAIGN, facts.campaigns, "campaignId"),
        (Origin.PROFILE, facts.profiles, "profileId"),
    ):
        if origin in origins:
            fields = state_fields(state, origin, columns)
            joined = exported.left_join(state.select(key, **fields), key)
            exported = joined.select(*exported.columns, *fields)
    in_order = exported.order_by(*POSITION)
    return in_order.select(**values_of(columns, in_order, in_order["_gone"]))
