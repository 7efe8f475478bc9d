"""Every export type, held against SPEC §2, the golden files and the docs.

The table of SPEC §2 is written out here; what the product declares is walked.
"""

import csv
import io
import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from schemas.tables import DatabaseDefinition, TableDefinition
from sinks.exports.definition import ExportDefinition
from sinks.exports.types import EXPORT_TYPES, columns_on_offer
from sinks.rendering.formats import ISO_WITH_OFFSET, BooleanFormat, DatePattern
from sinks.rendering.layout import Separator
from sinks.rules.columns import Column, Subject
from tests.golden.cases import Case, cases

CREATED_OR_UPDATED = ("CREATION", "UPDATE", "CREATION_OR_UPDATE")
EMAIL = (
    "interactionId campaignId abVersion profileId subscription eventTime emailAddress "
    "campaignTechnicalName businessKey"
)
SMS = "interactionId campaignId campaignName gsmNumber profileId eventTime businessKey"
SMS_ERROR = f"{SMS} errorStatusCategory errorStatus"
FILE = "campaignId campaignTechnicalName eventTime interactionId profileId businessKey"
FILES = {"READY": FILE, "NOT_SENT": FILE, "DOWNLOADED": f"{FILE} depositDate"}
ROW_DELETED = {"DELETED": "eventTime rowBusinessKey id profileId businessKey"}
COLUMNS = {
    "profile-changes": {
        "DELETED": (
            "dataCollectionMoment profileId dataCollectionWay eventTime dataCollectionSource "
            "businessKey"
        ),
        "SEGMENT_TRANSITION": "newValue profileId segment eventTime previousValue businessKey",
        "SUBSCRIPTION_UPDATE": (
            "collectionSource type profileId collectionMoment subscription eventTime "
            "collectionWay businessKey"
        ),
        "MARKETING_CONSENT_CHANGE": (
            "collectionSource profileId collectionMoment eventTime collectionWay businessKey "
            "consentValue"
        ),
    },
    "email-activities": {
        "SENT": EMAIL,
        "NOT_SENT": f"{EMAIL} statusCategory status",
        "OPENED": EMAIL,
        "CLICKED": f"{EMAIL} clickedUrlName isFirstClick clickedUrl",
        "BOUNCED": f"{EMAIL} bounceStatusCategory bounceStatus",
        "UNSUBSCRIBED": EMAIL,
    },
    "sms-activities": {
        **dict.fromkeys(("SENT", "DELIVERED", "CLICKED", "STOPPED"), SMS),
        **dict.fromkeys(("NOT_SENT", "DELIVERY_FAILED"), SMS_ERROR),
    },
    "print-activities": FILES,
    "call-center-activities": FILES,
    "custom-audience-activities": FILES,
    "linked-data-changes": ROW_DELETED,
    "interaction-changes": ROW_DELETED,
    "repository-changes": {"DELETED": "eventTime rowBusinessKey id"},
}
"""SPEC §2: the columns of the exports of events, in its order."""
ROWS = {
    "profile": "profileId",
    "linked-data": "id profileId",
    "interaction": "id profileId",
    "repository": "id",
}
"""SPEC §2: the exports of rows, and the columns before the row's attributes."""
WITHOUT_PROFILE = {
    ("profile-changes", "DELETED"),
    *((name, "DELETED") for name in ("linked-data-changes", "interaction-changes")),
    ("repository-changes", "DELETED"),
    *((name, event) for name in ("profile", "repository") for event in CREATED_OR_UPDATED),
}
"""SPEC §2: where no profile columns may be added."""
SOURCE_FILTERS = {("profile-changes", "DELETED"), ("profile-changes", "SUBSCRIPTION_UPDATE")}
"""SPEC §3: where a source filter may be."""
EXPLAINED = {
    "subscription-offers": "SPEC §2: one column for each subscription; the cases show one",
}
"""Columns on offer that no golden file shows, and where SPEC says what they are."""

SPEC = {
    *((name, event) for name, events in COLUMNS.items() for event in events),
    *((name, event) for name in ROWS for event in CREATED_OR_UPDATED),
}
DECLARED = [(one.name, event) for one in EXPORT_TYPES.values() for event in one.increments]
CASES = {
    (case.definition["type"], case.definition["event"]): case
    for case in cases()
    if case.folder.name == case.definition["event"]  # others show an option
}
DOCS = Path(__file__).parents[3] / "docs" / "exports.md"

each_declared = pytest.mark.parametrize(("name", "event"), DECLARED)


def test_there_are_13_types_and_40_event_types_as_in_the_spec() -> None:
    assert (len({name for name, _ in SPEC}), len(SPEC)) == (13, 40)
    assert len(DECLARED) == len(set(DECLARED))
    assert set(DECLARED) == SPEC


@each_declared
def test_an_export_has_the_columns_of_the_spec_in_its_order(name: str, event: str) -> None:
    keyed = _keyed(_subject(CASES[name, event]))
    own = [column.name for column in _offered(name, event, keyed) if column.chosen]

    if name in ROWS:
        first = ROWS[name].split()
        attributes = keyed.table.attributes if keyed.table else keyed.database.attributes
        assert own[: len(first)] == first
        assert {one.name for one in attributes} <= set(own)
        assert {"creationMoment", "updateMoment"} <= set(own)
    else:
        assert own == COLUMNS[name][event].split()


@each_declared
def test_profile_columns_may_be_added_where_the_spec_says_so(name: str, event: str) -> None:
    subject = _subject(CASES[name, event])
    added = {c.name for c in _offered(name, event, subject) if c.name.startswith("profile-")}
    attributes = {f"profile-{one.name}" for one in subject.database.attributes}

    if (name, event) in WITHOUT_PROFILE:
        assert not added
    else:
        assert {*attributes, "profile-creationMoment", "profile-updateMoment"} <= added


@each_declared
def test_the_event_id_may_be_chosen_in_every_export_of_events(name: str, event: str) -> None:
    offered = {column.name for column in _offered(name, event, _subject(CASES[name, event]))}

    assert ("eventId" in offered) is (name not in ROWS)


@each_declared
def test_a_source_filter_is_where_the_spec_says_so(name: str, event: str) -> None:
    assert EXPORT_TYPES[name].increments[event].source_filter is ((name, event) in SOURCE_FILTERS)


@each_declared
def test_there_is_a_golden_case(name: str, event: str) -> None:
    case = CASES[name, event]
    files = {"events.jsonl", "export.yaml", "expected.csv", "manifest.json", "story.md"}

    assert str(case) == f"{name}/{event}"
    assert files <= {file.name for file in case.folder.iterdir()}
    assert len(_rows(case)) > 1


@each_declared
def test_its_golden_case_shows_every_column_that_it_has_by_default(name: str, event: str) -> None:
    case = CASES[name, event]
    offered = _offered(name, event, _subject(case))

    assert {column.header for column in offered if column.chosen} <= set(_shown(case))


def test_every_column_on_offer_is_in_a_golden_case_or_explained() -> None:
    offered = {
        column.header
        for (name, event), case in CASES.items()
        for column in _offered(name, event, _subject(case))
    }
    shown = {header for case in CASES.values() for header in _shown(case)}

    assert len(offered) > 80
    assert offered - shown == set(EXPLAINED)


def test_every_format_of_booleans_and_dates_and_every_separator_is_in_a_golden_case() -> None:
    definitions = [ExportDefinition.model_validate(case.definition) for case in CASES.values()]

    assert {one.formats.boolean for one in definitions} == set(BooleanFormat)
    assert {one.formats.date for one in definitions} == set(DatePattern)
    assert {Separator[one.file.separator.upper()] for one in definitions} == set(Separator)
    assert len({one.formats.moment for one in definitions}) > len(DatePattern)
    assert ISO_WITH_OFFSET in {one.formats.moment for one in definitions}


@each_declared
def test_it_is_in_the_docs(name: str, event: str) -> None:
    page = DOCS.read_text(encoding="utf-8")
    section = re.search(rf"^### [^\n]*`{name}`(.*?)^##", page, re.DOTALL | re.MULTILINE)

    assert section is not None
    assert f"| `{event}` |" in section[1]


def _offered(name: str, event: str, subject: Subject) -> tuple[Column, ...]:
    declared = EXPORT_TYPES[name]
    return columns_on_offer(declared, declared.increments[event], subject)


def _subject(case: Case) -> Subject:
    definition, tables = case.definition, case.tables
    table = definition.get("table")
    return Subject(
        DatabaseDefinition.model_validate(tables[definition["database"]]),
        None if table is None else TableDefinition.model_validate(tables[table]),
    )


def _keyed(subject: Subject) -> Subject:
    """The same with a business key wherever there can be one."""
    database, table = subject.database, subject.table
    key = {"business_key": database.attributes[0].name}
    row_key = {"business_key": table.attributes[0].name} if table else {}
    return Subject(
        database.model_copy(update=key), table.model_copy(update=row_key) if table else None
    )


def _rows(case: Case) -> list[list[str]]:
    separators = {"comma": ",", "semicolon": ";", "tab": "\t"}
    separator = separators[case.definition.get("file", {}).get("separator", "comma")]
    return list(csv.reader(io.StringIO(case.expected, newline=""), delimiter=separator))


def _shown(case: Case) -> Iterable[str]:
    """The headers of the golden file, renamed ones by the name that they had."""
    chosen = case.definition.get("columns", ())
    renamed = {one["header"]: one["column"] for one in chosen if not isinstance(one, str)}
    return [renamed.get(header, header) for header in _rows(case)[0]]
