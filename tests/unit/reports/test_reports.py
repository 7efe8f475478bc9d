"""Reports: what they say, and that each is told once."""

import dataclasses
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from schemas.errors import (
    CloseError,
    DeltadropError,
    HeldError,
    LedgerError,
    PartitionError,
    ReportError,
)
from schemas.events import Kind as EventKind
from sinks.closing.running import foreseen
from sinks.ledger.lease import Lease
from sinks.ledger.ledger import Ledger
from sinks.repair.redrop import Redropper
from sinks.repair.release import Releaser
from sinks.reports import Outbox, PendingReport, Report, Reporter, ReportKind, channels_of
from sinks.reports.channel import PartlySentError, RefusedError, UnreachableError
from sinks.reports.text import html, plain, subject
from sinks.reports.webhook import body_of
from streams.storage.folder import FolderStore
from streams.storage.store import StoredFile
from tests.shop.offline import OfflineShop, at, with_exports
from tests.shop.planted import delete
from tests.shop.told import Sent, report


@pytest.fixture
def sent() -> Sent:
    return Sent()


def test_labels_and_what_they_say_stand_apart() -> None:
    told = plain(report(balance={"exported": 2, "waiting for its campaign": 129}))
    assert "\n  exported                  2\n  waiting for its campaign  129\n" in told


@pytest.fixture
def outbox(tmp_path: Path, sent: Sent) -> Outbox:
    return Outbox(FolderStore(tmp_path), [sent])


def test_a_delivered_drop_is_told_with_file_rows_window_and_checksum() -> None:
    told = plain(report(late_rows={"2026-03-27": 4}))

    for expected in (
        "openings_20260329.csv",
        "1,234",
        "56,789 bytes",
        "ab" * 32,
        "2026-03-28T06:00:00.000+01:00 (2026-03-28T05:00:00.000+00:00)",
        "2026-03-29T06:00:00.000+02:00",
        "a day of 23 hours: the clocks were changed",
        "transferbox: /drops/openings_20260329.csv",
        "4 of 2026-03-27",
        "duplicate",
        "input             1,237",
    ):
        assert expected in told
    assert (
        subject(report())
        == "deltadrop: openings delivered, 1,234 rows, window until 2026-03-29 06:00"
    )


@pytest.mark.parametrize("kind", [ReportKind.HELD, ReportKind.FAILED, ReportKind.LATE])
def test_trouble_comes_first_with_what_to_do(kind: ReportKind) -> None:
    told = plain(report(kind)).splitlines()

    assert told[0].lower().startswith(kind)
    assert told[1].split() == ["what", "offsets", "3", "to", "9", "are", "missing"]
    assert told[2].split() == ["what", "to", "do", "start", "workers"]
    window = "window until 2026-03-29 06:00"
    assert subject(report(kind)) == f"deltadrop: {kind.upper()}: openings, {window}"


def test_dead_letters_and_warnings_of_a_drop_come_first() -> None:
    one = report(dead_letters=2, warnings=("3 values contain the separator",))

    told = plain(one)

    assert told.startswith("Worth a look\n  dead letters      2 events")
    assert told.index("3 values") < told.index("openings_20260329.csv")
    assert "(see warnings)" in subject(one)


def test_an_empty_window_without_a_file_says_so() -> None:
    told = plain(report(file=None, rows=0, bytes=None, sha256=None))

    assert "none: the window is empty" in told
    assert "size" not in told
    assert "SHA-256" not in told


def test_a_file_with_its_header_only_says_that_the_window_is_empty() -> None:
    says_so = "\n  empty             the window is empty: the file has its header only\n"
    assert says_so in plain(report(rows=0))
    assert "empty" not in plain(report(rows=1))
    assert "no line is left: the file has its header only" in plain(
        report(ReportKind.REVISED, **REVISED, rows=0)
    )


RELEASED = {"reason": "a holiday", "held_because": ("2 rows, at least 3 are expected",)}
REVISED = {
    "revision": 2,
    "reason": "erasure of personal data",
    "replaces": "openings_20260329-r1.csv",
    "file": "openings_20260329-r2.csv",
}


def test_a_drop_that_was_released_says_what_held_it_and_why_it_went() -> None:
    one = report(**RELEASED)

    assert plain(one).startswith(
        "Delivered\n"
        "  was held          2 rows, at least 3 are expected\n"
        "  released          a holiday\n"
        "  file              openings_20260329.csv\n"
        "  rows              1,234\n"
    )
    assert "<td>a holiday</td>" in html(one)
    window = "window until 2026-03-29 06:00"
    assert subject(one) == f"deltadrop: openings delivered (released), 1,234 rows, {window}"


def test_a_revision_says_its_number_and_why_and_which_file_it_replaces() -> None:
    one = report(ReportKind.REVISED, **REVISED)

    assert plain(one).startswith(
        "Made again: this file replaces the one before\n"
        "  revision          -r2\n"
        "  why               erasure of personal data\n"
        "  replaces          openings_20260329-r1.csv: remove it where you have a copy\n"
        "\n"
        "Delivered\n"
        "  file              openings_20260329-r2.csv\n"
        "  rows              1,234\n"
    )
    assert "<td>openings_20260329-r1.csv: remove it where you have a copy</td>" in html(one)
    window = "window until 2026-03-29 06:00"
    assert subject(one) == f"deltadrop: openings made again, -r2, 1,234 rows, {window}"
    told = json.loads(body_of(one))
    assert REVISED.items() <= told.items()
    assert told["kind"] == "revised"


def test_html_says_the_same_and_escapes_it() -> None:
    told = html(report(ReportKind.FAILED, problem="<b>no</b> & never"))

    assert "&lt;b&gt;no&lt;/b&gt; &amp; never" in told
    assert "start workers" in told
    assert "<img" not in told
    assert "<script" not in told


def test_the_fields_that_a_webhook_gets_are_documented() -> None:
    docs = (Path(__file__).parents[3] / "docs" / "operating.md").read_text(encoding="utf-8")
    listed = docs.partition("Its fields: ")[2].partition(". Fields may be")[0]
    names = [part.split("`")[0] for part in listed.split("`")[1::2]]

    assert [name for name in names if name not in list(ReportKind)] == list(
        json.loads(body_of(report()))
    )


def test_a_report_is_kept_once_and_sent_once(outbox: Outbox, sent: Sent) -> None:
    assert outbox.put(report())
    assert not outbox.put(report())
    outbox.send()
    outbox.send()

    assert sent.reports == [report()]
    assert outbox.pending() == []


def test_what_could_not_be_sent_is_sent_by_the_next_run(outbox: Outbox, sent: Sent) -> None:
    outbox.put(report())
    sent.refuses = lambda one: UnreachableError("down")
    assert outbox.send() == 0
    sent.refuses = lambda one: None

    assert outbox.send() == 1


def test_a_report_that_some_have_is_sent_again_to_the_others_only(
    outbox: Outbox, sent: Sent
) -> None:
    """Greylisting (RFC 6647) answers 4yz to a first attempt."""
    both = report(recipients=("a@shop.example", "b@shop.example"))
    asked: list[tuple[str, ...]] = []

    def takes_it_later(one: Report) -> ReportError | None:
        asked.append(one.recipients)
        later = ("b@shop.example",)
        return PartlySentError("not now", later) if len(asked) < 3 else None

    sent.refuses = takes_it_later
    outbox.put(both)
    for _ in range(4):
        outbox.send()

    assert asked == [both.recipients, ("b@shop.example",), ("b@shop.example",)]
    assert outbox.pending() == []


def test_a_report_that_some_have_is_done_when_the_others_refuse_it_for_good(
    outbox: Outbox, sent: Sent
) -> None:
    answers = [PartlySentError("not now", ("b@shop.example",)), RefusedError("no such mailbox")]
    sent.refuses = lambda one: answers.pop(0)
    outbox.put(report(recipients=("a@shop.example", "b@shop.example")))
    outbox.send()
    outbox.send()

    assert (answers, outbox.pending()) == ([], [])


def test_one_that_is_refused_does_not_keep_the_others(outbox: Outbox, sent: Sent) -> None:
    outbox.put(report(ReportKind.HELD))
    outbox.put(report())
    sent.refuses = lambda one: (
        ReportError("no such mailbox") if one.kind is ReportKind.HELD else None
    )

    outbox.send()

    assert [one.kind for one in sent.reports] == [ReportKind.DELIVERED]
    assert [one.kind for one in outbox.pending()] == [ReportKind.HELD]


def test_trouble_is_sent_first(outbox: Outbox, sent: Sent) -> None:
    for kind in (ReportKind.DELIVERED, ReportKind.LATE, ReportKind.HELD, ReportKind.FAILED):
        outbox.put(report(kind))

    outbox.send()

    assert [one.kind for one in sent.reports] == [
        ReportKind.FAILED,
        ReportKind.HELD,
        ReportKind.LATE,
        ReportKind.DELIVERED,
    ]


def test_each_channel_sends_by_itself(tmp_path: Path) -> None:
    mail, webhook = Sent("mail"), Sent("webhook")
    outbox = Outbox(FolderStore(tmp_path), [mail, webhook])
    outbox.put(report())
    mail.refuses = lambda one: UnreachableError("down")
    outbox.send()
    mail.refuses = lambda one: None
    outbox.send()

    assert (len(mail.reports), len(webhook.reports)) == (1, 1)


def test_a_channel_that_is_set_up_later_gets_no_old_reports(tmp_path: Path) -> None:
    store, later = FolderStore(tmp_path), Sent("webhook")
    Outbox(store, [Sent("mail")]).put(report())

    Outbox(store, [later]).send()

    assert later.reports == []


def test_what_waits_is_told_with_why_until_it_is_sent(outbox: Outbox, sent: Sent) -> None:
    outbox.put(report(ReportKind.HELD))
    outbox.put(report())
    since = "2026-03-29T04:01:00.000+00:00"
    assert outbox.undelivered() == [PendingReport("mail", 2, since, "")]

    for error in (UnreachableError("down"), ReportError("no such mailbox")):
        sent.refuses = lambda one, error=error: error  # type: ignore[misc]
        outbox.send()
        assert outbox.undelivered() == [PendingReport("mail", 2, since, str(error))]

    sent.refuses = lambda one: None
    outbox.send()
    assert outbox.undelivered() == []
    outbox.put(report(ReportKind.LATE))
    assert outbox.undelivered() == [PendingReport("mail", 1, since, "")], (
        "what is settled isn't told again"
    )


def test_what_can_not_be_sent_for_a_week_is_given_up(tmp_path: Path, sent: Sent) -> None:
    class Old(FolderStore):
        def stat(self, name: str) -> StoredFile:
            known = super().stat(name)
            return dataclasses.replace(known, written_at=known.written_at - 8 * 86_400)

    outbox = Outbox(Old(tmp_path), [sent])
    outbox.put(report())
    sent.refuses = lambda one: UnreachableError("down")

    outbox.send()

    assert outbox.pending() == []


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> OfflineShop:
    """Two profiles; the second came with a late event. Their export is due by eight o'clock."""
    definitions = with_exports("profiles")
    definitions["exports/profiles.yaml"] = definitions["exports/profiles.yaml"].replace(
        "time_zone: UTC}", 'time_zone: UTC, deliver_by: "08:00"}\nrecipients: [a@shop.example]'
    )
    folder = tmp_path_factory.mktemp("stored")
    (folder / "deltadrop.yaml").write_text("root: data\nmail: {host: 127.0.0.1, port: 1}\n")
    shop = OfflineShop(folder, definitions=definitions)
    shop.tell(EventKind.PROFILE, "CREATED", at(7), profileId=1)
    shop.tell(EventKind.PROFILE, "CREATED", at(8), at(7, 26), profileId=2)
    shop.store_all()
    return shop


@dataclass
class Night:
    """An installation whose mail server is down, and what is told; it is 7:00 on the 28th."""

    shop: OfflineShop

    def __post_init__(self) -> None:
        self.time = at(7, 28)
        ledger, channels = self.shop.sinks.ledger, channels_of(self.shop.settings)
        self.reporter = Reporter(ledger, channels, lambda: self.time)
        self.outbox = Outbox(ledger.store, channels)
        (self.export,) = self.shop.sinks.exports

    def told(self) -> list[tuple[ReportKind, datetime]]:
        return sorted((one.kind, one.instant) for one in self.outbox.pending())


@pytest.fixture
def night(stored: OfflineShop, tmp_path: Path) -> Night:
    return Night(stored.copied(tmp_path))


def test_a_closed_window_is_told_with_what_its_manifest_says(night: Night) -> None:
    outcome = night.shop.close("profiles", at(6, 28))
    night.reporter.delivered(night.export, at(6, 28), outcome)

    (told,) = night.outbox.pending()

    assert (told.file, told.rows, told.sha256) == (outcome.file, 2, outcome.sha256)
    assert told.late_rows == {"2026-03-26": 1}
    assert told.balance["exported"] == 2
    assert told.recipients == ("a@shop.example",)
    assert told.window.begin is not None
    assert told.window.begin.utc.startswith("2026-03-27T06:00")
    night.reporter.delivered(night.export, at(6, 28), outcome)
    assert len(night.outbox.pending()) == 1


def test_of_a_file_that_was_skipped_neither_size_nor_checksum_is_told(night: Night) -> None:
    definition = night.shop.folder / "exports/profiles.yaml"
    definition.write_text(definition.read_text() + "\nwhen_empty: skip\n")
    shop = night.shop.again()
    shop.close("profiles", at(6, 28))
    outcome = shop.close("profiles", at(6, 29))
    assert outcome.file is None

    night.reporter.delivered(night.export, at(6, 29), outcome)

    (told,) = night.outbox.pending()
    body = json.loads(body_of(told))
    assert (body["file"], body["rows"], body["bytes"], body["sha256"]) == (None, 0, None, None)
    assert "none: the window is empty" in plain(told)


def test_what_a_killed_run_closed_and_did_not_tell_is_told_by_the_next(night: Night) -> None:
    night.reporter.settle([night.export])
    night.shop.close("profiles", at(6, 28))
    night.shop.close("profiles", at(6, 29))

    Night(night.shop).reporter.settle([night.export])
    Night(night.shop).reporter.settle([night.export])

    assert night.told() == [(ReportKind.DELIVERED, at(6, 28)), (ReportKind.DELIVERED, at(6, 29))]


def test_what_was_closed_before_there_were_reports_is_not_told(night: Night) -> None:
    night.shop.close("profiles", at(6, 28))
    night.time = datetime.now(UTC) + timedelta(seconds=1)

    night.reporter.settle([night.export])

    assert night.told() == []


def test_a_released_close_is_told_with_what_held_it_and_why(night: Night) -> None:
    ledger = night.shop.sinks.ledger
    with pytest.raises(HeldError):
        held_back(night.shop).close("profiles", at(6, 28))
    Releaser(night.shop.sinks.reviser).release("profiles", at(6, 28), "a holiday")
    outcome = ledger.outcome("profiles", at(6, 28))
    assert outcome is not None

    night.reporter.delivered(night.export, at(6, 28), outcome)

    (told,) = night.outbox.pending()
    assert (told.reason, told.held_because) == ("a holiday", ("2 rows, at least 3 are expected",))


def test_each_revision_is_told_once_with_what_it_replaces_to_whom_it_concerns_now(
    night: Night,
) -> None:
    night.reporter.settle([night.export])
    night.shop.close("profiles", at(6, 28))
    delete(night.shop, 2, 31)
    night.shop.store_all()
    night.shop.sinks.eraser.run()
    definition = night.shop.folder / "exports/profiles.yaml"
    definition.write_text(definition.read_text() + "columns: [profileId]\n")
    today = night.shop.again()
    (export,) = today.sinks.exports
    Redropper(today.sinks.reviser).redrop("profiles", at(6, 28), "fewer columns", export)
    definition.write_text(definition.read_text().replace("a@shop.example", "b@shop.example"))
    now = night.shop.again().sinks.exports

    night.reporter.revised(now)
    night.reporter.revised(now)

    told = sorted(night.outbox.pending(), key=lambda one: one.revision)
    assert [(one.kind, one.revision, one.replaces, one.reason) for one in told] == [
        (ReportKind.REVISED, 1, "profiles_20260328_0600.csv", "erasure of personal data"),
        (ReportKind.REVISED, 2, "profiles_20260328_0600-r1.csv", "fewer columns"),
    ]
    assert [one.rows for one in told] == [1, 1]
    assert {one.recipients for one in told} == {("b@shop.example",)}


def held_back(shop: OfflineShop) -> OfflineShop:
    definition = shop.folder / "exports/profiles.yaml"
    definition.write_text(definition.read_text() + "\nguard_rails: {rows_at_least: 3}\n")
    return shop.again()


def test_trouble_of_one_nature_is_told_once_and_of_another_again(night: Night) -> None:
    for error in (
        HeldError("covered up to 3, the cut is 9", where="topic/0"),
        HeldError("covered up to 5, the cut is 9", where="topic/0"),
        HeldError("offsets 3 to 5 can't be read again", where="topic/0"),
        CloseError("the registry doesn't answer"),
    ):
        night.reporter.troubled(night.export, at(6, 28), error)

    kinds = [kind for kind, _ in night.told()]
    assert kinds == [ReportKind.FAILED, ReportKind.HELD, ReportKind.HELD]


def unforeseen(error: Exception) -> DeltadropError:
    """What a close makes of an error that nobody foresaw."""
    with pytest.raises(DeltadropError) as told, foreseen("profiles", at(6, 28)):
        raise error
    return told.value


def test_what_nobody_foresaw_is_told_once_whatever_names_its_message_has(night: Night) -> None:
    for error in (
        FileNotFoundError(2, "No such file", "/data/scratch/tmpwm2cbv9x/sent.csv"),
        FileNotFoundError(2, "No such file", "/data/scratch/tmp_a1b2c3d/sent.csv"),
        PermissionError(13, "Permission denied", "/data/scratch/tmp_a1b2c3d/sent.csv"),
        KeyError("profileId"),
    ):
        night.reporter.troubled(night.export, at(6, 28), unforeseen(error))

    assert night.told() == [(ReportKind.FAILED, at(6, 28))] * 3


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("scratch/tmpwm2cbv9x/drop", "scratch/tmp_a1b2c3d/drop"),
        ("sha256 5feceb66ffc86f38", "sha256 6b86b273ff34fce1"),
        ("id 0b8f6a52-7c0e-4d39-9b1f-3c1de3a1b111", "id c1d2e3f4-aaaa-4bbb-8ccc-dddd00001111"),
    ],
)
def test_temporary_names_and_checksums_make_no_new_trouble(
    night: Night, one: str, other: str
) -> None:
    for name in (one, other):
        night.reporter.troubled(night.export, at(6, 28), CloseError(f"can't read {name}"))

    assert len(night.told()) == 1


def settled(night: Night) -> list[str | None]:
    """The reports whose trouble is told to be over."""
    night.reporter.ended([night.export])
    found = [one for one in night.outbox.pending() if one.kind is ReportKind.SETTLED]
    return sorted(one.settles or "" for one in found)


def test_each_trouble_that_is_over_is_told_once_and_to_those_who_were_told_of_it(
    night: Night,
) -> None:
    night.time = at(8.01, 28)
    night.reporter.late(night.export, [at(6, 28)])
    night.reporter.troubled(night.export, at(6, 28), HeldError("a hole", hint="fill it"))
    night.reporter.troubled(night.export, at(6, 28), CloseError("no space", hint="free some"))
    troubles = night.outbox.pending()
    assert settled(night) == [], "it goes on"

    night.shop.close("profiles", at(6, 28))
    night.time = at(9, 28)

    assert settled(night) == settled(night) == sorted(one.id for one in troubles)
    (held,) = (one for one in night.outbox.pending() if "settled-held" in one.id)
    assert (held.problem, held.hint, held.recipients) == ("a hole", "", ("a@shop.example",))
    assert (held.since, held.told_at) == (
        at(8.01, 28).isoformat(timespec="milliseconds"),
        at(9, 28).isoformat(timespec="milliseconds"),
    )
    assert subject(held).startswith("deltadrop: settled: profiles, window until 2026-03-28")
    assert "Settled: this trouble is over" in plain(held)
    assert "Held" not in plain(held)


def test_trouble_of_a_window_that_a_later_close_took_in_is_over(night: Night) -> None:
    night.reporter.troubled(night.export, at(6, 28), HeldError("a hole"))

    night.shop.close("profiles", at(6.5, 28))

    assert len(settled(night)) == 1


def test_trouble_of_a_ledger_is_over_when_it_can_be_read_again(night: Night) -> None:
    night.shop.close("profiles", at(6, 28))
    (entry,) = (night.shop.root / "ledger" / "exports" / "profiles").glob("*/outcome.json")
    content = entry.read_bytes()
    entry.write_bytes(b"{")
    night.reporter.troubled(night.export, at(6, 28), LedgerError("can't be read"))
    again = Night(night.shop.again())
    assert settled(again) == []

    entry.write_bytes(content)

    assert len(settled(Night(night.shop.again()))) == 1


def test_trouble_that_an_earlier_release_told_is_not_told_to_be_over(night: Night) -> None:
    night.reporter.troubled(night.export, at(6, 28), HeldError("a hole"))
    (entry,) = (night.shop.root / "reports" / "profiles").rglob("held-*.json")
    fields = json.loads(entry.read_text())
    entry.write_text(json.dumps({name: fields[name] for name in ("channels", "report")}))

    night.shop.close("profiles", at(6, 28))

    assert settled(night) == []


def test_what_is_not_delivered_by_its_hour_is_told_once(night: Night) -> None:
    night.time = at(8, 28)
    night.reporter.late(night.export, [at(6, 28)])
    assert night.told() == []

    night.time = at(8.01, 28)
    night.reporter.late(night.export, [at(6, 28)])
    night.reporter.late(night.export, [at(6, 28)])

    assert night.told() == [(ReportKind.LATE, at(6, 28))]


def test_a_drop_after_its_hour_says_that_it_is_late(night: Night) -> None:
    outcome = night.shop.close("profiles", at(6, 28))
    early = dataclasses.replace(outcome, finished_at=at(8, 28).isoformat())
    late = dataclasses.replace(outcome, finished_at=at(8.01, 28).isoformat())

    told = [Report.of_delivered(night.export, None, at(6, 28), one) for one in (early, late)]

    assert [one.delivered_late for one in told] == [False, True]
    assert "(late)" in subject(told[1])
    assert plain(told[1]).startswith("Worth a look\n  late")


@pytest.mark.parametrize(
    ("error", "logged"),
    [
        (OSError("unforeseen"), "report failed"),
        (PartitionError("can't write: disk full"), "reports not kept or sent: tried again later"),
    ],
)
def test_reports_that_fail_in_any_way_fail_no_close(
    night: Night, error: Exception, logged: str
) -> None:
    class Broken(FolderStore):
        def create(self, name: str, content: bytes) -> bool:
            raise error

    outcome = night.shop.close("profiles", at(6, 28))
    reporter = Reporter(Ledger(Broken(night.shop.root)), channels_of(night.shop.settings))

    with capture_logs() as lines:
        reporter.settle([night.export])
        reporter.delivered(night.export, at(6, 28), outcome)
        reporter.troubled(night.export, at(6, 28), HeldError("held"))
        reporter.late(night.export, [at(6, 28)])
        reporter.send()

    assert night.told() == []
    assert {line["event"] for line in lines} == {logged}


def test_a_mail_server_that_is_down_is_asked_again_after_a_minute(night: Night) -> None:
    night.reporter.troubled(night.export, at(6, 28), HeldError("held"))
    with capture_logs() as logged:
        night.reporter.send()
        night.reporter.send()
        night.time += timedelta(seconds=61)
        night.reporter.send()

    events = [line["event"] for line in logged]
    assert events == ["reports not sent: tried again later"] * 2


def test_a_clock_that_was_ahead_keeps_no_report_back(night: Night) -> None:
    night.reporter.troubled(night.export, at(6, 28), HeldError("held"))
    night.time += timedelta(days=3653)
    with capture_logs() as logged:
        night.reporter.send()
        night.time -= timedelta(days=3653)
        night.reporter.send()

    events = [line["event"] for line in logged]
    assert events == ["reports not sent: tried again later"] * 2


def test_two_that_send_at_once_do_not_send_a_report_twice(night: Night) -> None:
    night.reporter.troubled(night.export, at(6, 28), HeldError("held"))
    store = night.shop.sinks.ledger.store
    other = Lease(store, "reports", holder="another", seconds=60, now=lambda: night.time)
    assert other.take() is not None

    with capture_logs() as logged:
        night.reporter.send()

    assert logged == []  # it is left to the other
