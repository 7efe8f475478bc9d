"""The rules of SPEC §3, as the case files of `tests/cases` tell them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from schemas.tables import Catalog, load_catalog
from tests.cases.stories import Case, cases, ending, moment

TABLES = Path(__file__).parent.parent / "golden" / "tables"
CASES = list(cases())


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog(TABLES)


def test_there_are_cases() -> None:
    assert len(CASES) > 50


def test_case_names_are_unique() -> None:
    assert len({str(case) for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case: Case, catalog: Catalog) -> None:
    end = ending(case, catalog)
    assert end.became == end.told
    assert end.closes
    for step, closed in end.closes:
        assert closed.warnings == step.get("warnings", 0)
        if "lines" in step:
            lines = closed.lines.to_pylist()
            assert len(lines) == len(step["lines"])
            for line, expected in zip(lines, step["lines"], strict=True):
                assert {name: line[name] for name in expected} == {
                    name: told(value, line[name]) for name, value in expected.items()
                }


def told(value: Any, beside: Any) -> Any:
    """Read a value of a case file; a moment where a moment stands in the line."""
    return moment(value) if isinstance(beside, datetime) else value
