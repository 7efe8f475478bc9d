"""People whose data may still be shown (SPEC §3, *People who are gone*)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from sinks.editions import EDITION, LATEST_DELETIONS
from sinks.engine.engine import materialize

__all__ = ["People"]

_LIFE = ("_live", "_deleted_at", "_dead_until")


@dataclass(frozen=True, slots=True)
class People:
    """The profiles that a drop's lines are about; materialized.

    known: profileId, the ends of their lives, and the fields that lines take from them.
    deleted_later: profileId and occurredAt of deletions that were recorded after the cut and before
    the file is written; only the latest of each profile. edition: of the rules.
    """

    known: ir.Table
    fields: tuple[str, ...]
    deleted_later: ir.Table | None

    @classmethod
    def of(
        cls,
        facts: ir.Table,
        profiles: ir.Table,
        fields: Mapping[str, ir.Value],
        deleted_later: ir.Table | None,
        edition: int = EDITION,
    ) -> People:
        """Look up the profiles of the facts; the others, millions of them, aren't read.

        facts: with profileId. profiles: their state as of the cut. fields: values of it by name.
        """
        touched = profiles.semi_join(facts.select("profileId"), "profileId")
        known = materialize(touched.select("profileId", *_LIFE, **fields))
        if deleted_later is not None and edition >= LATEST_DELETIONS.edition:
            deleted_later = _latest(deleted_later, known)
        return cls(known, tuple(fields), deleted_later)

    def beside(self, facts: ir.Table) -> ir.Table:
        """Add to each fact the fields of its profile, and whether its person is gone (`_gone`).

        facts: with profileId, occurredAt, _appended_at.

        The person of a fact is gone in four cases: the profile's latest deletion was appended at or
        after the fact; the fact occurred at or before that deletion; the profile doesn't live; the
        profile is in `deleted_later`.
        """
        person = facts.left_join(self.known, "profileId")
        gone = (
            (person["_deleted_at"] >= person["_appended_at"])
            | (person["occurredAt"] <= person["_dead_until"])
            | ~person["_live"]
        ).fill_null(False)
        judged = person.select(*facts.columns, *self.fields, _gone=gone)
        if self.deleted_later is None:
            return judged
        ids = self.deleted_later.select("profileId").distinct()
        later = judged.left_join(ids.mutate(_later=ibis.literal(True)), "profileId")
        gone = later["_gone"] | later["_later"].notnull()
        return later.select(*facts.columns, *self.fields, _gone=gone)

    def never_seen(self, facts: ir.Table) -> ir.Table:
        """Return the number of facts whose profile has no event at all, in one row: `facts`. The
        report has it.
        """
        unseen = facts.filter(facts["profileId"].notnull()).anti_join(self.known, "profileId")
        if self.deleted_later is not None:
            unseen = unseen.anti_join(self.deleted_later, "profileId")
        return unseen.agg(facts=unseen.count())


def _latest(deletions: ir.Table, known: ir.Table) -> ir.Table:
    """Return the deletions that occurred no earlier than any known deletion of their profile."""
    joined = deletions.left_join(known.select("profileId", "_dead_until"), "profileId")
    is_latest = (joined["occurredAt"] >= joined["_dead_until"]).fill_null(True)
    return joined.filter(is_latest).select(*deletions.columns)
