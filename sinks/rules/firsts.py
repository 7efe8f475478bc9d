"""First openings and first clicks (SPEC §3, *Activities*).

First means first recorded, over all windows: what an earlier window saw is remembered
(`sinks.state.firsts`), and no later event takes it back. Within a window the earliest `occurredAt`
is the first; a tie goes to the lowest partition, then offset. Whether the campaign counts is not
asked: an inactive one uses up the first too.
"""

from __future__ import annotations

from typing import Final

import ibis
import ibis.expr.types as ir

from sinks.state.firsts import Firsts

__all__ = ["judge_clicks", "judge_firsts"]

_PLACES: Final = 1 << 48
"""Offsets of a partition that one number has room for, beside the partition: a key less to sort by.

At a million records a second, a partition reaches it after nine years.
"""


def judge_firsts(facts: ir.Table, firsts: Firsts) -> ir.Table:
    """Tell which facts aren't the first of their interaction: column `_not_first`.

    For openings, facts are openings and clicks: a click without an earlier opening is an opening at
    the click's moment. Facts that don't `_contend` take no part.
    """
    return _judge(facts, firsts.interactions, ("interactionId",), "_not_first")


def judge_clicks(facts: ir.Table, firsts: Firsts) -> ir.Table:
    """Tell which clicks aren't the first on their link (`_not_first`), and which are the first of
    all of their interaction (`isFirstClick`).

    Links are told apart by `clickedUrl`, per interaction: a second contact has its own firsts.
    """
    judged = _judge(facts, firsts.links, ("interactionId", "clickedUrl"), "_not_first")
    clicked = firsts.links.select("interactionId").distinct()
    judged = _judge(judged, clicked, ("interactionId",), "_later_click")
    return judged.select(*facts.columns, "_not_first", isFirstClick=~judged["_later_click"])


def _judge(facts: ir.Table, memory: ir.Table, key: tuple[str, ...], column: str) -> ir.Table:
    """Mark the facts that aren't the first of their key in the window, or whose key is remembered.

    memory: holds each remembered key once.
    """
    known = memory.select(*key, _known=True)
    marked = facts.left_join(known, key)
    moment = marked["_contends"].ifelse(marked["occurredAt"], ibis.null("timestamp('UTC')"))
    place = marked["_partition"].cast("int64") * _PLACES + marked["_offset"]
    rank = ibis.row_number().over(group_by=[marked[name] for name in key], order_by=[moment, place])
    ranked = marked.select(*facts.columns, "_known", _rank=rank)
    not_first = ranked["_known"].notnull() | (ranked["_rank"] > 0)
    return ranked.select(*facts.columns, not_first.name(column))
