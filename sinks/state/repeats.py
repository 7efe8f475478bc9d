"""Repeats: records whose eventId their topic already carried shortly before (SPEC §3, *Facts*).

The order is append order (`sinks.state.order`): a broker's clock that was set back doesn't make a
repeat of the earlier record. A repeat prolongs the period: a record 40 hours after the first is a
repeat, and so is one 40 hours after that. Dead letters aren't in these tables, so that their replay
after a fix counts.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import ibis
import ibis.expr.types as ir

from sinks.engine.engine import interval_of, materialize
from sinks.engine.planned import planned
from sinks.state.order import POSITION, at_latest

__all__ = ["REPEAT_HOURS", "is_repeat", "repeats", "without_repeats"]

REPEAT_HOURS: Final = 48
"""How long a topic remembers an eventId, in hours of append time, both ends included (a setting).
"""


@planned
def repeats(prior: ir.Table, hours: int = REPEAT_HOURS) -> ir.Table:
    """Find the repeats among the records of one topic; materialized.

    prior: eventId and META of the topic's records of all event types, from `hours` before the first
    record to be judged up to the cut. Returns the repeats' positions. Records in the first `hours`
    of `prior` aren't judged reliably.

    Nearly all ids come once. The others are found first, by ids alone, and only their times are
    compared.
    """
    nth = prior.select("eventId", nth=ibis.row_number().over(group_by="eventId"))
    twice = materialize(nth.filter(nth["nth"] == 1).select("eventId"))
    suspects = at_latest(prior.semi_join(twice, "eventId"), "eventId")
    in_order = ibis.window(group_by="eventId", order_by=["_latest", *POSITION])
    timed = suspects.select(*POSITION, "_latest", carried=suspects["_latest"].lag().over(in_order))
    recent = timed["_latest"] <= timed["carried"] + interval_of(timedelta(hours=hours))
    return materialize(timed.filter(recent).select(*POSITION))


def is_repeat(records: ir.Table, repeated: ir.Table) -> ir.Table:
    """Mark each record: boolean column `_repeat`."""
    marked = records.left_join(repeated.select(*POSITION, _mark=True), POSITION)
    return marked.select(*records.columns, _repeat=marked["_mark"].notnull())


def without_repeats(records: ir.Table, repeated: ir.Table) -> ir.Table:
    """Leave out the repeats, which change no state."""
    return records.anti_join(repeated, POSITION)
