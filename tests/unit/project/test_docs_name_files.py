"""Docs name modules that are there: whoever moves one finds the page that tells of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("tests/**/README.md")])
PACKAGES = ("schemas", "producers", "streams", "sinks", "deploy", "benchmarks", "tests", "examples")
FILES = [
    str(file.relative_to(ROOT)) for folder in PACKAGES for file in (ROOT / folder).rglob("*.py")
]
NAMED = re.compile(r"`([\w/]*\w\.py)`")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_names_no_module_that_is_gone(page: Path) -> None:
    named = set(NAMED.findall(page.read_text(encoding="utf-8")))
    known = {f"/{file}" for file in [*FILES, "deltadrop.py"]}
    gone = {name for name in named if not any(file.endswith(f"/{name}") for file in known)}
    assert gone == set()


def test_there_are_pages_that_name_modules() -> None:
    assert sum(bool(NAMED.search(page.read_text(encoding="utf-8"))) for page in PAGES) > 5
