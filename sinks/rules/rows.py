"""Drops of rows: profiles, and the rows of custom tables, as of the cut (SPEC §3, *Rows*).

Each row has one line, made by its last qualifying record in the window. Only the current life
counts. A row that was deleted before the close, or before the file is written, has no line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import ibis
import ibis.expr.types as ir

from schemas.events import EventType
from sinks.editions import EDITION, LATEST_DELETIONS, UPDATES_AT_CREATION
from sinks.engine.engine import Ordered, in_order, materialize, query_rows
from sinks.engine.planned import planned
from sinks.rules.columns import Column, Origin
from sinks.rules.declared import RowRule
from sinks.rules.lines import state_fields, values_of
from sinks.rules.outcome import Outcome, first_that_applies
from sinks.rules.people import People
from sinks.state.lives import among_deletions, fold_rows, with_beginnings
from sinks.state.order import POSITION, in_append_order
from sinks.state.repeats import is_repeat

__all__ = ["RowDrop", "RowFacts", "drop_of_rows", "initial_drop"]

UPDATED, DELETED, SNAPSHOT, CREATED = (
    kind.value
    for kind in (EventType.UPDATED, EventType.DELETED, EventType.SNAPSHOT, EventType.CREATED)
)


@dataclass(frozen=True, slots=True)
class RowFacts:
    """The input of one drop of rows.

    window: the records between the cuts, of all four event types. repeated: see `repeats`. before:
    the state at the window's start; None if there is none. key: profileId, or id for custom tables.
    origin: the columns' origin of these rows. profiles: as of the cut, if each row belongs to a
    profile. deleted_later: profileId and occurredAt of deletions that were recorded after the cut.
    edition: of the rules.
    """

    window: ir.Table
    repeated: ir.Table
    before: ir.Table | None = None
    deleted_later: ir.Table | None = None
    key: str = "profileId"
    origin: Origin = Origin.PROFILE
    profiles: ir.Table | None = None
    edition: int = EDITION

    @property
    def gone_rows(self) -> ir.Table | None:
        """The rows that were deleted after the cut; for profiles, their later deletions."""
        return self.deleted_later if self.origin is Origin.PROFILE else None


@dataclass(frozen=True, slots=True)
class RowDrop:
    """The selection of one drop.

    verdicts: the position and `outcome` (a number of `Outcome`) of each input record, and whether
    it created a row that lived already (`_missed`: a deletion was missed). In an initial drop there
    is one verdict for each living row. Materialized. lines: the exported columns by name, in order
    of id. never_seen: number of lines whose profile has no event at all.
    """

    verdicts: ir.Table
    lines: Ordered
    never_seen: int = 0

    def missed_deletions(self) -> int:
        """Count the creations of rows that lived already; the report warns of them."""
        return int(query_rows(_missed(self.verdicts))[0]["records"])


@planned
def _missed(verdicts: ir.Table) -> ir.Table:
    return verdicts.agg(records=verdicts["_missed"].sum().fill_null(0))


def drop_of_rows(rule: RowRule, facts: RowFacts, columns: Sequence[Column]) -> RowDrop:
    """Select one drop. Verdicts are computed at once, the lines when they are read.

    columns: those of the export, as `sinks.exports.types` declares them.
    """
    return _plan(rule, facts, columns).drop()


@planned
def _plan(rule: RowRule, facts: RowFacts, columns: Sequence[Column]) -> _Plan:
    state = fold_rows(facts.before, facts.window, facts.repeated, facts.key, facts.edition)
    verdicts = materialize(_judge([kind.value for kind in rule.makes_lines], facts, state))
    exported = verdicts.filter(verdicts["outcome"] == int(Outcome.EXPORTED)).select(
        facts.key, *_FACT
    )
    joined = state.inner_join(exported, facts.key)
    # Of two records of a row in the window, both must have come after the person's deletion.
    rows = joined.select(
        *state.columns,
        _appended_at=ibis.least(joined["_fact_appended_at"], joined["_told_at"]),
        occurredAt=ibis.least(joined["_fact_occurred_at"], joined["_told_of"]),
    )
    return _Plan(verdicts, *_lines(rows, facts, columns))


def initial_drop(facts: RowFacts, columns: Sequence[Column]) -> RowDrop:
    """Select every row that lives at the cut (SPEC §3, *initial drop*); each has one verdict.

    facts: `before` is the state at the cut; the window isn't read.
    """
    return _initial_plan(facts, columns).drop()


@planned
def _initial_plan(facts: RowFacts, columns: Sequence[Column]) -> _Plan:
    state = facts.before
    assert state is not None
    judged = _judge_later(state.filter(state["_live"]), facts)
    outcome = first_that_applies({Outcome.ROW_GONE: judged["_later"]})
    verdicts = materialize(judged.select(facts.key, outcome=outcome, _missed=ibis.literal(False)))
    exported = verdicts.filter(verdicts["outcome"] == int(Outcome.EXPORTED))
    living = state.semi_join(exported, facts.key)
    rows = living.mutate(_appended_at=living["_told_at"], occurredAt=living["_told_of"])
    return _Plan(verdicts, *_lines(rows, facts, columns))


@dataclass(frozen=True, slots=True)
class _Plan:
    """Tables of a `RowDrop`. unseen: the row that has its `never_seen`, if rows have profiles."""

    verdicts: ir.Table
    lines: Ordered
    unseen: ir.Table | None

    def drop(self) -> RowDrop:
        unseen = self.unseen
        never_seen = int(query_rows(unseen)[0]["facts"]) if unseen is not None else 0
        return RowDrop(self.verdicts, self.lines, never_seen)


_FACT: Final = ("_fact_appended_at", "_fact_occurred_at")


def _lines(
    rows: ir.Table, facts: RowFacts, columns: Sequence[Column]
) -> tuple[Ordered, ir.Table | None]:
    """Return the lines of these rows, and, if rows have profiles, the number of profiles without
    any event (`People.never_seen`).

    rows: state, and the moments of their fact: occurredAt, _appended_at.
    """
    fields = state_fields(rows, facts.origin, columns)
    if facts.profiles is None:
        own = rows.select(_order=rows[facts.key], **fields)
        return in_order(values_of(columns, own), own, ["_order"]), None
    of_profile = state_fields(facts.profiles, Origin.PROFILE, columns)
    people = People.of(rows, facts.profiles, of_profile, facts.deleted_later, facts.edition)
    own = rows.select("profileId", "occurredAt", "_appended_at", _order=rows[facts.key], **fields)
    beside = people.beside(own)
    lines = in_order(values_of(columns, beside, beside["_gone"]), beside, ["_order"])
    return lines, people.never_seen(rows)


def _judge(makes_lines: Sequence[str], facts: RowFacts, state: ir.Table) -> ir.Table:
    """Judge each record of the window by its row's life at the cut."""
    records = _placed_in_lives(facts, state)
    kind, current = records["eventType"], records["_current"]
    of_creation = current & (kind == UPDATED) & _is_of_creation(records, facts.edition)
    other_increment = kind.notin(makes_lines) | of_creation
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
    return records.select(
        *POSITION,
        facts.key,
        "_missed",
        outcome=outcome,
        _fact_appended_at=records["_appended_at"],
        _fact_occurred_at=records["occurredAt"],
    )


def _is_of_creation(records: ir.Table, edition: int) -> ir.BooleanValue:
    """Whether an update only repeats the creation of the current life: it occurred at the
    creationMoment, and the row was created in the same window.
    """
    created = records["creationMoment"]
    at_creation = records["occurredAt"] == created
    if edition < UPDATES_AT_CREATION.edition:
        return (at_creation | (records["updateMoment"] == created)).fill_null(False)
    return at_creation.fill_null(False) & records["_born"].notnull()


def _placed_in_lives(facts: RowFacts, state: ir.Table) -> ir.Table:
    """Mark each record: whether it belongs to the current life (`_current`), whether it occurred
    before a deletion (`_ended`), and whether it created a row that lived already (`_missed`).
    """
    key = facts.key
    narrow = facts.window.select(key, "eventType", "occurredAt", "_appended_at", *POSITION)
    ordered = in_append_order(is_repeat(narrow, facts.repeated), key)
    at_cut = state.select(key, "_live", "_dead_until", "_began", "creationMoment", "updateMoment")
    joined = _judge_before(ordered, facts).left_join(at_cut, key).drop(f"{key}_right")
    records = _judge_later(joined, facts)
    ended = (records["occurredAt"] <= records["_dead_until"]).fill_null(False)
    records = _in_lives(records.mutate(_ended=ended), key, facts.edition)
    creates = records["_counts"] & (records["eventType"] == CREATED)
    records = records.mutate(
        _creates=creates,
        _survives=records["_counts"]
        & (records["_ends"] == records["_ends"].max().over(group_by=key)),
    )
    records = records.mutate(
        _born=records["_seq"]
        .max(where=records["_creates"] & records["_survives"])
        .over(group_by=key),
        _first=records["_seq"].min(where=records["_counts"]).over(group_by=[key, "_ends"]),
    )
    lived = (records["_seq"] > records["_first"]) | (records["_was_live"] & (records["_ends"] == 0))
    return records.mutate(
        _current=records["_survives"] & (records["_seq"] >= records["_born"]).fill_null(True),
        _missed=records["_creates"] & lived,
    )


def _in_lives(records: ir.Table, key: str, edition: int) -> ir.Table:
    """Add to each record how many lives of its row ended before it in the window (`_ends`), and
    whether it belonged to a life when it was appended (`_counts`): it is no repeat, and occurred
    after all deletions known at that point.
    """
    placed = among_deletions(records.filter(~records["_repeat"]), key, edition)
    repeats = records.filter(records["_repeat"]).mutate(_counts=False, _ends=False)
    columns = [*records.columns, "_counts", "_ends"]
    records = placed.select(columns).union(repeats.select(columns))
    before = ibis.cumulative_window(group_by=key, order_by="_seq")
    return records.mutate(_ends=records["_ends"].sum().fill_null(0).over(before))


def _judge_before(records: ir.Table, facts: RowFacts) -> ir.Table:
    """Add to each record its row's state at the window's start: whether it lived (`_was_live`),
    until when it was dead (`_was_dead_until`), and when its life began (`_was_began`).
    """
    if facts.before is None:
        never = ibis.null(records["occurredAt"].type())
        return records.mutate(_was_live=False, _was_dead_until=never, _was_began=never)
    before = with_beginnings(facts.before)
    known = before.select(
        facts.key,
        _lived=before["_live"],
        _was_dead_until=before["_dead_until"],
        _was_began=before["_began"],
    )
    joined = records.left_join(known, facts.key).drop(f"{facts.key}_right")
    return joined.mutate(_was_live=joined["_lived"].fill_null(False)).drop("_lived")


def _judge_later(records: ir.Table, facts: RowFacts) -> ir.Table:
    """Mark the records of rows whose deletion was recorded after the cut and ended the life that is
    current at the cut: `_later`.

    records: with `_dead_until` and `_began` at the cut.
    """
    if facts.gone_rows is None:
        return records.mutate(_later=False)
    deletions = facts.gone_rows.select(facts.key, _deleted_of=facts.gone_rows["occurredAt"])
    last = deletions.group_by(facts.key).agg(_deleted_of=deletions["_deleted_of"].max())
    joined = records.left_join(last, facts.key).drop(f"{facts.key}_right")
    deleted = joined["_deleted_of"]
    is_latest = (deleted >= joined["_dead_until"]).fill_null(True)
    goes_on = (joined["_began"] > deleted).fill_null(False)
    if facts.edition < LATEST_DELETIONS.edition:
        return joined.mutate(_later=deleted.notnull()).drop("_deleted_of")
    return joined.mutate(_later=deleted.notnull() & is_latest & ~goes_on).drop("_deleted_of")
