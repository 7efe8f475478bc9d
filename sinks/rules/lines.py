"""The values of a drop's lines, column by column, each from its declared origin (SPEC §2;
`sinks.rules.columns`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import ibis
import ibis.expr.types as ir

from sinks.rules.columns import Column, Origin

__all__ = ["members_of", "origins_of", "state_fields", "values_of"]

_STATES: Final = (Origin.CAMPAIGN, Origin.PROFILE, Origin.ROW)
_SUBSCRIPTIONS: Final = "subscriptions"


def origins_of(columns: Sequence[Column]) -> frozenset[Origin]:
    """Return the origins that the columns need."""
    return frozenset(
        {column.origin for column in columns}
        | {column.fallback[0] for column in columns if column.fallback}
    )


def members_of(columns: Sequence[Column], origin: Origin, record: str) -> tuple[str, ...]:
    """Return the members of a state's record that the columns need."""
    paths = {column.path for column in columns if column.origin is origin}
    return tuple(sorted(path[1] for path in paths if path[0] == record))


def state_fields(state: ir.Table, origin: Origin, columns: Sequence[Column]) -> dict[str, ir.Value]:
    """Return the values that the columns need from a state (of campaigns, profiles, rows), under
    names that no event field has.

    Members are taken out of their records before any join, so that the join carries nothing else.
    """
    paths = {column.path for column in columns if column.origin is origin}
    paths |= {
        (column.fallback[1],)
        for column in columns
        if column.fallback and column.fallback[0] is origin
    }
    return {_name(origin, path): _member(state, path) for path in sorted(paths)}


def values_of(
    columns: Sequence[Column], facts: ir.Table, gone: ir.BooleanValue | None = None
) -> dict[str, ir.Value]:
    """Return the columns' values, by column name.

    facts: the exported records, with the fields that `state_fields` named. gone: whether the fact's
    person is gone; then personal values and all values of the profile are empty (SPEC §3).
    """
    values = {}
    for column in columns:
        value = _value(column, facts)
        if column.withheld:
            value = ibis.null(value.type())
        if gone is not None and column.empty_when_gone:
            value = gone.ifelse(ibis.null(value.type()), value)
        values[column.name] = value
    return values


def _value(column: Column, facts: ir.Table) -> ir.Value:
    value = facts[_name(column.origin, column.path)]
    if column.fallback is None:
        return value
    origin, field = column.fallback
    return ibis.coalesce(value, facts[_name(origin, (field,))])


def _name(origin: Origin, path: tuple[str, ...]) -> str:
    return f"_{origin}_{'.'.join(path)}" if origin in _STATES else path[0]


def _member(state: ir.Table, path: tuple[str, ...]) -> ir.Value:
    field, *member = path
    value = state[field]
    if field == _SUBSCRIPTIONS:
        return value.contains(member[0]).fill_null(False) if member else value.unique().sort()
    return value[member[0]] if member else value
