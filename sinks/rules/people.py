"""Whose data may still be shown (SPEC §3, *People who are gone*)."""

from __future__ import annotations

import ibis.expr.types as ir

__all__ = ["judge_people"]


def judge_people(facts: ir.Table, profiles: ir.Table, deleted_later: ir.Table | None) -> ir.Table:
    """Tell of each fact whether its person is gone (`_gone`), and was ever heard of (`_seen`).

    facts: with profileId, occurredAt, _appended_at. profiles: their state as of the cut.
    deleted_later: profileId of the deletions that were recorded after the cut, before the file is
    written.

    A fact is gone if its profile's latest deletion was appended at or after it, or it occurred at
    or before a deletion of it, or no event since the deletion brought the profile back.
    """
    known = profiles.select("profileId", "_live", "_deleted_at", "_dead_until")
    person = facts.left_join(known, "profileId")
    gone = (
        (person["_deleted_at"] >= person["_appended_at"])
        | (person["occurredAt"] <= person["_dead_until"])
        | ~person["_live"]
    ).fill_null(False)
    judged = person.select(*facts.columns, _gone=gone, _seen=person["_live"].notnull())
    if deleted_later is None:
        return judged
    later = judged.left_join(deleted_later.select("profileId", _later=True).distinct(), "profileId")
    kept = [name for name in judged.columns if name != "_gone"]
    return later.select(*kept, _gone=later["_gone"] | later["_later"].notnull())
