"""First openings and first clicks (SPEC §3, *Activities*).

First means first recorded, over all windows: what an earlier window saw is remembered (`sinks.state.firsts`), and no
later event takes it back. Within a window the earliest `occurredAt` is the first; a tie goes to the lowest partition,
then offset. Whether the campaign counts is not asked: an inactive one uses up the first too.
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from sinks.state.firsts import Firsts
from sinks.state.order import POSITION

__all__ = ["judge_clicks", "judge_firsts"]


def judge_firsts(facts: ir.Table, firsts: Firsts) -> ir.Table:
    """Tell which facts aren't the first of their interaction: column `_not_first`.

    For openings, facts are openings and clicks: a click without an earlier opening is an opening at the click's moment.
    Facts marked `_repeat` take no part.
    """
    return _judge(facts, firsts.interactions, ("interactionId",), "_not_first")


def judge_clicks(facts: ir.Table, firsts: Firsts) -> ir.Table:
    """Tell which clicks aren't the first on their link (`_not_first`), and which are the first on any (`isFirstClick`).

    Links are told apart by `clickedUrl`, per interaction: a second contact has its own firsts.
    """
    judged = _judge(facts, firsts.links, ("interactionId", "clickedUrl"), "_not_first")
    judged = _judge(judged, firsts.links, ("interactionId",), "_later_click")
    return judged.mutate(isFirstClick=~judged["_later_click"]).drop("_later_click")


def _judge(facts: ir.Table, memory: ir.Table, key: tuple[str, ...], column: str) -> ir.Table:
    """Mark the facts that aren't the first of their key in the window, or whose key is remembered."""
    known = memory.select(*key).distinct().mutate(_known=True)
    marked = facts.left_join(known, key).drop(*(f"{name}_right" for name in key))
    earliest = ibis.window(group_by=list(key), order_by=["_repeat", "occurredAt", *POSITION])
    ranked = marked.mutate(_rank=ibis.row_number().over(earliest))
    return ranked.mutate((ranked["_known"].notnull() | (ranked["_rank"] > 0)).name(column)).drop(
        "_known", "_rank"
    )
