"""Campaigns, each as its last event describes it (SPEC §1, §3)."""

from __future__ import annotations

import ibis.expr.types as ir

from sinks.engine.engine import materialize
from sinks.engine.planned import planned
from sinks.state.order import last_of_each
from sinks.state.repeats import without_repeats

__all__ = ["CAMPAIGN_FIELDS", "fold_campaigns"]

CAMPAIGN_FIELDS = (
    "campaignId",
    "name",
    "technicalName",
    "channel",
    "campaignKind",
    "state",
    "sentAt",
    "finishedAt",
    "engine",
    "subscription",
)
"""The columns of the state: the fields of a campaign event."""


@planned
def fold_campaigns(base: ir.Table | None, since: ir.Table, repeated: ir.Table) -> ir.Table:
    """Return the campaigns at a cut, each from its last event.

    since: the records of the campaign topic after the base.
    """
    last = last_of_each(without_repeats(since, repeated), "campaignId").select(*CAMPAIGN_FIELDS)
    if base is None:
        return materialize(last)
    untouched = base.select(*CAMPAIGN_FIELDS).anti_join(last, "campaignId")
    return materialize(untouched.union(last))
