"""docs/json.md against what commands really print."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeAlias

PAGE: Final = Path(__file__).parents[2] / "docs" / "json.md"
ERROR: Final = "A command that fails"
_ROW: Final = re.compile(r"\| `(?P<path>[^`]+)` \| (?P<type>[^|]+) \| (?P<meaning>.+) \|")
_KINDS: Final[Mapping[str, Any]] = {
    "text": str,
    "moment": str,
    "integer": int,
    "number": (int, float),
    "array": list,
    "object": dict,
    "anything": object,
}

Table: TypeAlias = Mapping[str, str]
"""The type of each field, by its path."""


@cache
def tables() -> Mapping[str, list[Table]]:
    """The tables of each command."""
    found: dict[str, list[Table]] = {}
    for section in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]:
        name, _, text = section.partition("\n")
        blocks = re.split(r"\n\n+", text)
        rows = [{row["path"]: row["type"] for row in _ROW.finditer(block)} for block in blocks]
        found[name] = [table for table in rows if table]
    return found


def check_documented(command: str, printed: str) -> None:
    """Assert that each object that a command printed has the fields of its page, and no others."""
    objects = list(_objects(printed))
    assert objects, f"{command} printed no JSON: {printed!r}"
    for printed_object in objects:
        known = tables()[ERROR] if set(printed_object) == {"error"} else tables()[command]
        faults = [sorted(_faults(printed_object, table, "")) for table in known]
        assert [] in faults, f"{command}: not as docs/json.md says: {min(faults, key=len)}"


def documented(command: str, printed: str) -> Any:
    """Return what a command printed, which is as its page says."""
    check_documented(command, printed)
    return json.loads(printed)


def _objects(printed: str) -> Iterator[dict[str, Any]]:
    """The whole output, or each of its lines."""
    try:
        yield json.loads(printed)
    except json.JSONDecodeError:
        yield from (json.loads(line) for line in printed.splitlines())


def _faults(value: dict[str, Any], table: Table, prefix: str) -> Iterator[str]:
    own = {
        path[len(prefix) :]: kind
        for path, kind in table.items()
        if path.startswith(prefix) and re.fullmatch(r"\w+|<key>", path[len(prefix) :])
    }
    for name in own.keys() - value.keys():
        if name != "<key>" and "may be missing" not in own[name]:
            yield f"{prefix}{name} is missing"
    for name, item in value.items():
        kind = own.get(name) or own.get("<key>")
        if kind is None:
            yield f"{prefix}{name} isn't documented"
        elif item is None:
            if "or null" not in kind:
                yield f"{prefix}{name} is null"
        elif not _is(item, kind):
            yield f"{prefix}{name} isn't {kind}: {item!r}"
        else:
            yield from _faults_below(item, table, f"{prefix}{name}")


def _faults_below(item: Any, table: Table, path: str) -> Iterator[str]:
    if isinstance(item, list):
        for part in item:
            yield from _faults_below(part, table, f"{path}[]")
    elif isinstance(item, dict):
        if any(known.startswith(f"{path}.<key>.") for known in table):
            for part in item.values():
                yield from _faults(part, table, f"{path}.<key>.")
        elif any(known.startswith(f"{path}.") for known in table):
            yield from _faults(item, table, f"{path}.")


def _is(item: Any, kind: str) -> bool:
    name = re.split(r" of |: | or null|; ", kind)[0]
    if name == "true or false" or isinstance(item, bool):
        return name == "true or false" and isinstance(item, bool)
    return isinstance(item, _KINDS[name])
