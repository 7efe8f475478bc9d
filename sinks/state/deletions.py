"""Which profiles were deleted, by the records of their topic (SPEC §3, *People who are gone*).

Erasure stores these as tombstones. `lives.py` has the rules of deletions and lives.
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from schemas.events import EventType
from sinks.editions import EDITION
from sinks.engine.engine import materialize, query_rows
from sinks.state.lives import among_deletions
from sinks.state.order import POSITION, in_append_order
from streams.erasure.tombstones import NOWHERE

__all__ = ["created_later", "latest_deletions"]


def created_later(created: ir.Table, deleted: ir.Table) -> ir.Table:
    """Return the profiles that were created after their deletion occurred; materialized.

    created: profileId, occurredAt of CREATED events. deleted: profileId, occurred_at.
    """
    first = query_rows(deleted.agg(first=deleted["occurred_at"].min()))[0]["first"]
    later = created.filter(created["occurredAt"] > ibis.literal(first))
    joined = later.select("profileId", "occurredAt").inner_join(deleted, "profileId")
    return materialize(
        joined.filter(joined["occurredAt"] > joined["occurred_at"]).select("profileId")
    )


def latest_deletions(records: ir.Table, known: ir.Table) -> ir.Table:
    """Return what the records say of each profile that was ever deleted: the columns of TOMBSTONES,
    and whether the records hold its latest deletion (`deleted`).

    records: of profiles, without repeats. known: profileId and `_known_until`, the moment at which
    the latest known deletion occurred.
    """
    deletion = records["eventType"] == EventType.DELETED.value
    suspects = records.filter(deletion).select("profileId").union(known.select("profileId"))
    narrow = records.select("profileId", "eventType", "occurredAt", "_appended_at", *POSITION)
    records = in_append_order(narrow.semi_join(suspects, "profileId"), "profileId")
    was = known.select("profileId", _was_dead_until=known["_known_until"])
    records = records.left_join(was, "profileId").drop("profileId_right")
    records = records.mutate(_was_live=False, _was_began=ibis.null(records["occurredAt"].type()))
    records = among_deletions(records, "profileId", EDITION)
    of_profile = ibis.window(group_by="profileId")
    order, latest, ends = records["_seq"], records["_latest"], records["_ends"]
    records = records.mutate(
        _last=order.max(where=latest).over(of_profile),
        _end=order.max(where=ends).over(of_profile).fill_null(-1),
        _until=records["_dead"].max().over(of_profile),
    )
    return _of_profiles(records)


def _of_profiles(records: ir.Table) -> ir.Table:
    order, last = records["_seq"], records["_seq"] == records["_last"]
    lives = ~records["_deletes"] & (order > records["_end"])
    lives &= (records["occurredAt"] > records["_until"]).fill_null(True)
    created = lives & (records["eventType"] == EventType.CREATED.value)
    # The deletion was recorded later than the life began, and ended an earlier one.
    begins = created & (records["_end"] < records["_last"]) & (order < records["_last"])

    def of_life(name: str) -> ir.Value:
        return records[name].argmax(order, where=begins)

    return records.group_by("profileId").agg(
        appended_at=records["_appended_at"].argmax(order, where=last),
        occurred_at=records["_until"].max(),
        partition=records["_partition"].argmax(order, where=last),
        offset=records["_offset"].argmax(order, where=last),
        revived=lives.any(),
        life_appended_at=of_life("_appended_at"),
        life_partition=of_life("_partition").fill_null(NOWHERE),
        life_offset=of_life("_offset").fill_null(NOWHERE),
        deleted=last.any().fill_null(False),
    )
