"""The golden files were written by hand; the naive model, read from the same page, must come to the
same.
"""

from collections.abc import Iterable
from typing import Any

import pytest

from tests.golden.cases import TABLES, Case, cases
from tests.model import (
    Close,
    Cut,
    Database,
    Drop,
    Export,
    History,
    Recorded,
    drops_of,
    topic_name,
)
from tests.model.definition import export_of
from tests.model.history import milliseconds
from tests.model.tables import tables_in

CASES = list(cases())
APPENDED_AT = milliseconds("2026-03-30T00:00:00Z")


def test_there_are_golden_cases() -> None:
    assert len(CASES) >= 9


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_model_makes_the_golden_drop(case: Case) -> None:
    assert _drop(case)[0].text() == case.expected


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_model_makes_the_balance_of_the_golden_manifest(case: Case) -> None:
    assert _drop(case)[0].balance == case.manifest["balance"]["outcomes"]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_model_tells_the_golden_story(case: Case) -> None:
    drop, lines = _drop(case)
    told = {
        lines[_place(record)]: outcome
        for record, outcome in drop.outcomes
        if _place(record) in lines
    }
    assert told == case.story


def _drop(case: Case) -> tuple[Drop, dict[tuple[str, int], int]]:
    """The drop after `events.jsonl`, and which of its lines is where in the topics."""
    before, events = case.events("before"), case.events("events")
    records = list(_recorded([*before, *events]))
    export = _export(case.definition)
    first = Close(_cut_after(records[: len(before)]))
    second = Close(_cut_after(records))
    drops = drops_of(History(records), export, Cut(0, {}), [first, second])
    return drops[-1], {
        _place(record): line for line, record in enumerate(records[len(before) :], start=1)
    }


def _place(record: Recorded) -> tuple[str, int]:
    return record.topic, record.offset


def _recorded(events: Iterable[dict[str, Any]]) -> Iterable[Recorded]:
    ends: dict[str, int] = {}
    for number, event in enumerate(events):
        topic = topic_name(event["kind"], event["database"], event.get("table", ""))
        offset = ends[topic] = ends.get(topic, -1) + 1
        identified = {"eventId": f"made-{number}", **event}
        yield Recorded(topic, 0, offset, APPENDED_AT + number, identified)


def _cut_after(records: list[Recorded]) -> Cut:
    return Cut(
        records[-1].appended_at + 1 if records else APPENDED_AT,  # a case may have nothing before
        {(record.topic, 0): record.offset + 1 for record in records},
    )


def _export(definition: dict[str, Any]) -> Export:
    name = definition["database"]
    database = Database.load(TABLES / f"{name}.yaml")
    return export_of(definition, database, tables=tables_in(TABLES, name))
