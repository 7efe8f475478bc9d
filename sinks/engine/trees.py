"""Compare expressions as trees of operations.

Ibis's own comparison doesn't fit: it caches each answer as long as one of the two expressions
lives, isn't safe among threads, and takes 0.0 for -0.0.
"""

from __future__ import annotations

from collections.abc import Mapping

import ibis.expr.operations as ops
from ibis.backends import BaseBackend
from ibis.common.grounds import Concrete

__all__ = ["Tree"]


class Tree:
    """A tree of operations. Two trees are equal if they would be compiled to the same query,
    whichever engine their tables are on.
    """

    __slots__ = ("op",)

    def __init__(self, op: ops.Node) -> None:
        self.op = op

    def __hash__(self) -> int:
        return hash(self.op)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tree) and _alike(self.op, other.op)


def _alike(first: object, second: object) -> bool:
    left, seen = [(first, second)], set[tuple[int, int]]()
    while left:
        a, b = left.pop()
        if a is b:
            continue
        if type(a) is not type(b):
            return False
        if isinstance(a, Concrete) and isinstance(b, Concrete):
            if (id(a), id(b)) not in seen:
                seen.add((id(a), id(b)))
                left.append((a.args, b.args))
        elif isinstance(a, tuple) and isinstance(b, tuple):
            if len(a) != len(b):
                return False
            left.extend(zip(a, b, strict=True))
        elif isinstance(a, str):
            if a != b:
                return False
        elif isinstance(a, Mapping) and isinstance(b, Mapping):
            left.append((tuple(a.items()), tuple(b.items())))
        elif not isinstance(a, BaseBackend) and (a != b or repr(a) != repr(b)):
            return False
    return True
