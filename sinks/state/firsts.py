"""The memory of openings and clicks, by which only an interaction's first ones are exported (SPEC
§3).

A memory begins with an interaction's first event and lasts for `days` of append time. An event that
is appended later begins a new memory; the links of the old one are forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import ibis
import ibis.expr.types as ir

from schemas.events import EventType
from sinks.engine.engine import engine_of, interval_of, materialize, query_files, query_rows
from sinks.engine.planned import planned
from sinks.state.repeats import without_repeats

__all__ = ["FIRSTS_DAYS", "Firsts", "fold_firsts"]

FIRSTS_DAYS: Final = 400
"""How long firsts are remembered, in days from the interaction's first event (a setting)."""


@dataclass(frozen=True, slots=True)
class Firsts:
    """The memories of the windows before a cut.

    interactions: interactionId, `_first_at` (append time of the event that began the memory).
    links: interactionId, clickedUrl: the clicked links of each interaction.
    """

    interactions: ir.Table
    links: ir.Table

    def touched_by(self, facts: ir.Table) -> Firsts:
        """Leave out interactions outside the range of the facts' ids.

        Ids count up and facts come soon after them, so most of a memory is left unread: its files
        are in order of id. A join would have to read all of it.
        """
        engine, bounds = engine_of(facts), query_files(_range(facts, "interactionId"))[0]
        return _between(self, engine.value(bounds["first"] or 0), engine.value(bounds["last"] or 0))


@planned
def _range(records: ir.Table, column: str) -> ir.Table:
    """Return the smallest and the largest value of a column: `first` and `last`, null if there is
    no record.
    """
    return records.agg(first=records[column].min(), last=records[column].max())


@planned
def _between(firsts: Firsts, lowest: ir.Scalar, highest: ir.Scalar) -> Firsts:
    interactions, links = firsts.interactions, firsts.links
    return Firsts(
        interactions.filter(interactions["interactionId"].between(lowest, highest)),
        links.filter(links["interactionId"].between(lowest, highest)),
    )


_META: Final = ("_partition", "_offset", "_appended_at")


def fold_firsts(
    base: Firsts | None, since: ir.Table, repeated: ir.Table, days: int = FIRSTS_DAYS
) -> Firsts:
    """Return the firsts at a cut.

    since: the openings and clicks after the base, with eventType, interactionId and META. They also
    have clickedUrl if links are distinguished, which isn't the case for an SMS.
    """
    lasts = timedelta(days=days)
    facts = _facts(since, repeated)
    renewals = _renewals(since, lasts)
    began = _began(base.interactions if base else None, facts, lasts, min(renewals, 2))
    if renewals > 1:
        began = _renewed_to_the_end(began, facts, lasts)
    return _at_cut(base, facts, began)


@planned
def _facts(since: ir.Table, repeated: ir.Table) -> ir.Table:
    link = since["clickedUrl"] if "clickedUrl" in since.columns else ibis.null("string")
    return without_repeats(
        since.select("eventType", "interactionId", *_META, clickedUrl=link), repeated
    )


@planned
def _at_cut(base: Firsts | None, facts: ir.Table, began: ir.Table) -> Firsts:
    """Return the base with what the facts change. began: when each memory in the facts began."""
    remembered = facts.inner_join(began, "interactionId")
    clicked = (remembered["eventType"] == EventType.CLICKED.value) & (
        remembered["_appended_at"] >= remembered["_first_at"]
    )
    links = remembered.filter(clicked, remembered["clickedUrl"].notnull())
    links = links.select("interactionId", "clickedUrl")
    if base is None:
        return Firsts(began, links.distinct())
    renewed = began.anti_join(base.interactions, ["interactionId", "_first_at"])
    untouched = base.interactions.anti_join(began, "interactionId").select(*began.columns)
    links_before = base.links.anti_join(renewed, "interactionId").select(*links.columns)
    return Firsts(untouched.union(began), links_before.union(links).distinct())


@planned
def _began(base: ir.Table | None, facts: ir.Table, lasts: timedelta, renewals: int) -> ir.Table:
    """Return when the memory began of each interaction in the facts: interactionId, `_first_at`.

    renewals: how many memories in a row the facts can have; if these are two or more, the first.
    Usually the records since a base span less than one memory's duration, so that each memory
    begins at most once in them.
    """
    if base is None:
        began = facts.group_by("interactionId").agg(_first_at=facts["_appended_at"].min())
    else:
        touched = facts.select("interactionId").distinct().left_join(base, "interactionId")
        began = touched.select("interactionId", "_first_at")
        began = _renewed(began, facts, lasts)
    return materialize(_renewed(began, facts, lasts) if renewals == 1 else began)


def _renewed_to_the_end(began: ir.Table, facts: ir.Table, lasts: timedelta) -> ir.Table:
    """Renew memories until none of them ends before its last fact.

    The number of renewals isn't taken from the records' span: a single wrong append time makes it
    centuries, though no memory need begin more than once.
    """
    while True:
        again = materialize(_renewed(began, facts, lasts))
        if not list(query_rows(again.anti_join(began, ["interactionId", "_first_at"]).limit(1))):
            return again
        began = again


def _renewed(began: ir.Table, facts: ir.Table, lasts: timedelta) -> ir.Table:
    """Add new memories, and renew each memory that had ended when another fact came: it begins with
    that fact.
    """
    known = facts.left_join(began, "interactionId")
    late = known["_first_at"].isnull() | (
        known["_appended_at"] >= known["_first_at"] + interval_of(lasts)
    )
    later = known.filter(late).group_by("interactionId").agg(_again=known["_appended_at"].min())
    joined = began.left_join(later, "interactionId")
    return joined.select(
        "interactionId", _first_at=ibis.coalesce(joined["_again"], joined["_first_at"])
    )


def _renewals(since: ir.Table, lasts: timedelta) -> int:
    """Return how many memories of one interaction the records can have in a row, at most."""
    times = query_files(_range(since, "_appended_at"))[0]
    return 0 if times["first"] is None else int((times["last"] - times["first"]) / lasts)
