"""First openings and first clicks (SPEC §3, *Activities*).

First means first recorded, over all windows: what an earlier window saw is remembered
(`sinks.state.firsts`), and no later event takes it back. Within a window the earliest `occurredAt`
is the first; a tie goes to the lowest partition, then offset. Whether the campaign counts is not
asked: an inactive one uses up the first too.
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from sinks.state.firsts import Firsts
from sinks.state.order import POSITION

__all__ = ["judge_clicks", "judge_firsts"]


def judge_firsts(facts: ir.Table, firsts: Firsts) -> ir.Table:
    """Tell which facts aren't the first of their interaction: column `_not_first`.

    For openings, facts are openings and clicks: a click without an earlier opening is an opening at
    the click's moment. Facts that don't `_contend` take no part. facts: kept.
    """
    first = _first_of_each(facts, firsts.interactions, ("interactionId",))
    judged = facts.left_join(first, POSITION)
    return judged.select(*facts.columns, _not_first=judged["_is_first"].isnull())


def judge_clicks(facts: ir.Table, firsts: Firsts) -> ir.Table:
    """Tell which clicks aren't the first on their link (`_not_first`), and which are the first of
    all of their interaction (`_first_click`).

    Links are told apart by `clickedUrl`, per interaction: a second contact has its own firsts.
    """
    on_link = _first_of_each(facts, firsts.links, ("interactionId", "clickedUrl"))
    clicked = firsts.links.select("interactionId").distinct()
    of_all = _first_of_each(facts, clicked, ("interactionId",)).rename(_is_first_click="_is_first")
    judged = facts.left_join(on_link, POSITION).select(*facts.columns, "_is_first")
    told = judged.left_join(of_all, POSITION)
    return told.select(
        *facts.columns,
        _not_first=told["_is_first"].isnull(),
        _first_click=told["_is_first_click"].notnull(),
    )


def _first_of_each(facts: ir.Table, memory: ir.Table, key: tuple[str, ...]) -> ir.Table:
    """The positions of the facts that are the first of their key, marked `_is_first`.

    memory: the keys that are used up.
    """
    contenders = facts.filter(facts["_contends"]).anti_join(memory, key)
    place = ibis.struct({name: contenders[name] for name in ("occurredAt", *POSITION)})
    earliest = contenders.group_by(*key).agg(_earliest=place.min())["_earliest"]
    return earliest.as_table().select(
        **{name: earliest[name] for name in POSITION}, _is_first=ibis.literal(True)
    )
