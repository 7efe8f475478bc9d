"""The rules of SPEC §3, as the case files of `tests/cases` tell them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from schemas.tables import Catalog, load_catalog
from tests.cases.stories import Case, cases, ending, moment

TABLES = Path(__file__).parents[2] / "golden" / "tables"
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


def test_hours_are_elapsed_hours_whatever_the_clock_of_the_machine(catalog: Catalog) -> None:
    sent = {"email": "SENT", "id": "same"}
    story = [
        {"campaign": "CREATED", "at": "day 28 00:00"},
        {**sent, "at": "day 28 12:00", "becomes": "exported"},
        {**sent, "at": "day 30 11:59", "becomes": "duplicate"},
        {"close": "day 30 12:00"},
    ]
    over_a_clock_change = Case("", "", "email-activities", "SENT", [], story)

    end = ending(over_a_clock_change, catalog, zone="Europe/Brussels")

    assert end.became == end.told


def told(value: Any, beside: Any) -> Any:
    """Read a value of a case file; a moment where a moment stands in the line."""
    return moment(value) if isinstance(beside, datetime) else value
