"""Rows and their lives: profiles, and the rows of custom tables (SPEC §3, *Rows*).

Each event carries the whole row; the event that was appended last gives the latest state. A life
runs from a row's creation to its deletion. An event that occurred at or before a deletion belongs
to an ended life, and changes nothing. A CREATED for an id that lives begins a new life: a deletion
was missed.

The latest deletion is the one that occurred last (ties: appended last). A deletion that was
recorded later but occurred earlier changes nothing. The latest deletion ends the life that is known
when it is recorded, unless it occurred in an earlier life. That is certain only if the life's
creation was recorded and all of the life occurred after the deletion. In doubt the life has ended,
so that nothing of a deleted person is shown.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import ibis
import ibis.expr.types as ir

from schemas.events import EventType
from sinks.editions import EDITION, LATEST_DELETIONS
from sinks.engine.engine import materialize
from sinks.engine.planned import planned
from sinks.state.order import POSITION, in_append_order
from sinks.state.repeats import without_repeats

__all__ = [
    "LIFE",
    "VALUE_MOMENTS",
    "among_deletions",
    "fold_rows",
    "value_fields",
    "with_attributes",
    "with_beginnings",
    "with_values_of",
]

LIFE: Final = ("_live", "_deleted_at", "_dead_until", "_began", "creationMoment", "updateMoment")
"""Columns of a state for each id, beside its values.

`_live`: whether the row lives. `_deleted_at`: append time of the latest deletion; `_dead_until`:
when it occurred; both null without a deletion. `_began`: the earliest moment at which anything of
the life occurred, null if its creation wasn't recorded. The other moments are those of the current
life.
"""

VALUE_MOMENTS: Final = ("_told_at", "_told_of")
"""Append time and occurredAt of the record that the values come from; stored under these names."""

_VALUES: Final = ("profileId", "attributes", "subscriptions", "segments", "marketingConsent")


def value_fields(events: ir.Table, key: str) -> tuple[str, ...]:
    """Return the fields of the events that are a row's values, as far as the topic has them."""
    return tuple(name for name in _VALUES if name in events.columns and name != key)


@planned
def fold_rows(
    base: ir.Table | None,
    since: ir.Table,
    repeated: ir.Table,
    key: str = "profileId",
    edition: int = EDITION,
) -> ir.Table:
    """Return the rows at a cut: `key`, LIFE, VALUE_MOMENTS and values of every id that has an
    event.

    since: the records after the base, of all four event types. key: profileId, or the id of a
    custom table's row. edition: of the rules. Lives are computed at once, on narrow columns; values
    are taken from the records when they are read.
    """
    base = None if base is None else with_beginnings(base)
    values = (*VALUE_MOMENTS, *value_fields(since, key))
    records = without_repeats(since, repeated)
    folded = materialize(_fold(base, records, key, edition))
    of_record = {"_told_at": records["_appended_at"], "_told_of": records["occurredAt"]}
    sources = records.select(*POSITION, *value_fields(since, key), **of_record)
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


@planned
def with_values_of(base: ir.Table, since: ir.Table, key: str) -> ir.Table:
    """Return a base with the same values as the records. A value that the base lacks is null:
    definitions may have changed since the base was made.
    """
    changed: dict[str, ir.Value] = {}
    for name in value_fields(since, key):
        kind = since[name].type()
        if name not in base.columns:
            changed[name] = ibis.null(kind)
        elif base[name].type() != kind:
            changed[name] = base[name].try_cast(kind)
    return base.mutate(**changed) if changed else base


@planned
def with_attributes(rows: ir.Table, names: Collection[str]) -> ir.Table:
    """Return events or a base with some of their attributes only."""
    if not names:
        return rows.drop("attributes")
    record = rows["attributes"]
    return rows.mutate(attributes=ibis.struct({name: record[name] for name in names}))


def with_beginnings(base: ir.Table) -> ir.Table:
    """Return a base with all columns of LIFE: bases of an earlier release have no `_began`."""
    if "_began" in base.columns:
        return base
    return base.mutate(_began=base["creationMoment"])


def among_deletions(records: ir.Table, key: str, edition: int) -> ir.Table:
    """Add to each record its relation to its row's deletions that were recorded up to it.

    records: without repeats, with `_seq`, and from the state before them `_was_live`,
    `_was_dead_until`, `_was_began`.

    `_counts`: whether it belonged to a life when it was appended: it occurred after all deletions
    known then. `_latest`: whether it is a deletion, and the latest one known then. `_ends`: whether
    it is a deletion that ended the life of that time.
    """
    so_far = ibis.cumulative_window(group_by=key, order_by="_seq")
    occurred, deletes = records["occurredAt"], records["eventType"] == EventType.DELETED.value
    nothing = ibis.null(occurred.type())
    dead = deletes.ifelse(occurred, nothing).max().over(so_far)
    records = records.mutate(
        _deletes=deletes, _dead=ibis.greatest(dead, records["_was_dead_until"])
    )
    occurred, deletes = records["occurredAt"], records["_deletes"]
    counts = ~deletes & (occurred > records["_dead"]).fill_null(True)
    records = records.mutate(_counts=counts, _latest=deletes & (occurred == records["_dead"]))
    if edition < LATEST_DELETIONS.edition:
        return records.mutate(_latest=deletes, _ends=deletes)
    creates = records["_counts"] & (records["eventType"] == EventType.CREATED.value)
    records = records.mutate(_born=records["_seq"].max(where=creates).over(so_far))
    in_life = ibis.cumulative_window(group_by=[key, "_born"], order_by="_seq")
    earliest = records["occurredAt"].min(where=records["_counts"]).over(in_life)
    records = records.mutate(_earliest=earliest)
    went_on = records["_was_live"] & records["_was_began"].notnull()
    of_base = went_on.ifelse(ibis.least(records["_earliest"], records["_was_began"]), nothing)
    began = records["_born"].notnull().ifelse(records["_earliest"], of_base)
    goes_on = (began > records["occurredAt"]).fill_null(False)
    return records.mutate(_ends=records["_latest"] & ~goes_on).drop("_born", "_earliest")


def _fold(base: ir.Table | None, records: ir.Table, key: str, edition: int) -> ir.Table:
    """Return the ids in the records: `key`, LIFE, and the position of the record that holds the
    values.

    `_as_in_base`: whether life and values of the base still hold.
    """
    narrow = records.select(
        key, "eventType", "occurredAt", "creationMoment", "updateMoment", "_appended_at", *POSITION
    )
    ordered = in_append_order(narrow, key)
    ids = _ended(base, ordered, key, edition)
    lives = _lives(ordered, ids, key)
    joined = ids.left_join(lives, key).drop(f"{key}_right")
    goes_on, has_records = joined["_went_on"], joined["_offset"].notnull()
    creation = joined["_born_at"].fill_null(
        goes_on.ifelse(joined["_base_creation"], joined["_snapshot_creation"])
    )
    update = joined["_touched_at"].fill_null(
        goes_on.ifelse(joined["_base_update"], joined["_snapshot_update"])
    )
    began = joined["_base_began"]
    of_base = (goes_on & began.notnull()).ifelse(
        ibis.least(began, joined["_earliest"]), ibis.null(began.type())
    )
    return joined.select(
        key,
        *POSITION,
        "_deleted_at",
        "_dead_until",
        _live=goes_on | has_records,
        _as_in_base=goes_on & ~has_records,
        _began=joined["_born_at"].notnull().ifelse(joined["_earliest"], of_base),
        creationMoment=creation,
        updateMoment=update,
    )


def _ended(base: ir.Table | None, ordered: ir.Table, key: str, edition: int) -> ir.Table:
    """Return how lives of the ids ended: their latest deletion, the record after which events count
    again (`_end`), and whether the base's life went on (`_went_on`).
    """
    ids = ordered.select(key).distinct()
    known = _known(base, ordered, key)
    deletes = ordered["eventType"] == EventType.DELETED.value
    suspects = ordered.semi_join(ordered.filter(deletes), key).left_join(_was(known, key), key)
    placed = among_deletions(suspects, key, edition)
    ends = placed.group_by(key).agg(
        _end=placed["_seq"].max(where=placed["_ends"]),
        _ended_at=placed["_appended_at"].argmax(placed["_seq"], where=placed["_latest"]),
        _ended_until=placed["occurredAt"].max(where=placed["_latest"]),
    )
    ids = ids.left_join(ends, key).drop(f"{key}_right")
    before = ids.left_join(known, key)
    return before.select(
        key,
        _end=before["_end"].fill_null(-1),
        _deleted_at=ibis.coalesce(before["_ended_at"], before["_deleted_at"]),
        _dead_until=ibis.greatest(before["_ended_until"], before["_dead_until"]),
        _went_on=before["_live"].fill_null(False) & before["_end"].isnull(),
        _base_began=before["_began"],
        _base_creation=before["creationMoment"],
        _base_update=before["updateMoment"],
    )


def _was(known: ir.Table, key: str) -> ir.Table:
    """Return the state of the ids before the records, as `among_deletions` reads it."""
    return known.select(
        key,
        _was_live=known["_live"],
        _was_dead_until=known["_dead_until"],
        _was_began=known["_began"],
    )


def _known(base: ir.Table | None, records: ir.Table, key: str) -> ir.Table:
    """Return LIFE of the ids, as the base has it."""
    if base is not None:
        return base.select(key, *LIFE)
    moment = ibis.null(records["occurredAt"].type())
    life = {name: ibis.null("boolean") if name == "_live" else moment for name in LIFE}
    return records.select(key, **life).limit(0)


def _lives(ordered: ir.Table, ids: ir.Table, key: str) -> ir.Table:
    """Return the lives in the records, by id: the position of the last record, and its moments."""
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
        _earliest=life["occurredAt"].min(),
        _touched_at=life["occurredAt"].argmax(
            life["_seq"], where=life["eventType"] != EventType.SNAPSHOT.value
        ),
        _snapshot_creation=life["creationMoment"].max(where=begins_by_snapshot),
        _snapshot_update=life["updateMoment"].max(where=begins_by_snapshot),
    )
