"""Records that occurred before their window began; each drop has their number (SPEC §3, *Readings
settled*).
"""

from __future__ import annotations

import datetime as dt

import ibis
import ibis.expr.types as ir

from sinks.engine.engine import query_files

__all__ = ["late_by_day"]


def late_by_day(events: ir.Table, start: dt.datetime) -> dict[dt.date, int]:
    """Count the events that occurred before an instant, by UTC day of the event."""
    late = events.filter(events["occurredAt"] < ibis.literal(start))
    days = late.group_by(day=late["occurredAt"].date()).agg(n=late.count()).order_by("day")
    return {row["day"]: row["n"] for row in query_files(days)}
