"""When an export closes: at its local hour, every day."""

from __future__ import annotations

import datetime as dt

from sinks.exports.export import Export
from sinks.instants import day_before, due_instants
from sinks.rendering.zones import zone

__all__ = ["first_start", "next_close"]


def next_close(export: Export, now: dt.datetime) -> dt.datetime:
    """The next instant after `now` at which an export closes."""
    schedule, own_zone = export.definition.schedule, zone(export.zone_name)
    return next(iter(due_instants(now, now + dt.timedelta(days=3), schedule.hour, own_zone)))


def first_start(export: Export, instant: dt.datetime) -> dt.datetime:
    """The beginning of a new export's first window: the same local hour on the day before."""
    return day_before(instant, export.definition.schedule.hour, zone(export.zone_name))
