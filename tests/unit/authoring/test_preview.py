"""A preview shows ten lines as they would come out now, and changes nothing."""

import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from deltadrop import app
from schemas.events import Kind
from schemas.settings.settings import load_settings
from sinks.authoring.preview import LINES, Preview, preview_of
from sinks.authoring.stored import AsCovered, StoredCuts
from sinks.exports.types import EXPORT_TYPES
from sinks.instants import stamp
from sinks.setup import Sinks
from tests.shop.events import CATALOG, TABLES
from tests.shop.json_page import documented
from tests.shop.stored import Storage

NOW = datetime(2026, 3, 28, 12, tzinfo=UTC)
AGO = {hours: NOW - timedelta(hours=hours) for hours in (1, 2, 3, 4, 30)}
SENT = """\
export: sent
suffix: "_yyyyMMdd_HHmm"
entity: marketing
database: shop
type: email-activities
event: SENT
columns: [interactionId, emailAddress, {column: businessKey, header: CRM}, eventTime]
formats: {moment: "dd/MM/yyyy HH:mm"}
file: {separator: semicolon, compression: gzip}
schedule: {at: "06:00", time_zone: Europe/Brussels}
"""
CREATED = """\
export: created
entity: crm
database: shop
type: profile
event: CREATION
columns: [profileId, customerId, hobbies]
schedule: {at: "06:00", time_zone: Europe/Brussels}
"""
HEADER = "interactionId;emailAddress;CRM;eventTime"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation's folder, as the working directory; nothing listens where Kafka would be."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(TABLES, "tables")
    Path("exports").mkdir()
    Path("exports/sent.yaml").write_text(SENT, encoding="utf-8")
    Path("exports/created.yaml").write_text(CREATED, encoding="utf-8")
    Path("deltadrop.yaml").write_text("root: var\nkafka: {bootstrap_servers: 'localhost:1'}\n")
    return tmp_path


@pytest.fixture
def stored(site: Path) -> Storage:
    """A campaign and a profile of yesterday and before."""
    storage = Storage(site / "var")
    storage.append(AGO[30], Kind.CAMPAIGN, "CREATED")
    attributes = {"customerId": "C33", "emailAddress": "now@shop.example", "hobbies": ["a", "b|c"]}
    storage.append(AGO[30], Kind.PROFILE, "CREATED", attributes=attributes)
    return storage


def send(storage: Storage, at: datetime, interaction: int = 11, profile: int = 33) -> None:
    storage.append(
        at,
        Kind.EMAIL_ACTIVITY,
        "SENT",
        interactionId=interaction,
        profileId=profile,
        emailAddress="then@shop.example",
    )


def preview(name: str = "sent", now: datetime = NOW) -> Preview:
    sinks = Sinks.of(load_settings(None))
    return preview_of(sinks, next(one for one in sinks.exports if one.name == name), now)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def close(at: datetime, finish: bool = True) -> None:
    """A close of what is stored so far: with its cuts, its intent, and its outcome if it came to
    that.
    """
    sinks = Sinks.of(load_settings(None))
    export = next(one for one in sinks.exports if one.name == "sent")
    cuts = StoredCuts(sinks, at)
    decides = sinks.closer.intentions
    planner = replace(decides.planner, cuts=cuts)
    intentions = replace(decides, planner=planner, completeness=AsCovered(sinks.streams))
    replace(sinks.closer, intentions=intentions).close(export, at, lambda _: None)
    topics = [topic.name for topic in export.topics_read("deltadrop")]
    for name, cut in cuts.take(topics, at).items():
        sinks.ledger.store.create(f"ledger/cuts/{stamp(at)}/{name}.json", cut.to_json())
    if not finish:
        sinks.ledger.store.remove(f"ledger/exports/sent/{stamp(at)}/outcome.json")


def test_the_lines_are_as_the_file_would_have_them(stored: Storage) -> None:
    """Headers, formats and separator are the definition's; compression is not for people."""
    send(stored, AGO[1])

    told = preview()

    assert told.text == f"{HEADER}\n11;then@shop.example;C33;28/03/2026 12:00\n"
    assert (told.shown, told.lines, told.remarks) == (1, 1, ())


def test_no_more_than_ten_lines_are_shown_and_all_are_counted(stored: Storage) -> None:
    for number in range(LINES + 3):
        send(stored, AGO[1], interaction=number + 1)

    told = preview()

    lines = told.text.splitlines()
    assert len(lines) == 1 + LINES
    assert [line.partition(";")[0] for line in lines[1:]] == [str(n + 1) for n in range(LINES)]
    assert (told.shown, told.lines) == (LINES, LINES + 3)


def test_it_begins_a_day_before_now_where_nothing_was_closed_yet(stored: Storage) -> None:
    send(stored, AGO[30], interaction=1)
    send(stored, AGO[3], interaction=2)

    told = preview()

    assert [line.partition(";")[0] for line in told.text.splitlines()[1:]] == ["2"]
    assert told.window_start == "2026-03-27 13:00:00+01:00"


def test_it_looks_at_rows_of_profiles_too(stored: Storage) -> None:
    attributes = {"customerId": "C44", "hobbies": ["a", "b|c"]}
    stored.append(AGO[1], Kind.PROFILE, "CREATED", profileId=44, attributes=attributes)

    told = preview("created")

    assert told.text == "profileId,customerId,hobbies\n44,C44,a|b|c\n"
    assert told.remarks[0].startswith("column 'hobbies': 1 value")


def test_nothing_is_changed(site: Path, stored: Storage) -> None:
    send(stored, AGO[1])
    before = contents(site)

    preview()

    assert contents(site) == before


def test_a_deleted_persons_data_does_not_show(stored: Storage) -> None:
    send(stored, AGO[2])
    stored.append(AGO[1], Kind.PROFILE, "DELETED")

    assert preview().text == f"{HEADER}\n11;;;28/03/2026 11:00\n"


def test_a_deletion_behind_a_hole_is_honoured_too(stored: Storage) -> None:
    send(stored, AGO[3])
    stored.append(AGO[3], Kind.PROFILE, "UPDATED")
    stored.lose(Kind.PROFILE)
    stored.append(AGO[1], Kind.PROFILE, "DELETED")

    told = preview()

    assert "@" not in told.text
    assert "C33" not in told.text


def test_it_ends_at_a_hole_and_says_so(stored: Storage) -> None:
    send(stored, AGO[3], interaction=1)
    stored.lose(Kind.EMAIL_ACTIVITY, 2)
    send(stored, AGO[1], interaction=2)

    told = preview()

    assert [line.partition(";")[0] for line in told.text.splitlines()[1:]] == ["1"]
    assert [(one.first, one.next) for one in told.looked_at] == [(0, 1)]
    assert told.remarks == (
        "deltadrop.shop.email-activity/0: offsets 1 to 3 are not stored; what comes after is not "
        "shown",
    )
    assert told.notes == (
        "1 of 1 lines since 2026-03-27 13:00:00+01:00, as far as stored: until "
        f"2026-03-28 10:00:00+01:00\n{told.remarks[0]}"
    )


def test_what_is_missing_where_the_first_window_begins_is_told(stored: Storage) -> None:
    stored.lose(Kind.EMAIL_ACTIVITY, 2)
    send(stored, AGO[3])

    told = preview()

    assert told.lines == 1
    assert told.remarks == ("deltadrop.shop.email-activity/0: offsets 0 to 2 are not stored",)


def test_a_hole_in_what_feeds_the_state_is_told(stored: Storage) -> None:
    send(stored, AGO[3])
    stored.lose(Kind.PROFILE)
    stored.append(AGO[1], Kind.PROFILE, "UPDATED", profileId=44)

    (remark,) = preview().remarks

    assert remark.startswith("deltadrop.shop.profile/0: offsets 1 to 2 are not stored")


def test_it_begins_at_the_cut_of_the_last_close_that_was_finished(
    site: Path, stored: Storage
) -> None:
    send(stored, AGO[4], interaction=1)
    close(AGO[4] + timedelta(minutes=1))
    send(stored, AGO[3], interaction=2)
    close(AGO[3] + timedelta(minutes=1), finish=False)
    send(stored, AGO[2], interaction=3)
    before = contents(site)

    told = preview()

    assert [line.partition(";")[0] for line in told.text.splitlines()[1:]] == ["2", "3"]
    assert told.window_start == "2026-03-28 09:01:00+01:00"
    assert [(one.first, one.next) for one in told.looked_at] == [(1, 3)]
    assert contents(site) == before


def test_what_waited_for_its_campaign_shows_once_it_is_known(stored: Storage) -> None:
    stored.append(AGO[4], Kind.EMAIL_ACTIVITY, "SENT", interactionId=5, campaignId=99)
    close(AGO[4] + timedelta(minutes=1))
    waiting = preview()
    stored.append(AGO[1], Kind.CAMPAIGN, "CREATED", campaignId=99)

    told = preview()

    assert waiting.lines == 0
    assert [line.partition(";")[0] for line in told.text.splitlines()[1:]] == ["5"]


@pytest.mark.parametrize("type_", EXPORT_TYPES)
def test_every_type_of_export_has_a_preview(site: Path, stored: Storage, type_: str) -> None:
    one = EXPORT_TYPES[type_]
    event, increment = next(iter(one.increments.items()))
    table = next((t.name for t in CATALOG.tables.values() if t.kind is one.table), None)
    definition = yaml.safe_load(SENT) | {"type": type_, "event": event, "columns": ["profileId"]}
    if table is not None:
        definition |= {"table": table, "columns": ["id"]}
    Path("exports/sent.yaml").write_text(yaml.safe_dump(definition), encoding="utf-8")
    channel = type_.removesuffix("-activities").replace("-", "_").upper()
    telling: dict[str, object] = {"table": table} if table else {}
    if increment.kind is Kind.FILE_ACTIVITY:
        telling["channel"] = channel
    if increment.kind in (Kind.PROFILE, Kind.ROW):
        telling["profileId"] = 55
    stored.append(AGO[1], increment.kind, str(increment.feeds[0]), **telling)

    told = preview()

    assert told.lines == 1, told
    assert len(told.text.splitlines()) == 2


def test_where_nothing_is_stored_it_shows_the_header_and_says_so(site: Path) -> None:
    told = preview()

    assert told.text == HEADER + "\n"
    assert told.notes == "nothing is stored since 2026-03-27 13:00:00+01:00"


def test_the_command_needs_no_server_and_keeps_remarks_off_the_lines(stored: Storage) -> None:
    send(stored, datetime.now(UTC))

    result = CliRunner().invoke(app, ["preview", "sent"])

    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"{HEADER}\n11;then@shop.example;C33;")
    assert result.stderr.startswith("1 of 1 lines since ")


def test_the_command_gives_json(stored: Storage) -> None:
    send(stored, datetime.now(UTC))

    told = documented("preview", CliRunner().invoke(app, ["preview", "sent", "--json"]).stdout)

    assert (told["export"], told["lines"]) == ("sent", 1)
    assert told["looked_at"] == [
        {"topic": "deltadrop.shop.email-activity", "partition": 0, "first": 0, "next": 1}
    ]
