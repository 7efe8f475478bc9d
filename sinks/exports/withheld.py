"""Columns of an export that are empty in every line: keys of deleted people or rows that are marked
personal (SPEC §3, *Deletions*).
"""

from __future__ import annotations

from collections.abc import Iterator

from schemas.errors import Fault
from sinks.exports.export import Export

__all__ = ["withheld_columns"]

_HINT = "match by {id}, or make an attribute that isn't personal the business key"


def withheld_columns(export: Export) -> Iterator[Fault]:
    """Yield a warning for each column of an export that is empty in every line."""
    for headed in export.columns:
        if headed.column.withheld:
            is_row = headed.column.name == "rowBusinessKey"
            yield Fault(
                f"export '{export.name}'",
                f"column '{headed.header}' is empty in every line: it is a deleted "
                f"{'row' if is_row else 'profile'}'s business key, and that is marked personal",
                _HINT.format(id="id" if is_row else "profileId"),
            )
