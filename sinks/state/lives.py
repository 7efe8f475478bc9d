"""Rows and their lives: profiles, and the rows of custom tables (SPEC §3, *Rows*).

Each event carries the whole row, and the latest state is what was appended last. A life runs from a
row's creation to its deletion; what occurred at or before a deletion belongs to a life that ended,
and changes nothing. A CREATED for an id that lives begins a new life: a deletion was missed.
"""

from __future__ import annotations

from typing import Final

import ibis
import ibis.expr.types as ir

from schemas.events import EventType
from sinks.state.engine import kept
from sinks.state.order import POSITION, in_append_order
from sinks.state.repeats import without_repeats

__all__ = ["LIFE", "TOLD", "fold_rows", "value_fields"]

LIFE: Final = ("_live", "_deleted_at", "_dead_until", "creationMoment", "updateMoment")
"""What a state knows of each id beside its values.

`_live`: whether a life goes on. `_deleted_at`: append time of the deletion that was appended last;
`_dead_until`: the latest moment at which any deletion occurred; both null if none did. The moments
are those of the life that goes on.
"""

TOLD: Final = ("_told_at", "_told_of")
"""When the values were told: append time and occurredAt of the record that they come from."""

_VALUES: Final = ("profileId", "attributes", "subscriptions", "segments", "marketingConsent")


def value_fields(events: ir.Table, key: str) -> tuple[str, ...]:
    """The fields of the events that are a row's values, as far as the topic has them."""
    return tuple(name for name in _VALUES if name in events.columns and name != key)


def fold_rows(
    base: ir.Table | None, since: ir.Table, repeated: ir.Table, key: str = "profileId"
) -> ir.Table:
    """The rows at a cut: `key`, LIFE, TOLD and values of every id that was ever heard of.

    since: the records after the base, of all four event types. key: profileId, or the id of a
    custom table's row. What the records touch is computed at once, on narrow columns; values are
    taken from the records when read.
    """
    values = (*TOLD, *value_fields(since, key))
    told = without_repeats(since, repeated)
    folded = kept(_fold(base, told, key))
    of_record = {"_told_at": told["_appended_at"], "_told_of": told["occurredAt"]}
    sources = told.select(*POSITION, *value_fields(since, key), **of_record)
    from_since = (
        folded.filter(~folded["_as_in_base"])
        .left_join(sources, POSITION)
        .select(key, *LIFE, *values)
    )
    if base is None:
        return from_since
    as_in_base = folded.filter(folded["_as_in_base"]).select(key, *LIFE)
    untouched = base.anti_join(folded, key).select(key, *LIFE, *values)
    carried_on = as_in_base.inner_join(base.select(key, *values), key).select(key, *LIFE, *values)
    return untouched.union(carried_on).union(from_since)


def _fold(base: ir.Table | None, told: ir.Table, key: str) -> ir.Table:
    """The ids that the records touch: `key`, LIFE, the position of the record that holds the
    values.

    `_as_in_base`: the life and the values of the base go on.
    """
    narrow = told.select(
        key, "eventType", "occurredAt", "creationMoment", "updateMoment", "_appended_at", *POSITION
    )
    ordered = in_append_order(narrow, key)
    ids = _ended(base, ordered, key)
    lives = _lives(ordered, ids, key)
    joined = ids.left_join(lives, key).drop(f"{key}_right")
    goes_on, told_more = joined["_went_on"], joined["_offset"].notnull()
    creation = joined["_born_at"].fill_null(
        goes_on.ifelse(joined["_base_creation"], joined["_told_creation"])
    )
    update = joined["_touched_at"].fill_null(
        goes_on.ifelse(joined["_base_update"], joined["_told_update"])
    )
    return joined.select(
        key,
        *POSITION,
        "_deleted_at",
        "_dead_until",
        _live=goes_on | told_more,
        _as_in_base=goes_on & ~told_more,
        creationMoment=creation,
        updateMoment=update,
    )


def _ended(base: ir.Table | None, ordered: ir.Table, key: str) -> ir.Table:
    """What ended the lives of the ids: their deletions, and whether the base's life went on
    (`_went_on`).
    """
    deletions = ordered.filter(ordered["eventType"] == EventType.DELETED.value)
    ends = deletions.group_by(key).agg(
        _end=deletions["_seq"].max(),
        _ended_at=deletions["_appended_at"].argmax(deletions["_seq"]),
        _ended_until=deletions["occurredAt"].max(),
    )
    ids = ordered.select(key).distinct().left_join(ends, key).drop(f"{key}_right")
    known = _known(base, ids, key)
    before = ids.left_join(known, key)
    return before.select(
        key,
        _end=before["_end"].fill_null(-1),
        _deleted_at=ibis.coalesce(before["_ended_at"], before["_deleted_at"]),
        _dead_until=ibis.greatest(before["_ended_until"], before["_dead_until"]),
        _went_on=before["_live"].fill_null(False) & before["_end"].isnull(),
        _base_creation=before["creationMoment"],
        _base_update=before["updateMoment"],
    )


def _known(base: ir.Table | None, ids: ir.Table, key: str) -> ir.Table:
    """What the base knows of the ids: LIFE."""
    if base is not None:
        return base.select(key, *LIFE)
    moment = ibis.null(ids["_ended_at"].type())
    life = {name: ibis.null("boolean") if name == "_live" else moment for name in LIFE}
    return ids.select(key, **life).limit(0)


def _lives(ordered: ir.Table, ids: ir.Table, key: str) -> ir.Table:
    """The lives that the records tell of, by id: the position of the last record, and the moments
    it takes.
    """
    events = ordered.filter(ordered["eventType"] != EventType.DELETED.value).inner_join(ids, key)
    survives = (events["_seq"] > events["_end"]) & (
        events["occurredAt"] > events["_dead_until"]
    ).fill_null(True)
    survivors = events.filter(survives)
    born = survivors["_seq"].max(where=survivors["eventType"] == EventType.CREATED.value)
    survivors = survivors.mutate(_born=born.over(group_by=key).fill_null(-1))
    life = survivors.filter(survivors["_seq"] >= survivors["_born"])
    life = life.mutate(_first=life["_seq"].min().over(group_by=key))
    begins_by_snapshot = (life["_seq"] == life["_first"]) & (
        life["eventType"] == EventType.SNAPSHOT.value
    )
    return life.group_by(key).agg(
        _partition=life["_partition"].argmax(life["_seq"]),
        _offset=life["_offset"].argmax(life["_seq"]),
        _born_at=life["occurredAt"].max(where=life["eventType"] == EventType.CREATED.value),
        _touched_at=life["occurredAt"].argmax(
            life["_seq"], where=life["eventType"] != EventType.SNAPSHOT.value
        ),
        _told_creation=life["creationMoment"].max(where=begins_by_snapshot),
        _told_update=life["updateMoment"].max(where=begins_by_snapshot),
    )
