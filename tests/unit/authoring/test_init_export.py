"""`init-export` offers what there is, says at once all that is missing, writes what is valid."""

import contextlib
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft7Validator
from pydantic import BaseModel
from typer.testing import CliRunner, Result

from deltadrop import app
from schemas.errors import Fault, WrongInputError
from schemas.tables import Catalog, DatabaseDefinition
from sinks.authoring.draft import Answer, Draft
from sinks.authoring.json_schema import json_schemas
from sinks.authoring.questions import QUESTIONS, Interviewer, Offer, Question, interview
from sinks.exports.definition import ExportDefinition
from sinks.exports.export import LOCATIONS, load_exports
from sinks.exports.types import EXPORT_TYPES
from tests.shop.events import CATALOG, TABLES

ROOT = Path(__file__).parents[3]
ENOUGH = {
    "--name": "openings",
    "--entity": "marketing",
    "--type": "email-activities",
    "--event": "OPENED",
    "--at": "06:00",
    "--time-zone": "Europe/Brussels",
}


@pytest.fixture(autouse=True)
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation's folder, as the working directory."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(TABLES, "tables")
    return tmp_path


def run(flags: Mapping[str, str], *more: str) -> Result:
    given = [part for flag in flags.items() for part in flag]
    return CliRunner().invoke(app, ["init-export", *given, *more])


def refusal(result: Result) -> list[str]:
    assert isinstance(result.exception, WrongInputError), result.output
    return str(result.exception).splitlines()


class Scripted(Interviewer):
    """Somebody who answers by heart, and keeps what was offered and refused."""

    def __init__(self, answers: Mapping[str, Iterable[Answer]]) -> None:
        self._answers = {field: iter(some) for field, some in answers.items()}
        self.offers: dict[str, list[str]] = {}
        self.refused: list[str] = []

    def ask(self, question: Question, offer: Offer, default: str | None) -> Answer | None:
        self.offers[question.field] = list(offer)
        answer = next(self._answers.get(question.field, iter(())), None)
        assert answer is not None or default is not None, f"no answer to {question.field}"
        return answer

    def refuse(self, faults: Iterable[Fault]) -> None:
        self.refused += [str(fault) for fault in faults]


def somebody(**answers: Answer | list[Answer]) -> Scripted:
    """Answers by field, `__` for its dots; what must be answered is."""
    least: dict[str, Answer | list[Answer]] = {
        "export": "mine",
        "entity": "marketing",
        "type": "email-activities",
        "event": "SENT",
        "schedule__at": "06:00",
        "schedule__time_zone": "UTC",
    }
    given = {**least, **answers}
    return Scripted(
        {k.replace("__", "."): v if isinstance(v, list) else [v] for k, v in given.items()}
    )


def test_flags_alone_write_a_valid_definition_and_show_its_summary(site: Path) -> None:
    result = run(ENOUGH, "--column", "interactionId", "--column", "customerId=CRM ID")

    assert result.exit_code == 0, result.output
    assert Path("exports/openings.yaml").read_text(encoding="utf-8") == (
        "# yaml-language-server: $schema=.schema/export.json\n"
        "export: openings\n"
        "entity: marketing\n"
        "type: email-activities\n"
        "database: shop\n"
        "event: OPENED\n"
        "columns:\n"
        "  - interactionId\n"
        "  - {column: customerId, header: CRM ID}\n"
        "schedule: {at: '06:00', time_zone: Europe/Brussels}\n"
    )
    (export,) = load_exports(site / "exports", CATALOG)
    assert [one.header for one in export.columns] == ["interactionId", "CRM ID"]
    assert "General data\n  name         openings\n" in result.output
    assert result.output.endswith(
        "written: exports/openings.yaml\nlook at its lines: deltadrop preview openings\n"
    )


def test_the_schema_that_the_file_names_is_written_and_accepts_it(site: Path) -> None:
    run(ENOUGH)

    text = Path("exports/openings.yaml").read_text(encoding="utf-8")
    schema = Path("exports") / text.partition("$schema=")[2].partition("\n")[0]
    content = yaml.safe_load(text)
    expected = json_schemas(CATALOG, LOCATIONS)["export"]
    assert yaml.safe_load(schema.read_text(encoding="utf-8")) == expected
    assert list(Draft7Validator(expected).iter_errors(content)) == []


def test_every_flag_reaches_its_field(site: Path) -> None:
    more = {
        "--suffix": "-yyyyMMdd",
        "--database": "shop",
        "--moment": "ISO 8601",
        "--values-separator": "/",
        "--separator": "tab",
        "--compression": "gzip",
        "--file-name": "<name>_of<suffix>",
        "--when-empty": "skip",
        "--deliver": "transferbox",
        "--recipient": "a@shop.example",
        "--deliver-by": "08:00",
        "--boolean": "1/0",
        "--date": "yyyyMMdd",
    }

    result = run(ENOUGH | more)

    assert result.exit_code == 0, result.output
    content = yaml.safe_load(Path("exports/openings.yaml").read_text(encoding="utf-8"))
    assert content["suffix"] == "-yyyyMMdd"
    assert content["formats"] == {
        "boolean": "1/0",
        "date": "yyyyMMdd",
        "moment": "ISO 8601",
        "values_separator": "/",
    }
    assert content["file"] == {
        "separator": "tab",
        "compression": "gzip",
        "name": "<name>_of<suffix>",
    }
    assert (content["when_empty"], content["deliver"]) == ("skip", ["transferbox"])
    assert content["recipients"] == ["a@shop.example"]
    assert content["schedule"]["deliver_by"] == "08:00"


def test_without_a_terminal_all_missing_flags_are_told_at_once_with_their_choices() -> None:
    lines = refusal(run({"--type": "email-activities"}))

    events = ", ".join(EXPORT_TYPES["email-activities"].increments)
    assert lines == [
        "--name: is missing; its name, which begins the names of its files",
        "--entity: is missing; the entity that it belongs to",
        f"--event: is missing; choose from {events}",
        "--at: is missing; the hour of every day, as 06:00",
        "--time-zone: is missing; its time zone, as Europe/Brussels",
    ]


def test_what_depends_on_a_missing_flag_says_so() -> None:
    lines = refusal(run({}))

    assert f"--type: is missing; choose from {', '.join(EXPORT_TYPES)}" in lines
    assert "--event: is missing; what it can be depends on --type" in lines


def test_wrong_flags_and_missing_ones_are_told_together() -> None:
    wrong = ENOUGH | {"--event": "OPEN", "--at": "6"}
    del wrong["--entity"]

    lines = refusal(run(wrong))

    assert [line.partition(";")[0] for line in lines] == [
        "--entity: is missing",
        "--event: 'OPEN' isn't an event type of email-activities",
        "--at: '6' isn't an hour of the day",
    ]


def test_a_wrong_column_is_refused_with_those_on_offer() -> None:
    (line,) = refusal(run(ENOUGH, "--column", "clickedUrl"))

    assert line.startswith("--column: column 'clickedUrl' doesn't exist for")
    assert "choose from interactionId, campaignId" in line


def test_a_wrong_source_is_refused_once() -> None:
    flags = ENOUGH | {"--type": "profile-changes", "--event": "DELETED", "--source": "FORMS"}

    (line,) = refusal(run(flags))

    assert line.startswith("--source: 'FORMS' isn't a source; choose from INTERNAL, EXTERNAL")


def test_sources_are_asked_only_where_they_can_be_filtered() -> None:
    deleted = somebody(type="profile-changes", event="DELETED", sources=("INTERNAL", "API"))
    moved = somebody(type="profile-changes", event="SEGMENT_TRANSITION")

    draft = interview(Draft(CATALOG, LOCATIONS), {}, deleted)
    interview(Draft(CATALOG, LOCATIONS), {}, moved)

    assert draft.answers["sources"] == ("INTERNAL", "API")
    assert "sources" not in moved.offers


def test_an_event_type_that_the_database_cannot_have_is_not_offered() -> None:
    bare = DatabaseDefinition(database="bare", attributes=({"name": "city", "type": "string"},))
    asked = somebody(type="profile-changes", event="DELETED")

    interview(Draft(Catalog({"bare": bare}, {}), LOCATIONS), {}, asked)

    events = set(EXPORT_TYPES["profile-changes"].increments)
    assert set(asked.offers["event"]) == events - {"MARKETING_CONSENT_CHANGE"}


def test_a_file_that_is_there_is_never_written_over(site: Path) -> None:
    Path("exports").mkdir()
    Path("exports/openings.yaml").write_text(
        "export: other\nentity: e\ndatabase: shop\ntype: profile\nevent: UPDATE\n"
        "schedule: {at: '06:00', time_zone: UTC}\n"
    )
    before = Path("exports/openings.yaml").read_bytes()

    lines = refusal(run(ENOUGH))

    assert lines == ["exports/openings.yaml: is there already; choose another name"]
    assert Path("exports/openings.yaml").read_bytes() == before


def test_a_name_that_is_taken_is_refused() -> None:
    run(ENOUGH)

    assert refusal(run(ENOUGH | {"--name": "Openings"})) == [
        "--name: there is an export 'Openings' already; choose another name"
    ]


def test_a_definition_whose_files_could_be_anothers_is_not_written() -> None:
    run(ENOUGH | {"--name": "a", "--file-name": "all<suffix>"})

    lines = refusal(run(ENOUGH | {"--name": "b", "--file-name": "all<suffix>"}))

    assert len(lines) == 1
    assert lines[0].startswith("exports/b.yaml:2: field 'export': files of 'b' and 'a' could have")
    assert not Path("exports/b.yaml").exists()


def test_only_types_of_tables_that_there_are_are_offered() -> None:
    bare = Catalog(CATALOG.databases, {})
    asked = somebody()

    interview(Draft(bare, LOCATIONS), {}, asked)

    assert asked.offers["type"] == [n for n, one in EXPORT_TYPES.items() if one.table is None]


def test_only_columns_that_the_database_has_are_offered() -> None:
    keyless = DatabaseDefinition(database="bare", attributes=({"name": "city", "type": "string"},))
    asked, in_shop = somebody(), somebody()

    interview(Draft(Catalog({"bare": keyless}, {}), LOCATIONS), {}, asked)
    interview(Draft(CATALOG, LOCATIONS), {}, in_shop)

    assert "businessKey" in in_shop.offers["columns"]
    assert "businessKey" not in asked.offers["columns"]


def test_formats_are_asked_only_for_values_that_the_columns_have() -> None:
    asked = somebody(columns=("interactionId", "eventTime"))

    interview(Draft(CATALOG, LOCATIONS), {}, asked)

    assert {field for field in asked.offers if field.startswith("formats")} == {"formats.moment"}


def test_a_wrong_answer_is_refused_and_asked_again() -> None:
    asked = somebody(schedule__at=["6", "06:00"], event=["SEND", "SENT"])

    draft = interview(Draft(CATALOG, LOCATIONS), {}, asked)

    assert (draft.text("schedule.at"), draft.text("event")) == ("06:00", "SENT")
    assert [line.partition(";")[0] for line in asked.refused] == [
        "--event: 'SEND' isn't an event type of email-activities",
        "--at: '6' isn't an hour of the day",
    ]


def test_what_a_flag_says_is_not_asked() -> None:
    asked = somebody()

    interview(Draft(CATALOG, LOCATIONS), {"export": "mine", "file.separator": "tab"}, asked)

    assert {"export", "file.separator"}.isdisjoint(asked.offers)
    assert "entity" in asked.offers


def every_event() -> Iterator[tuple[str, str]]:
    for one in EXPORT_TYPES.values():
        yield from ((one.name, event) for event in one.increments)


@pytest.mark.parametrize(("type_", "event"), list(every_event()))
def test_every_type_and_event_can_be_begun(type_: str, event: str) -> None:
    table = next(
        (t.name for t in CATALOG.tables.values() if t.kind is EXPORT_TYPES[type_].table), None
    )
    flags = ENOUGH | {"--type": type_, "--event": event} | ({"--table": table} if table else {})

    result = run(flags)

    assert result.exit_code == 0, (result.output, result.exception)


def test_the_name_in_the_archive_is_asked_for_archives_only() -> None:
    plain, zipped = somebody(), somebody(file__compression="zip")

    for asked in (plain, zipped):
        interview(Draft(CATALOG, LOCATIONS), {}, asked)

    assert "file.inner_name" not in plain.offers
    assert "file.inner_name" in zipped.offers


def leaves(model: type[BaseModel], around: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from leaves(inner, f"{around}{name}.")
        else:
            yield f"{around}{field.alias or name}"


def test_every_field_of_a_definition_is_asked_for() -> None:
    """But guard rails: what is usual shows only after some drops."""
    fields = [one for one in leaves(ExportDefinition) if not one.startswith("guard_rails")]

    assert sorted(question.field for question in QUESTIONS) == sorted(fields)


def test_on_a_terminal_it_asks_and_takes_numbers(site: Path) -> None:
    """A real terminal: choices by number, Enter for defaults, a wrong answer again."""
    answers = ["clicks", "", "marketing", "email-activities", "", "CLICK", "CLICKED"]
    answers += ["1,businessKey=CRM", "", "", "", "", "", "", "06:00", "UTC", "", ""]
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "deltadrop", "init-export"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    os.close(theirs)
    os.write(ours, "".join(f"{answer}\n" for answer in answers).encode())
    shown = b""
    with contextlib.suppress(OSError):  # how Linux says that the other side has ended
        while part := os.read(ours, 65536):
            shown += part
    os.close(ours)

    assert process.wait() == 0, shown.decode()
    content = yaml.safe_load(Path("exports/clicks.yaml").read_text(encoding="utf-8"))
    assert content["columns"] == ["interactionId", {"column": "businessKey", "header": "CRM"}]
    assert b"'CLICK' isn't an event type" in shown
