"""Drops of facts, changes and activities: which records are exported, the outcomes of the others,
and the values of the lines (SPEC §3).

A fact is one record. Its verdict is computed from narrow columns only. Texts are read once, and
only of the exported records.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import ibis
import ibis.expr.types as ir

from sinks.editions import EDITION
from sinks.engine.engine import Ordered, engine_of, in_order, materialize, query_rows
from sinks.engine.planned import planned
from sinks.rules.campaigns import CAMPAIGN_LIFE, CLOSES_TO_WAIT, is_active
from sinks.rules.columns import Column, Origin
from sinks.rules.declared import FactRule
from sinks.rules.firsts import judge_firsts
from sinks.rules.lines import origins_of, state_fields, values_of
from sinks.rules.outcome import Outcome, first_that_applies
from sinks.rules.people import People
from sinks.state.firsts import FIRSTS_DAYS, Firsts
from sinks.state.order import POSITION
from sinks.state.repeats import is_repeat

__all__ = ["FactDrop", "Facts", "drop_of_facts"]


@dataclass(frozen=True, slots=True)
class Facts:
    """The input of one drop of facts.

    window: the records between the cuts, of the event types that feed the export. repeated: see
    `repeats`. profiles, campaigns: their state as of the cut; None if the facts have none. firsts:
    as of the window's start. downloaded: interactionId, as of the cut. Both only if the rule needs
    them. waiting: what an earlier drop left in its `waiting`. deleted_later: profileId and
    occurredAt of deletions that were recorded after the cut. edition: of the rules. sources: those
    that the export's filter accepts; None for all. taken_out: positions of records that count as
    dead letters, though they carry their eventIds and use up firsts; None if there are none.
    """

    window: ir.Table
    repeated: ir.Table
    profiles: ir.Table | None = None
    campaigns: ir.Table | None = None
    firsts: Firsts | None = None
    downloaded: ir.Table | None = None
    waiting: ir.Table | None = None
    deleted_later: ir.Table | None = None
    sources: frozenset[str] | None = None
    edition: int = EDITION
    taken_out: ir.Table | None = None

    @property
    def counted(self) -> ir.Table:
        """Return the window's records without those that the balance counts as dead letters."""
        if self.taken_out is None:
            return self.window
        return self.window.anti_join(self.taken_out, POSITION)


@dataclass(frozen=True, slots=True)
class FactDrop:
    """The selection of one drop.

    verdicts: for each input record its position, its `outcome` (a number of `Outcome`),
    `isFirstClick`, and the number of further closes that looked up its campaign (`_waited`). lines:
    the exported columns by name, in order of partition and offset. waiting: facts for the next
    close. never_seen: number of lines whose profile has no event at all.
    """

    verdicts: ir.Table
    lines: Ordered
    waiting: ir.Table
    never_seen: int
    has_taken_out: bool = False

    def waited_in_vain(self) -> int:
        """Count the facts that waited and have been taken out since."""
        if not self.has_taken_out:
            return 0
        dead, waited = (
            self.verdicts["outcome"] == int(Outcome.DEAD_LETTER),
            self.verdicts["_waited"],
        )
        lost = self.verdicts.filter(dead & (waited > 0))
        return int(query_rows(lost.agg(records=lost.count()))[0]["records"])


def drop_of_facts(
    rule: FactRule,
    facts: Facts,
    columns: Sequence[Column],
    cut: datetime,
    firsts_days: int = FIRSTS_DAYS,
) -> FactDrop:
    """Select one drop. Verdicts are computed at once; lines and waiting facts when they are read.

    columns: those of the export, as `sinks.exports.types` declares them. cut: the instant at which
    the window ends, in UTC.
    """
    if facts.firsts is not None:
        facts = replace(facts, firsts=facts.firsts.touched_by(facts.window))
    since = engine_of(facts.window).value(cut - CAMPAIGN_LIFE)
    plan = _plan(rule, facts, columns, since, firsts_days)
    return FactDrop(
        plan.verdicts,
        plan.lines,
        plan.waiting,
        int(query_rows(plan.unseen)[0]["facts"]) if plan.unseen is not None else 0,
        facts.taken_out is not None,
    )


@dataclass(frozen=True, slots=True)
class _Plan:
    """Tables of a `FactDrop`. unseen: the row that has its `never_seen`."""

    verdicts: ir.Table
    lines: Ordered
    waiting: ir.Table
    unseen: ir.Table | None


@planned
def _plan(
    rule: FactRule, facts: Facts, columns: Sequence[Column], since: ir.Scalar, firsts_days: int
) -> _Plan:
    """Plan a drop. facts: with the firsts that its window touches. since: see `is_active`."""
    records = _records(facts)
    verdicts = _judge_alone(rule, records, facts, since)
    if rule.first_of is not None and facts.firsts is not None:
        verdicts = _with_outcomes(judge_firsts(rule.first_of, verdicts, facts.firsts, firsts_days))
    verdicts = materialize(_verdicts(verdicts))
    exported = verdicts.filter(verdicts["outcome"] == int(Outcome.EXPORTED))
    left = verdicts.filter(verdicts["outcome"] == int(Outcome.WAITING))
    people = _people(facts, exported, columns)
    return _Plan(
        verdicts,
        _lines(facts, _with(facts, records, exported), people, columns),
        _with(facts, records, left),
        people.never_seen(exported) if people else None,
    )


def _records(facts: Facts) -> ir.Table:
    """Return the window's records and those that waited, with the verdict of their own window."""
    if facts.waiting is None:
        return facts.window
    unknown = {"_waited": ibis.literal(0, "int8"), "isFirstClick": ibis.null("boolean")}
    again = (facts.waiting["_waited"] + 1).cast("int8")
    records = facts.window.mutate(**unknown)
    return records.union(facts.waiting.mutate(_waited=again).select(*records.columns))


def _judge_alone(rule: FactRule, records: ir.Table, facts: Facts, since: ir.Scalar) -> ir.Table:
    """Add the `outcome` that each record has if it counts as a first.

    `_contends`: whether it can be a first. Waiting facts were judged in their own window.
    """
    carried = [name for name in _carried(rule) if name in records.columns]
    looked_at = [name for name in _looked_at(rule, facts) if name not in carried]
    known = _beside(is_repeat(records.select(*carried, *looked_at), facts.repeated), facts, since)
    closes = known["_waited"] if "_waited" in carried else ibis.literal(0, "int8")
    repeat = known["_repeat"] & (closes == 0)
    filtered = rule.filtered(known) if rule.filtered else ibis.literal(False)
    if facts.sources is not None:
        filtered = filtered | known["source"].notin(sorted(facts.sources))
    conditions = {Outcome.DUPLICATE: repeat, Outcome.FILTERED: filtered}
    if facts.taken_out is not None:
        conditions[Outcome.DEAD_LETTER] = known["_taken_out"].notnull()
    if facts.campaigns is not None:
        unknown = known["_active"].isnull()
        conditions[Outcome.WAITING] = unknown & (closes < CLOSES_TO_WAIT)
        conditions[Outcome.UNKNOWN_CAMPAIGN] = unknown
        conditions[Outcome.INACTIVE_CAMPAIGN] = ~known["_active"]
    if facts.downloaded is not None:
        conditions[Outcome.ALREADY_DOWNLOADED] = known["_downloaded"].notnull()
    contends = ~(repeat | filtered) & (closes == 0)
    return known.select(*carried, outcome=first_that_applies(conditions), _contends=contends)


def _carried(rule: FactRule) -> list[str]:
    """The fields that every verdict carries."""
    firsts = ("interactionId", "occurredAt", "_appended_at", *rule.reads) if rule.first_of else ()
    return [*POSITION, "profileId", *firsts, "_waited", "isFirstClick"]


def _looked_at(rule: FactRule, facts: Facts) -> list[str]:
    """The fields that are read once, before the verdict."""
    needed = {
        "source": facts.sources is not None,
        "campaignId": facts.campaigns is not None,
        "interactionId": facts.downloaded is not None,
    }
    return list(dict.fromkeys([*rule.reads, *(name for name, is_so in needed.items() if is_so)]))


def _beside(records: ir.Table, facts: Facts, since: ir.Scalar) -> ir.Table:
    """Add to records whether their campaign is active (`_active`), whether they were downloaded
    (`_downloaded`) and, if any record was taken out, whether they were (`_taken_out`).
    """
    if facts.campaigns is not None:
        campaigns = facts.campaigns.select("campaignId", _active=is_active(facts.campaigns, since))
        records = records.left_join(campaigns, "campaignId").drop("campaignId_right")
    if facts.downloaded is not None:
        downloaded = facts.downloaded.select("interactionId", _downloaded=ibis.literal(True))
        records = records.left_join(downloaded, "interactionId").drop("interactionId_right")
    if facts.taken_out is not None:
        places = facts.taken_out.select(*POSITION, _taken_out=ibis.literal(True))
        joined = records.left_join(places, POSITION)
        records = joined.select(*records.columns, "_taken_out")
    return records


def _with_outcomes(judged: ir.Table) -> ir.Table:
    """Set the outcome of records that contend and aren't first, and mark the first clicks."""
    dead = judged["outcome"] == int(Outcome.DEAD_LETTER)
    late = judged["_contends"] & judged["_not_first"] & ~dead
    outcome = late.ifelse(ibis.literal(int(Outcome.NOT_FIRST), "int8"), judged["outcome"])
    if "_first_click" not in judged.columns:
        return judged.mutate(outcome=outcome)
    first_click = judged["_first_click"]
    if "isFirstClick" in judged.columns:
        first_click = ibis.coalesce(judged["isFirstClick"], first_click)
    return judged.mutate(outcome=outcome, isFirstClick=first_click)


def _verdicts(judged: ir.Table) -> ir.Table:
    usual = {"_waited": ibis.literal(0, "int8"), "isFirstClick": ibis.null("boolean")}
    columns = {name: judged[name] if name in judged.columns else usual[name] for name in usual}
    person = [name for name in ("profileId",) if name in judged.columns]
    return judged.select(*POSITION, *person, "outcome", **columns)


def _people(facts: Facts, exported: ir.Table, columns: Sequence[Column]) -> People | None:
    if facts.profiles is None:
        return None
    fields = state_fields(facts.profiles, Origin.PROFILE, columns)
    return People.of(exported, facts.profiles, fields, facts.deleted_later, facts.edition)


def _with(facts: Facts, records: ir.Table, chosen: ir.Table) -> ir.Table:
    """Return the whole records of some verdicts, with `_waited` and `isFirstClick`."""
    own = [name for name in chosen.columns if name != "outcome"]
    others = [name for name in facts.window.columns if name not in own]
    joined = records.select(*POSITION, *others).inner_join(chosen.select(*own), POSITION)
    return joined.select(*facts.window.columns, "_waited", "isFirstClick")


def _lines(
    facts: Facts, exported: ir.Table, people: People | None, columns: Sequence[Column]
) -> Ordered:
    if people is not None:
        exported = people.beside(exported)
    if facts.campaigns is not None and Origin.CAMPAIGN in origins_of(columns):
        fields = state_fields(facts.campaigns, Origin.CAMPAIGN, columns)
        joined = exported.left_join(facts.campaigns.select("campaignId", **fields), "campaignId")
        exported = joined.select(*exported.columns, *fields)
    gone = exported["_gone"] if people is not None else None
    return in_order(values_of(columns, exported, gone), exported, POSITION)
