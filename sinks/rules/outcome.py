"""Outcomes of records, and the balance that every drop has (SPEC §3, *Balance*)."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import ibis
import ibis.expr.types as ir

from sinks.engine.engine import query_rows
from sinks.engine.planned import planned

__all__ = ["Outcome", "balance", "first_that_applies"]


class Outcome(IntEnum):
    """The closed list of outcomes. The first that applies counts, so their order is part of the
    rule.

    Verdicts hold the numbers (one byte a record), manifests the labels.
    """

    DEAD_LETTER = 0
    DUPLICATE = 1
    FILTERED = 2
    NOT_FIRST = 3
    WAITING = 4
    UNKNOWN_CAMPAIGN = 5
    INACTIVE_CAMPAIGN = 6
    ROW_GONE = 7
    ALREADY_DOWNLOADED = 8
    SUPERSEDED = 9
    EXPORTED = 10

    @property
    def label(self) -> str:
        """The outcome as SPEC §3 writes it."""
        return _LABELS.get(self, self.name.lower().replace("_", " "))


_LABELS: Final = {Outcome.WAITING: "waiting for its campaign"}


def first_that_applies(conditions: dict[Outcome, ir.BooleanValue]) -> ir.IntegerColumn:
    """Return each record's outcome: the first of the list whose condition holds; else exported."""
    cases = [(conditions[outcome], _number(outcome)) for outcome in sorted(conditions)]
    return ibis.cases(*cases, else_=_number(Outcome.EXPORTED))


def balance(verdicts: ir.Table) -> dict[Outcome, int]:
    """Count the verdicts of a drop by outcome. Every outcome has a count; that of dead letters is
    0, as they have no verdicts.
    """
    found = {row["outcome"]: row["records"] for row in query_rows(_counted(verdicts))}
    return {outcome: found.get(outcome, 0) for outcome in Outcome}


@planned
def _counted(verdicts: ir.Table) -> ir.Table:
    return verdicts.group_by("outcome").agg(records=verdicts.count())


def _number(outcome: Outcome) -> ir.IntegerScalar:
    return ibis.literal(int(outcome), type="int8")
