"""Which interactions were downloaded (SPEC §3, *READY*)."""

from __future__ import annotations

import ibis.expr.types as ir

from schemas.events import EventType
from sinks.engine.planned import planned
from sinks.state.repeats import without_repeats

__all__ = ["fold_downloads"]


@planned
def fold_downloads(base: ir.Table | None, since: ir.Table, repeated: ir.Table) -> ir.Table:
    """Return the interactions that were downloaded by a cut: interactionId, each once.

    since: the records after the base, of all event types or downloads alone.
    """
    records = without_repeats(since, repeated)
    downloaded = records.filter(records["eventType"] == EventType.DOWNLOADED.value).select(
        "interactionId"
    )
    if base is None:
        return downloaded.distinct()
    return base.select("interactionId").union(downloaded).distinct()
