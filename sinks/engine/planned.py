"""Expressions that are made once for all closes that ask alike.

Making the expressions of a rule costs more processor time than all else of a small close. So a
function that only makes expressions is `planned`: an engine keeps what it returned, and which
tables it materialized, by the shape of its arguments. The next close whose tables have the same
columns gets the same expressions on its own files.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import fields, is_dataclass
from functools import partial, wraps
from typing import ParamSpec, TypeVar

import ibis.expr.operations as ops
import ibis.expr.types as ir

from sinks.engine.engine import QueryEngine
from sinks.engine.trees import Tree

__all__ = ["planned"]

Given = ParamSpec("Given")
Result = TypeVar("Result")


def planned(plan: Callable[Given, Result]) -> Callable[Given, Result]:
    """Call a function once per engine and shape of its arguments.

    plan: makes and materializes tables of those in its arguments, and reads no rows. What it
    returns isn't changed by anybody. Its arguments are tables, values of tables, hashable values,
    and sequences, mappings and dataclasses of them. A value that differs from close to close is
    handed over as `QueryEngine.value`, or the plan is made anew each time.
    """

    @wraps(plan)
    def of_shape(*args: Given.args, **kwargs: Given.kwargs) -> Result:
        engines: list[QueryEngine] = []
        shape = (plan, _shape(args, engines), _shape(kwargs, engines))
        return engines[0].planned(shape, partial(plan, *args, **kwargs))

    return of_shape


def _shape(given: object, engines: list[QueryEngine]) -> Hashable:
    """Return what of an argument decides the plan; add the engines of its tables to `engines`."""
    if isinstance(given, ir.Table | ir.Value):
        if isinstance(given, ir.Table):
            engines.append(_engine_of(given.op()))
        return Tree(given.op())
    if isinstance(given, list | tuple):
        return tuple([_shape(each, engines) for each in given])
    if isinstance(given, Mapping):
        return tuple([(name, _shape(each, engines)) for name, each in given.items()])
    if is_dataclass(given):
        members = [_shape(getattr(given, field.name), engines) for field in fields(given)]
        return (type(given), *members)
    return type(given), given


def _engine_of(op: ops.Node) -> QueryEngine:
    """Return the engine of the first table that a tree is made of: a short way down."""
    while not isinstance(op, ops.DatabaseTable):
        op = next(each for each in op.__children__ if isinstance(each, ops.Relation))
    engine: QueryEngine = op.source
    return engine
