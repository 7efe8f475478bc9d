"""Whose data may still be shown (SPEC §3, *People who are gone*)."""

from __future__ import annotations

from collections.abc import Mapping

import ibis.expr.types as ir

__all__ = ["never_seen", "with_people"]


def with_people(
    facts: ir.Table,
    profiles: ir.Table,
    fields: Mapping[str, ir.Value],
    deleted_later: ir.Table | None,
) -> ir.Table:
    """Give each fact these fields of its profile, and tell whether its person is gone (`_gone`).

    facts: with profileId, occurredAt, _appended_at. profiles: their state as of the cut.
    deleted_later: profileId of the deletions that were recorded after the cut, before the file is
    written.

    A fact is gone if its profile's latest deletion was appended at or after it, or it occurred at
    or before a deletion of it, or no event since the deletion brought the profile back.
    """
    known = profiles.select("profileId", "_live", "_deleted_at", "_dead_until", **fields)
    person = facts.left_join(known, "profileId")
    gone = (
        (person["_deleted_at"] >= person["_appended_at"])
        | (person["occurredAt"] <= person["_dead_until"])
        | ~person["_live"]
    ).fill_null(False)
    judged = person.select(*facts.columns, *fields, _gone=gone)
    if deleted_later is None:
        return judged
    later = judged.left_join(deleted_later.select("profileId", _later=True).distinct(), "profileId")
    return later.select(*facts.columns, *fields, _gone=later["_gone"] | later["_later"].notnull())


def never_seen(facts: ir.Table, profiles: ir.Table, deleted_later: ir.Table | None) -> ir.Table:
    """The facts whose profile no event ever told of."""
    unseen = facts.anti_join(profiles, "profileId")
    return unseen if deleted_later is None else unseen.anti_join(deleted_later, "profileId")
