"""docs/json.md: each field of what commands print with `--json`, from the types of results."""

from __future__ import annotations

import ast
import datetime as dt
import inspect
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Final, NamedTuple, Union, get_args, get_origin, get_type_hints

from deploy.reference.outputs import OUTPUTS, Output
from schemas.json_result import Failure

__all__ = ["Row", "json_page", "rows_of"]

_HEAD: Final = """# JSON of commands

With `--json` a command prints its result as JSON on stdout. This page lists each field. Fields may
be added; their meaning doesn't change. `a.b` is the field `b` of an object, `a[].b` that of each
object of an array, `a.<key>.b` that of each value of an object whose keys differ. Moments are ISO
8601. *May be missing*: the field isn't there where it has no value.

<!-- Made from the types of the results by `make reference`. -->

## Exit codes

| code | meaning |
|---|---|
| 0 | done |
| 1 | something failed; running it again is safe |
| 2 | wrong input: settings, definitions, flags, events |
| 3 | held, or blocked: something is left |
| 4 | `status --wait`: the time is over |
| 130 | interrupted |

Where a command's own codes say more, they stand below it. The whole table is in
[operating.md](operating.md#exit-codes).

## A command that fails

It prints one object with the field `error`, where it has no result. `close` prints an error for
each close that fails.

"""
_SIMPLE: Final[Mapping[Any, str]] = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "true or false",
    dt.datetime: "moment",
    Any: "anything",
}


class Row(NamedTuple):
    """A field: its path, its type, and what it means."""

    path: str
    type: str
    meaning: str


def json_page() -> str:
    """Return the page."""
    error = Row("error", "object", "Why it failed.")
    failure = _table([error, *rows_of(Failure, "error.")])
    return "\n".join([_HEAD + failure, *(_section(*item) for item in sorted(OUTPUTS.items()))])


def rows_of(kind: type[Any], prefix: str = "") -> list[Row]:
    """Return the fields of a result type, those of its objects below them.

    Raises ValueError for a field without a sentence or with a type that has no form in JSON.
    """
    found: dict[str, Row] = {}
    for row in _rows(kind, prefix):
        found[row.path] = row
    return list(found.values())


def _section(name: str, output: Output) -> str:
    text = inspect.getdoc(output.command) or ""
    summary = " ".join(text.split("\n\n")[0].split())
    lines = [f"## {name}\n", f"{summary}\n"]
    if exits := re.findall(r"Exits with [^.]*\.", " ".join(text.split())):
        lines.append(f"{' '.join(exits)}\n")
    if output.lines:
        lines.append("JSON Lines: an object a line.\n")
    for kind in output.results:
        if len(output.results) > 1:
            lines.append(f"{_sentence(inspect.getdoc(kind) or '')}\n")
        lines.append(_table(rows_of(kind)))
    return "\n".join(lines)


def _table(rows: list[Row]) -> str:
    lines = [f"| `{row.path}` | {row.type} | {row.meaning} |" for row in rows]
    return "\n".join(["| field | type | meaning |", "|---|---|---|", *lines, ""])


def _sentence(text: str) -> str:
    return " ".join(text.split("\n\n", maxsplit=1)[0].split())


def _rows(kind: type[Any], prefix: str) -> Iterator[Row]:
    hints, sentences = get_type_hints(kind), _sentences(kind)
    for name, own in getattr(kind, "JSON_PROPERTIES", ()):
        getter = inspect.getattr_static(kind, own).fget
        hint, meaning = get_type_hints(getter)["return"], inspect.getdoc(getter)
        yield Row(f"{prefix}{name}", _type(hint), _sentence(meaning or ""))
    for name in (field.name for field in fields(kind)):
        if name not in sentences:
            raise ValueError(f"{kind.__name__}.{name} has no sentence below it")
        hint, meaning = hints[name], sentences[name]
        if name in getattr(kind, "JSON_INLINE", ()):
            if is_dataclass(hint):
                yield from _rows(_dataclass(hint), prefix)
            else:
                yield Row(f"{prefix}<key>", _type(get_args(hint)[1]), meaning)
            continue
        optional = name in getattr(kind, "JSON_OPTIONAL", ())
        yield Row(f"{prefix}{name}", _type(hint, may_be_missing=optional), meaning)
        yield from _below(hint, f"{prefix}{name}")


def _below(hint: Any, path: str) -> Iterator[Row]:
    """The fields of objects within a field."""
    for option in _options(hint):
        origin, arguments = get_origin(option), get_args(option)
        if is_dataclass(option):
            yield from _rows(_dataclass(option), f"{path}.")
        elif origin in (tuple, list):
            yield from _below(arguments[0], f"{path}[]")
        elif _is_mapping(origin):
            yield from _below(arguments[1], f"{path}.<key>")


def _type(hint: Any, *, may_be_missing: bool = False) -> str:
    options = _options(hint)
    text = " or ".join(_plain(option) for option in options)
    if may_be_missing:
        return f"{text}; may be missing"
    return f"{text} or null" if NoneType in get_args(hint) else text


def _plain(option: Any) -> str:
    origin, arguments = get_origin(option), get_args(option)
    if option in _SIMPLE:
        return _SIMPLE[option]
    if is_dataclass(option):
        return "object"
    if origin in (tuple, list) and (len(arguments) == 1 or arguments[-1] is Ellipsis):
        return f"array of {_plain(arguments[0])}"
    if origin is tuple:
        return f"array of {' and '.join(map(_plain, arguments))}"
    if _is_mapping(origin):
        return f"object: {_plain(arguments[0])} → {_plain(arguments[1])}"
    raise ValueError(f"{option} has no form in JSON")


def _options(hint: Any) -> list[Any]:
    """What a type may be but null."""
    if get_origin(hint) in (Union, UnionType):
        return [option for option in get_args(hint) if option is not NoneType]
    return [hint]


def _is_mapping(origin: Any) -> bool:
    return inspect.isclass(origin) and issubclass(origin, Mapping)


def _dataclass(hint: Any) -> type[Any]:
    assert inspect.isclass(hint)
    return hint


def _sentences(kind: type[Any]) -> dict[str, str]:
    """The string below each field, of the class and of those that it extends."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if not is_dataclass(base):
            continue
        (node,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        assert isinstance(node, ast.ClassDef)
        for field, below in zip(node.body, node.body[1:], strict=False):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(below, ast.Expr)
                and isinstance(below.value, ast.Constant)
                and isinstance(below.value.value, str)
            ):
                found[field.target.id] = " ".join(below.value.value.split())
    return found
