"""A summary says what the reference page's step 5 shows, section by section."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deltadrop import app
from schemas.errors import WrongInputError
from schemas.tables import load_catalog
from sinks.authoring.summary import summary_of
from sinks.exports.export import Export, load_exports
from sinks.exports.types import EXPORT_TYPES, Line
from tests.shop.events import CATALOG, TABLES
from tests.shop.json_page import documented

NOW = datetime(2026, 3, 28, 12, tzinfo=UTC)
CLICKS = """\
export: clicks
entity: marketing
database: shop
type: email-activities
event: CLICKED
columns: [interactionId, {column: customerId, header: CRM}, emailAddress, eventTime, isFirstClick]
formats: {boolean: 1/0, moment: ISO 8601}
file: {separator: semicolon, compression: gzip}
schedule: {at: "02:30", time_zone: Europe/Brussels}
when_empty: skip
recipients: [a@shop.example, b@shop.example]
"""
EXPECTED = """\
General data
  name         clicks
  name suffix  _yyyyMMdd
  table        shop (profiles)
  entity       marketing
  type         email-activities
  event type   CLICKED

Target group
  increment  {meaning}
  filter     none: all that was recorded since the previous close
  reminder   only active campaigns: scenarized and transactional ones that are active, or finished
             less than 31 days before the close, and one-shot and A/B test ones sent less than 31
             days before it; never drafts, nor campaigns of the deprecated engine

Data
  header         column         type     taken from
  interactionId  interactionId  integer  event
  CRM            businessKey    string   profile
  emailAddress   emailAddress   string   event       personal
  eventTime      eventTime      moment   event
  isFirstClick   isFirstClick   boolean  rule

Parameters
  booleans      1/0  (isFirstClick)
  moments       ISO 8601  (eventTime)
  file          CSV in UTF-8, semicolon between fields, gzip
  file name     <name><suffix>, next clicks_20260329.csv.gz
  delivered to  transferbox, in marketing/clicks/
  schedule      every day at 02:30 Europe/Brussels, next 2026-03-29T03:00:00+02:00
  empty window  no file, the manifest only
  report to     a@shop.example, b@shop.example"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation's folder, as the working directory."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(TABLES, "tables")
    Path("exports").mkdir()
    Path("exports/clicks.yaml").write_text(CLICKS, encoding="utf-8")
    return tmp_path


def loaded(folder: Path) -> Export:
    (export,) = load_exports(folder / "exports", CATALOG)
    return export


def test_the_sections_of_an_export_of_activities(site: Path) -> None:
    export = loaded(site)

    assert str(summary_of(export, NOW)) == EXPECTED.format(meaning=export.increment.meaning)


def test_json_holds_the_same(site: Path) -> None:
    told = summary_of(loaded(site), NOW).to_json()

    assert list(told) == ["general", "target", "fields", "parameters", "warnings"]
    assert told["general"]["tables"] == ["shop (profiles)"]
    assert told["target"]["sources"] is None
    assert "31 days" in told["target"]["reminder"]
    assert told["fields"][1] == {
        "header": "CRM",
        "column": "businessKey",
        "type": "string",
        "origin": "profile",
        "personal": False,
    }
    assert told["parameters"]["formats"] == [
        {"values": "booleans", "format": "1/0", "headers": ["isFirstClick"]},
        {"values": "moments", "format": "ISO 8601", "headers": ["eventTime"]},
    ]


def test_an_archive_tells_the_name_of_the_file_in_it(site: Path) -> None:
    text = CLICKS.replace("gzip", "zip, name: all<suffix>")
    Path("exports/clicks.yaml").write_text(text, encoding="utf-8")

    told = str(summary_of(loaded(site), NOW))

    assert "  file name     all<suffix>, next all_20260329.zip\n" in told
    assert "  file in it    next clicks_20260329.csv\n" in told


def test_only_activities_remind_of_active_campaigns(site: Path) -> None:
    assert EXPORT_TYPES
    for one in EXPORT_TYPES.values():
        event, table = next(iter(one.increments)), None
        if one.table is not None:
            table = next(t.name for t in CATALOG.tables.values() if t.kind is one.table)
        text = "".join(
            line + "\n"
            for line in CLICKS.splitlines()
            if not line.startswith(("columns", "type", "event"))
        )
        Path("exports/clicks.yaml").write_text(
            f"{text}type: {one.name}\nevent: {event}\n" + (f"table: {table}\n" if table else "")
        )

        reminder = summary_of(loaded(site), NOW).target.reminder

        assert (reminder is not None) == (one.line is Line.ACTIVITY)
        if reminder:
            channel = one.name.removesuffix("-activities")
            by_channel = (channel in ("email", "sms"), channel == "email")
            assert ("transactional" in reminder, "A/B test" in reminder) == by_channel


def test_a_key_of_deletions_that_is_personal_is_warned_of(site: Path) -> None:
    tables = site / "tables" / "shop.yaml"
    personal = "{name: customerId, type: string, personal: true}"
    tables.write_text(tables.read_text().replace("{name: customerId, type: string}", personal))
    (site / "exports" / "clicks.yaml").write_text(
        "export: clicks\nentity: marketing\ndatabase: shop\ntype: profile-changes\nevent: DELETED\n"
        'schedule: {at: "02:30", time_zone: Europe/Brussels}\n'
    )

    (export,) = load_exports(site / "exports", load_catalog(site / "tables"))
    found = summary_of(export, NOW)

    assert found.warnings == (
        "export 'clicks': column 'customerId' is empty in every line: it is a deleted profile's "
        "business key, and that is marked personal; match by profileId, or make an attribute that "
        "isn't personal the business key",
    )
    assert "Warnings\n  warning  export 'clicks': column 'customerId' is empty" in str(found)


def test_the_command_prints_plain_lines_where_there_is_no_terminal(site: Path) -> None:
    result = CliRunner().invoke(app, ["summary", "clicks"])

    assert result.exit_code == 0, result.output
    assert result.output.startswith("General data\n  name         clicks\n")
    assert "\x1b" not in result.output


def test_the_command_gives_json(site: Path) -> None:
    result = CliRunner().invoke(app, ["summary", "clicks", "--json"])

    assert documented("summary", result.output)["general"]["name"] == "clicks"


def test_an_unknown_export_is_refused_with_those_that_there_are(site: Path) -> None:
    result = CliRunner().invoke(app, ["summary", "click"])

    assert isinstance(result.exception, WrongInputError)
    assert str(result.exception) == (
        "there is no export 'click'; choose from clicks; nearest match 'clicks'"
    )
