"""First openings and first clicks (SPEC §3, *Activities*).

First means first recorded, over all windows. What an earlier window saw is remembered
(`sinks.state.firsts`), and no later event changes it. An event that was appended after the memory
ended can be a first again. Within a window the earliest `occurredAt` is the first; a tie goes to
the lowest partition, then to the lowest offset. The campaign's state doesn't matter: an event of an
inactive campaign uses up the first too.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final, assert_never

import ibis
import ibis.expr.types as ir

from sinks.engine.engine import interval_of, materialize
from sinks.rules.declared import FirstOf
from sinks.state.firsts import Firsts
from sinks.state.order import POSITION

__all__ = ["judge_firsts"]


def judge_firsts(first_of: FirstOf, facts: ir.Table, firsts: Firsts, days: int) -> ir.Table:
    """Mark the facts that aren't first: column `_not_first`; for links also `_first_click`.

    Facts without `_contend` are left out of the comparison. days: how long firsts are remembered.
    """
    match first_of:
        case FirstOf.INTERACTION:
            return _of_interactions(facts, firsts, days)
        case FirstOf.LINK:
            return _of_links(facts, firsts, days)
        case _:
            assert_never(first_of)


def _of_interactions(facts: ir.Table, firsts: Firsts, days: int) -> ir.Table:
    """Mark the facts that aren't first of their interaction.

    For openings, facts are openings and clicks: a click without an earlier opening is an opening at
    the click's moment.
    """
    left = [name for name in facts.columns if name not in _LOOKED_AT]
    opened = _until(firsts.interactions, days)
    return _judge(facts, opened, ("interactionId",), "_not_first", left)


def _of_links(facts: ir.Table, firsts: Firsts, days: int) -> ir.Table:
    """Mark the clicks that aren't the first on their link (`_not_first`), and the click that is the
    first of its interaction (`_first_click`).

    A link is identified by interaction and `clickedUrl`: a second contact has its own firsts.
    """
    link = ("interactionId", "clickedUrl")
    until = _until(firsts.interactions, days)
    links = firsts.links.inner_join(until, "interactionId").select(*link, "_until")
    judged = _judge(facts, links, link, "_not_first", facts.columns)
    clicked = until.semi_join(firsts.links, "interactionId")
    judged = _judge(judged, clicked, ("interactionId",), "_later_click", judged.columns)
    left = [name for name in facts.columns if name not in _LOOKED_AT]
    return judged.select(*left, "_not_first", _first_click=~judged["_later_click"])


_LOOKED_AT: Final = ("occurredAt", "_appended_at")
"""Columns that are dropped from the facts once they are judged."""


def _until(interactions: ir.Table, days: int) -> ir.Table:
    """Add the append time until which each interaction is remembered: `_until`."""
    ends = interactions["_first_at"] + interval_of(timedelta(days=days))
    return interactions.select("interactionId", _until=ends)


def _judge(
    facts: ir.Table, memory: ir.Table, key: tuple[str, ...], column: str, left: Sequence[str]
) -> ir.Table:
    """Mark the facts that aren't the first of their key in the window, or whose key is remembered.

    memory: each key that was seen, once, with `_until`. left: the columns that are still needed.
    The facts are sorted by moment alone; sorting by position too would take twice the time. Ties
    are few, and resolved afterwards.
    """
    joined = facts.left_join(memory, key)
    known = (joined["_appended_at"] < joined["_until"]).fill_null(False)
    marked = joined.select(*facts.columns, _known=known)
    contends = marked["_contends"] & ~marked["_known"]
    moment = contends.ifelse(marked["occurredAt"], ibis.null("timestamp('UTC')"))
    in_order = ibis.window(group_by=[marked[name] for name in key], order_by=moment)
    rank, number = ibis.rank().over(in_order), ibis.row_number().over(in_order)
    later = marked["_known"] | (rank > 0)
    ranked = materialize(marked.select(*left, _later=later, _ties=~later & (number > 0)))
    lost = materialize(_lost_ties(ranked, key))
    settled = ranked.left_join(lost, POSITION)
    not_first = settled["_later"] | settled["_lost"].notnull()
    return settled.select(*left, not_first.name(column))


def _lost_ties(ranked: ir.Table, key: tuple[str, ...]) -> ir.Table:
    """Return the positions of the facts that share the earliest moment of their key, except the
    first of them.
    """
    earliest = ranked.filter(~ranked["_later"] & ranked["_contends"])
    tied = earliest.filter(earliest["_ties"]).select(*key).distinct()
    rivals = earliest.semi_join(tied, key)
    places = ibis.window(group_by=list(key), order_by=POSITION)
    ranks = rivals.select(*POSITION, _lost=ibis.row_number().over(places) > 0)
    return ranks.filter(ranks["_lost"])
