"""Names use the words of docs/glossary.md: none is left of the words that those replaced.

Running sentences are free; what is held here are identifiers, keys, metrics, names of files and
headings.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[3]
PLACES: Final = ("schemas", "producers", "streams", "sinks", "deploy", "benchmarks")

RETIRED: Final = {
    "asked": "requested, queried, or the thing that was requested",
    "fate": "verdict, or outcome",
    "fates": "verdicts, or outcomes",
    "glance": "summary",
    "kept": "stored, retained, or materialized",
    "lane": "worker, or slot",
    "lanes": "workers, or slots",
    "nature": "cause, or kind",
    "parcel": "drop, or files",
    "parcels": "drops, or files",
    "said": "the thing: message, warning, answer",
    "says": "the thing: message, text, summary",
    "telling": "reporting",
    "tells": "reports, or the thing that is reported",
    "told": "the thing: message, reason, report, fields",
    "unasked": "the thing that wasn't queried",
    "unsent": "undelivered, or pending",
}
"""Words that no name has, with what to write instead."""

WHOLE: Final = {"one": "the name of the thing", "ones": "the name of the things"}
"""Names that nothing has, though they may be part of one."""

RELEASED: Final = {
    "kept": ("streams/dead_letters", "sinks/repair/redrop.py", "sinks/service/redrop.py"),
    "told_at": ("sinks/reports/report.py",),
    "unasked": ("sinks/service/status.py", "sinks/commands/status_text.py"),
    "unsent": ("sinks/service/status.py", "sinks/commands/status_text.py"),
    "_told_at": ("sinks/state/lives.py",),
    "_told_of": ("sinks/state/lives.py",),
}
"""Names that stay as they are, and where: fields of `--json`, of reports that are stored and sent,
and columns of bases that are stored.
"""


def words_of(name: str) -> list[str]:
    """Split a name by its underscores, dashes, dots and capitals."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]


def advice(name: str, place: str = "") -> str | None:
    """What to write in place of a name at a place; None if it is a good one."""
    if place.startswith(RELEASED.get(name, ("?",))):
        return None
    if name in WHOLE:
        return WHOLE[name]
    return next((RETIRED[word] for word in words_of(name) if word in RETIRED), None)


def named_in(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield each name that a module gives, and each key of its dicts, with its line."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name, node.lineno
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                yield name, node.lineno
            case ast.Attribute(attr=name, ctx=ast.Store()):
                yield name, node.lineno
            case ast.alias(asname=str(name)):
                yield name, getattr(node, "lineno", 0)
            case ast.Dict():
                for key in node.keys:
                    if isinstance(key, ast.Constant) and isinstance(key.value, str):
                        yield from ((word, key.lineno) for word in [key.value] if " " not in word)
            case ast.Constant(value=str(text)) if re.fullmatch(r"deltadrop_[a-z_]+", text):
                yield text, node.lineno


def modules() -> list[Path]:
    found = [ROOT / "deltadrop.py"]
    for place in PLACES:
        found += sorted((ROOT / place).rglob("*.py"))
    return found


@pytest.mark.parametrize("module", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_names_and_keys_use_the_words_of_the_glossary(module: Path) -> None:
    tree = ast.parse(module.read_text(encoding="utf-8"))

    wrong = [
        f"line {line}: {name} (write {better})"
        for name, line in named_in(tree)
        if (better := advice(name, str(module.relative_to(ROOT))))
    ]

    assert not wrong, "\n".join(wrong)


def test_files_are_named_by_the_words_of_the_glossary() -> None:
    files = [
        path
        for place in (*PLACES, "docs", "examples")
        for path in (ROOT / place).rglob("*")
        if path.suffix in {".py", ".md", ".yaml", ".yml", ".avsc"}
    ]
    assert len(files) > 200

    wrong = {path: better for path in files if (better := advice(path.stem))}

    assert not wrong


def test_headings_use_the_words_of_the_glossary() -> None:
    headings = [
        heading
        for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
        for heading in re.findall(r"(?m)^#+ (.+)$", page.read_text(encoding="utf-8"))
    ]
    assert len(headings) > 50

    wrong = {
        heading: RETIRED[word]
        for heading in headings
        for word in words_of(heading)
        if word in RETIRED
    }

    assert not wrong
