"""Drops of activities: which facts are exported, what becomes of the others, and the values of the
lines (SPEC §3).

A fact is one record. Its verdict is reached on narrow columns alone, and kept; texts are read once,
for the records that are exported.
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
from sinks.rules.people import never_seen, with_people
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

    filtered: which facts are never exported; reads: the fields that this looks at; firsts: which
    facts aren't first.
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

    window: the records between the cuts, of the event types that feed the export. repeated: see
    `repeats`. campaigns, profiles: their state as of the cut. firsts: as of the window's start;
    only where the rule asks for them. waiting: what an earlier drop left in `waiting`.
    deleted_later: profileId of deletions recorded after the cut.
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

    verdicts: each input record's position and profileId, its `outcome` (a number of `Outcome`),
    `isFirstClick`, and at how many further closes its campaign was looked up (`_waited`). lines:
    the exported columns by name, in order of partition and offset. waiting: facts for the next
    close. unseen: the exported records whose profile no event ever told of.
    """

    verdicts: ir.Table
    lines: ir.Table
    waiting: ir.Table
    unseen: ir.Table

    def never_seen(self) -> int:
        """Count the lines whose profile no event ever told of: the report says so."""
        return int(fetched(self.unseen.agg(lines=self.unseen.count()))[0]["lines"])


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
    records = _records(facts)
    judged = _judge_alone(rule, records, facts, cut)
    if rule.firsts is not None and facts.firsts is not None:
        memory = facts.firsts.touched_by(facts.window).remembered(cut, firsts_days)
        verdicts = _verdicts(_judge_firsts(rule.firsts(judged, memory)))
    else:
        verdicts = kept(_verdicts(judged))
    exported = verdicts.filter(verdicts["outcome"] == int(Outcome.EXPORTED))
    left = verdicts.filter(verdicts["outcome"] == int(Outcome.WAITING))
    return ActivityDrop(
        verdicts,
        _lines(facts, _with(facts, records, exported), columns),
        _with(facts, records, left),
        never_seen(exported, facts.profiles, facts.deleted_later),
    )


def _records(facts: ActivityFacts) -> ir.Table:
    """The window's records, and those that waited: with what their own window said of them."""
    if facts.waiting is None:
        return facts.window
    told = {"_waited": ibis.literal(0, "int8"), "isFirstClick": ibis.null("boolean")}
    again = (facts.waiting["_waited"] + 1).cast("int8")
    records = facts.window.mutate(**told)
    return records.union(facts.waiting.mutate(_waited=again).select(*records.columns))


def _judge_alone(
    rule: ActivityRule, records: ir.Table, facts: ActivityFacts, cut: datetime
) -> ir.Table:
    """Reach the outcome of each record as if it were a first: `outcome`.

    `_contends`: whether it may be one. Facts that waited were judged in their own window.
    """
    reads = [*POSITION, "profileId", "interactionId", "occurredAt", *rule.reads]
    carried = [*reads, *(name for name in ("_waited", "isFirstClick") if name in records.columns)]
    marked = is_repeat(records.select(*carried, "campaignId"), facts.repeated)
    known = facts.campaigns.select("campaignId", _active=is_active(facts.campaigns, cut))
    of_campaign = marked.left_join(known, "campaignId")
    closes = of_campaign["_waited"] if "_waited" in carried else ibis.literal(0, "int8")
    repeat = of_campaign["_repeat"] & (closes == 0)
    filtered = rule.filtered(of_campaign) if rule.filtered else ibis.literal(False)
    unknown = of_campaign["_active"].isnull()
    outcome = first_that_applies(
        {
            Outcome.DUPLICATE: repeat,
            Outcome.FILTERED: filtered,
            Outcome.WAITING: unknown & (closes < CLOSES_TO_WAIT),
            Outcome.UNKNOWN_CAMPAIGN: unknown,
            Outcome.INACTIVE_CAMPAIGN: ~of_campaign["_active"],
        }
    )
    contends = ~(repeat | filtered) & (closes == 0)
    return of_campaign.select(*carried, outcome=outcome, _contends=contends)


def _judge_firsts(judged: ir.Table) -> ir.Table:
    """Let those that contend and aren't first have that outcome; tell the first clicks."""
    late = judged["_contends"] & judged["_not_first"]
    outcome = late.ifelse(ibis.literal(int(Outcome.NOT_FIRST), "int8"), judged["outcome"])
    if "_first_click" not in judged.columns:
        return judged.mutate(outcome=outcome)
    first_click = judged["_first_click"]
    if "isFirstClick" in judged.columns:
        first_click = ibis.coalesce(judged["isFirstClick"], first_click)
    return judged.mutate(outcome=outcome, isFirstClick=first_click)


def _verdicts(judged: ir.Table) -> ir.Table:
    untold = {"_waited": ibis.literal(0, "int8"), "isFirstClick": ibis.null("boolean")}
    told = {name: judged[name] if name in judged.columns else untold[name] for name in untold}
    return judged.select(*POSITION, "profileId", "outcome", **told)


def _with(facts: ActivityFacts, records: ir.Table, chosen: ir.Table) -> ir.Table:
    """The records of some verdicts, whole; their profileId is the verdicts' own.

    So a profile can be joined to these records only, not to all that are read: an engine that
    orders joins by itself must begin with the verdicts.
    """
    own = chosen.select(*POSITION, "profileId", "_waited", "isFirstClick")
    others = [name for name in facts.window.columns if name not in own.columns]
    joined = records.select(*POSITION, *others).inner_join(own, POSITION)
    return joined.select(*facts.window.columns, "_waited", "isFirstClick")


def _lines(facts: ActivityFacts, exported: ir.Table, columns: Sequence[Column]) -> ir.Table:
    of_profile = state_fields(facts.profiles, Origin.PROFILE, columns)
    exported = with_people(exported, facts.profiles, of_profile, facts.deleted_later)
    if Origin.CAMPAIGN in origins_of(columns):
        fields = state_fields(facts.campaigns, Origin.CAMPAIGN, columns)
        joined = exported.left_join(facts.campaigns.select("campaignId", **fields), "campaignId")
        exported = joined.select(*exported.columns, *fields)
    in_order = exported.order_by(*POSITION)
    return in_order.select(**values_of(columns, in_order, in_order["_gone"]))
