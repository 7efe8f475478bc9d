"""What an engine remembers: the plans that it made for earlier closes, as their names stand for the
files and values of the close that is under way.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from datetime import datetime
from itertools import count
from secrets import token_hex
from typing import Any, Final

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import ibis.expr.types as ir
from ibis.backends import BaseBackend

from sinks.engine.duckdb import sql
from sinks.engine.engine import Result, Table
from sinks.engine.trees import Tree

__all__ = ["PlanMemory"]

_TOKEN: Final = token_hex(8)  # no user's data has this name
_QUERY: Final = f"query {_TOKEN} "
_A_NAME: Final = re.compile(
    rf'"{_QUERY}(\d+)"|(?:instant|number)_{_TOKEN}\(.(\d+).\)', re.IGNORECASE
)


def _stand_in(name: str, kind: dt.DataType) -> Callable[[str], ir.Scalar]:
    """Return a function of SQL that stands for values of a kind; its argument is their number."""
    declared = ibis.udf.scalar.builtin(name=f"{name}_{_TOKEN}", signature=((dt.string,), kind))
    stands_for: Callable[[str], ir.Scalar] = declared(lambda number: None)
    return stands_for


_INSTANT: Final = _stand_in("instant", dt.Timestamp("UTC", scale=6))
_NUMBER: Final = _stand_in("number", dt.int64)


class PlanMemory:
    """The plans of one engine, and what their names stand for until the engine is closed.

    Queries and values are numbered in each close anew, so that the closes of an export have the
    same expressions. A materialized table is named after its expression, once and for all.
    """

    def __init__(self, engine: BaseBackend) -> None:
        self._engine = engine
        self._leaves: dict[tuple[str, ibis.Schema], Table] = {}
        self._planned: dict[Hashable, tuple[Any, tuple[Table, ...]]] = {}
        self._materialized: dict[Tree, tuple[Table, str]] = {}
        self._numbers = count(1)
        self._planning = 0
        self.end()

    def __len__(self) -> int:
        return len(self._planned) + len(self._materialized)

    def end(self) -> None:
        """Forget the queries and values of a close."""
        self._queries: list[Callable[[], str]] = []
        self._values: list[str] = []
        self._made: set[str] = set()
        self._wanted: list[Table] = []

    def forget(self) -> None:
        """Forget all plans."""
        self._planned.clear()
        self._materialized.clear()
        self._leaves.clear()

    def query(self, query: Callable[[], str], columns: ibis.Schema) -> Table:
        """Return a query as a table. query: returns its text when it is needed."""
        self.refuse_reading()
        self._queries.append(query)
        return self._leaf(f"{_QUERY}{len(self._queries)}", columns)

    def value(self, value: datetime | int) -> ir.Scalar:
        """Return a value as an expression that is the same for other values."""
        self.refuse_reading()
        self._values.append(sql.literal(value))
        stands_for = _INSTANT if isinstance(value, datetime) else _NUMBER
        return stands_for(str(len(self._values)))

    def filled_in(self, text: str) -> str:
        """Return the text of a plan with the queries and values that its names stand for."""

        def stood_for(name: re.Match[str]) -> str:
            query, value = name.groups()
            return f"({self._queries[int(query) - 1]()})" if query else self._values[int(value) - 1]

        return _A_NAME.sub(stood_for, text)

    def materialized(self, table: Table) -> tuple[Table, str, bool]:
        """Return the table for the rows of another, its name, and whether it must be made."""
        tree = Tree(table.op())
        if tree not in self._materialized:
            name = f"materialized {next(self._numbers)}"
            leaf = self._leaf(name, table.schema(), catalog="temp", database="main")
            self._materialized[tree] = leaf, name
        stored, name = self._materialized[tree]
        self._wanted.append(table)
        is_new = name not in self._made
        self._made.add(name)
        return stored, name, is_new

    def planned(self, shape: Hashable, plan: Callable[[], Result]) -> Result:
        """Return what `plan` returns, or what it returned for an equal shape."""
        if shape not in self._planned:
            before = len(self._wanted)
            self._planning += 1
            try:
                result = plan()
            finally:
                self._planning -= 1
            self._planned[shape] = result, tuple(self._wanted[before:])
            return result
        result, wanted = self._planned[shape]
        for table in wanted:
            self._engine.materialize(table)
        return result

    def refuse_reading(self) -> None:
        """Refuse what a plan must not do, as it would be done for the first close only."""
        if self._planning:
            raise RuntimeError("a plan is for many closes: it can't read what one of them has")

    def _leaf(self, name: str, columns: ibis.Schema, **place: str) -> Table:
        if (name, columns) not in self._leaves:
            namespace = ops.Namespace(**place)
            table = ops.DatabaseTable(
                name=name, schema=columns, source=self._engine, namespace=namespace
            )
            self._leaves[name, columns] = table.to_expr()
        return self._leaves[name, columns]
