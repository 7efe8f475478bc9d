"""First openings and first clicks (SPEC §3, *Activities*).

First means first recorded, over all windows: what an earlier window saw is remembered
(`sinks.state.firsts`), and no later event takes it back. Within a window the earliest `occurredAt`
is the first; a tie goes to the lowest partition, then offset. Whether the campaign counts is not
asked: an inactive one uses up the first too.
"""

from __future__ import annotations

from collections.abc import Sequence

import ibis
import ibis.expr.types as ir

from sinks.state.engine import kept
from sinks.state.firsts import Firsts
from sinks.state.order import POSITION

__all__ = ["judge_clicks", "judge_firsts"]


def judge_firsts(facts: ir.Table, firsts: Firsts) -> ir.Table:
    """Tell which facts aren't the first of their interaction: column `_not_first`.

    For openings, facts are openings and clicks: a click without an earlier opening is an opening at
    the click's moment. Facts that don't `_contend` take no part.
    """
    left = [name for name in facts.columns if name != "occurredAt"]
    return _judge(facts, firsts.interactions, ("interactionId",), "_not_first", left)


def judge_clicks(facts: ir.Table, firsts: Firsts) -> ir.Table:
    """Tell which clicks aren't the first on their link (`_not_first`), and which are the first of
    all of their interaction (`_first_click`).

    Links are told apart by `clickedUrl`, per interaction: a second contact has its own firsts.
    """
    link = ("interactionId", "clickedUrl")
    judged = _judge(facts, firsts.links, link, "_not_first", facts.columns)
    clicked = firsts.links.select("interactionId").distinct()
    judged = _judge(judged, clicked, ("interactionId",), "_later_click", judged.columns)
    return judged.select(*facts.columns, "_not_first", _first_click=~judged["_later_click"])


def _judge(
    facts: ir.Table, memory: ir.Table, key: tuple[str, ...], column: str, left: Sequence[str]
) -> ir.Table:
    """Mark the facts that aren't the first of their key in the window, or whose key is remembered.

    memory: holds each remembered key once. left: the columns that are still needed. The facts are
    sorted by moment alone, which takes half the time that their places would add; ties are few, and
    settled apart.
    """
    marked = facts.left_join(memory.select(*key, _known=True), key)
    moment = marked["_contends"].ifelse(marked["occurredAt"], ibis.null("timestamp('UTC')"))
    in_order = ibis.window(group_by=[marked[name] for name in key], order_by=moment)
    rank, number = ibis.rank().over(in_order), ibis.row_number().over(in_order)
    later = marked["_known"].notnull() | (rank > 0)
    ranked = kept(marked.select(*left, _later=later, _ties=~later & (number > 0)))
    lost = kept(_lost_ties(ranked, key))
    settled = ranked.left_join(lost, POSITION)
    not_first = settled["_later"] | settled["_lost"].notnull()
    return settled.select(*left, not_first.name(column))


def _lost_ties(ranked: ir.Table, key: tuple[str, ...]) -> ir.Table:
    """The positions of the facts that share the earliest moment of their key, but the first."""
    earliest = ranked.filter(~ranked["_later"] & ranked["_contends"])
    tied = earliest.filter(earliest["_ties"]).select(*key).distinct()
    rivals = earliest.semi_join(tied, key)
    places = ibis.window(group_by=list(key), order_by=POSITION)
    ranks = rivals.select(*POSITION, _lost=ibis.row_number().over(places) > 0)
    return ranks.filter(ranks["_lost"])
