"""Plans: expressions on named tables, compiled once for all engines that have such tables.

Each close runs the same queries on other files, and compiling takes a third of a small close. A
plan is recognised by its tree, whichever engine its tables are on.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import ibis.expr.types as ir

from sinks.engine.trees import Tree

__all__ = ["compiled"]

_PLANS: Final = 1024
"""Number of cached plans, some 64 kB each: about ten for each export."""


def compiled(result: ir.Table) -> str:
    """Return the SQL query that computes a table."""
    return _compiled(Tree(result.op()))


@lru_cache(maxsize=_PLANS)
def _compiled(plan: Tree) -> str:
    text: str = plan.op.to_expr().compile()
    return text
