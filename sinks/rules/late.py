"""Records that occurred before their window began; each drop has their number (SPEC §3, *Readings
settled*).
"""

from __future__ import annotations

import datetime as dt

import ibis.expr.types as ir

from sinks.engine.engine import engine_of, query_files
from sinks.engine.planned import planned

__all__ = ["late_by_day"]


def late_by_day(events: ir.Table, start: dt.datetime) -> dict[dt.date, int]:
    """Count the events that occurred before an instant, by UTC day of the event."""
    days = query_files(_days(events, engine_of(events).value(start)))
    return {row["day"]: row["n"] for row in days}


@planned
def _days(events: ir.Table, start: ir.Scalar) -> ir.Table:
    late = events.filter(events["occurredAt"] < start)
    return late.group_by(day=late["occurredAt"].date()).agg(n=late.count()).order_by("day")
