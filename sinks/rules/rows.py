"""Drops of rows: profiles, and the rows of custom tables, as of the cut (SPEC §3, *Rows*).

One line a row, by its last record in the window that qualifies. Only the current life counts; what
was deleted before the close, or before the file is written, is not in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import ibis.expr.types as ir

from schemas.events import EventType
from sinks.columns import Column, Origin
from sinks.rules.lines import state_fields, values_of
from sinks.rules.outcome import Outcome, first_that_applies
from sinks.state.engine import fetched, kept
from sinks.state.lives import fold_rows
from sinks.state.order import POSITION, in_append_order
from sinks.state.repeats import is_repeat

__all__ = ["ROW_RULES", "RowDrop", "RowFacts", "drop_of_rows"]

CREATED, UPDATED, DELETED, SNAPSHOT = (
    kind.value
    for kind in (EventType.CREATED, EventType.UPDATED, EventType.DELETED, EventType.SNAPSHOT)
)

ROW_RULES = {"CREATION": (CREATED,), "UPDATE": (UPDATED,), "CREATION_OR_UPDATE": (CREATED, UPDATED)}
"""The events that make a line, by the event type of the export."""


@dataclass(frozen=True, slots=True)
class RowFacts:
    """What a close reads for one drop of rows.

    window: the records between the cuts, of all four event types. repeated: see `repeats`. before:
    the state at the window's start; None if nothing is known. deleted_later: `key` of the deletions
    recorded after the cut. key: profileId, or id for custom tables; origin: what the columns call
    these rows.
    """

    window: ir.Table
    repeated: ir.Table
    before: ir.Table | None = None
    deleted_later: ir.Table | None = None
    key: str = "profileId"
    origin: Origin = Origin.PROFILE


@dataclass(frozen=True, slots=True)
class RowDrop:
    """The selection of one drop.

    verdicts: each input record's position and `outcome` (numbers of `Outcome`), and whether it is a
    creation of a row that lived (`_missed`: a deletion was missed); kept as a table. lines: the
    exported columns by name, in order of id.
    """

    verdicts: ir.Table
    lines: ir.Table

    def missed_deletions(self) -> int:
        """Count the creations of rows that lived already: the report warns of them."""
        missed = self.verdicts["_missed"].sum().fill_null(0)
        return int(fetched(self.verdicts.agg(records=missed))[0]["records"])


def drop_of_rows(makes_lines: Sequence[str], facts: RowFacts, columns: Sequence[Column]) -> RowDrop:
    """Select one drop; the verdicts are computed at once, the lines when they are read.

    makes_lines: of ROW_RULES. columns: those of the export, as `sinks.types` declares them.
    """
    state = fold_rows(facts.before, facts.window, facts.repeated, facts.key)
    verdicts = kept(_judge(makes_lines, facts, state))
    exported = verdicts.filter(verdicts["outcome"] == int(Outcome.EXPORTED)).select(
        *POSITION, facts.key
    )
    return RowDrop(verdicts, _lines(state.semi_join(exported, facts.key), facts, columns))


def _lines(rows: ir.Table, facts: RowFacts, columns: Sequence[Column]) -> ir.Table:
    fields = state_fields(rows, facts.origin, columns)
    in_order = rows.select(_order=rows[facts.key], **fields).order_by("_order")
    return in_order.select(**values_of(columns, in_order))


def _judge(makes_lines: Sequence[str], facts: RowFacts, state: ir.Table) -> ir.Table:
    """Judge each record of the window by its row's life at the cut."""
    records = _placed_in_lives(facts, state)
    kind, current = records["eventType"], records["_current"]
    told_again = (
        current
        & (kind == UPDATED)
        & (
            (records["occurredAt"] == records["creationMoment"])
            | (records["updateMoment"] == records["creationMoment"])
        ).fill_null(False)
    )
    other_increment = kind.notin(makes_lines) | told_again
    qualifies = current & ~other_increment
    last = records["_seq"].max(where=qualifies).over(group_by=facts.key)
    records = records.mutate(
        _not_last=~qualifies | (records["_seq"] < last),
        _other=other_increment,
        _alive=records["_live"].fill_null(False),
    )
    records = records.filter(records["eventType"] != SNAPSHOT)
    outcome = first_that_applies(
        {
            Outcome.DUPLICATE: records["_repeat"],
            Outcome.FILTERED: records["_other"],
            Outcome.ROW_GONE: ~records["_alive"] | records["_ended"] | records["_later"],
            Outcome.SUPERSEDED: records["_not_last"],
        }
    )
    return records.select(*POSITION, facts.key, "_missed", outcome=outcome)


def _placed_in_lives(facts: RowFacts, state: ir.Table) -> ir.Table:
    """Tell of each record whether it belongs to the life that goes on (`_current`), or occurred
    before a deletion (`_ended`), and whether it created a row that lived (`_missed`).
    """
    key = facts.key
    narrow = facts.window.select(key, "eventType", "occurredAt", "_appended_at", *POSITION)
    ordered = in_append_order(is_repeat(narrow, facts.repeated), key)
    at_cut = state.select(key, "_live", "_dead_until", "creationMoment", "updateMoment")
    records = (
        _judge_later(_judge_before(ordered, facts), facts)
        .left_join(at_cut, key)
        .drop(f"{key}_right")
    )
    counts = ~records["_repeat"]
    ended = (records["occurredAt"] <= records["_dead_until"]).fill_null(False)
    end = records["_seq"].max(where=counts & (records["eventType"] == DELETED)).over(group_by=key)
    records = records.mutate(_ended=ended, _end=end)
    survives = (
        counts
        & (records["eventType"] != DELETED)
        & ~records["_ended"]
        & (records["_seq"] > records["_end"]).fill_null(True)
    )
    records = records.mutate(
        _survives=survives, _creates=survives & (records["eventType"] == CREATED)
    )
    records = records.mutate(
        _born=records["_seq"].max(where=records["_creates"]).over(group_by=key),
        _first=records["_seq"].min(where=records["_survives"]).over(group_by=key),
    )
    lived = (records["_seq"] > records["_first"]) | (
        records["_lived_before"] & records["_end"].isnull()
    )
    return records.mutate(
        _current=records["_survives"] & (records["_seq"] >= records["_born"]).fill_null(True),
        _missed=records["_creates"] & lived,
    )


def _judge_before(records: ir.Table, facts: RowFacts) -> ir.Table:
    if facts.before is None:
        return records.mutate(_lived_before=False)
    before = facts.before.select(facts.key, _was_live=facts.before["_live"])
    joined = records.left_join(before, facts.key).drop(f"{facts.key}_right")
    return joined.mutate(_lived_before=joined["_was_live"].fill_null(False)).drop("_was_live")


def _judge_later(records: ir.Table, facts: RowFacts) -> ir.Table:
    """Mark the records of rows whose deletion was recorded after the cut: `_later`."""
    if facts.deleted_later is None:
        return records.mutate(_later=False)
    later = facts.deleted_later.select(facts.key, _deleted_later=True).distinct()
    joined = records.left_join(later, facts.key).drop(f"{facts.key}_right")
    return joined.mutate(_later=joined["_deleted_later"].fill_null(False)).drop("_deleted_later")
