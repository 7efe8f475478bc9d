"""What is wrong gives one message and its exit code, whoever reads it: never a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

import deltadrop
from schemas.errors import DefinitionError, LedgerError
from schemas.events import Kind
from schemas.settings.settings import load_settings
from sinks.commands import schedule
from sinks.commands import status as status_command
from sinks.commands.status_text import status_text
from sinks.service.recipients import recipients_without_mail
from sinks.service.status import status_of
from sinks.setup import Sinks
from streams.setup import Streams
from tests.shop.commands import exit_code_of
from tests.shop.json_page import check_documented
from tests.shop.offline import OfflineShop, at, with_exports

ROOT = Path(__file__).parents[3]
CLOSED = "20260327T060000.000Z"


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> OfflineShop:
    """Two exports, each closed once."""
    folder = tmp_path_factory.mktemp("closed")
    shop = OfflineShop(folder, definitions=with_exports("profiles", "texts"))
    shop.tell(Kind.PROFILE, "CREATED", at(2), profileId=1)
    shop.store_all()
    shop.close_all(at(6))
    return shop


@pytest.fixture
def shop(closed: OfflineShop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OfflineShop:
    """A copy of its own."""
    shop = closed.copied(tmp_path / "shop")
    monkeypatch.setattr(Sinks, "of", shop.sinks_of)
    return shop


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run the command line; its exit code, and what went to stdout and stderr, logs apart."""
    monkeypatch.setattr(deltadrop, "configure_logs", lambda: None)

    def command_line(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["deltadrop", *map(str, arguments)])
        with capture_logs(), pytest.raises(SystemExit) as left:
            deltadrop.main()
        told = capsys.readouterr()
        if "--json" in arguments and told.out:
            check_documented(str(arguments[0]), told.out)
        return int(left.value.code or 0), told.out, told.err

    return command_line


Run = Callable[..., tuple[int, str, str]]


# The folder of all data


@pytest.mark.parametrize(
    ("root", "why"),
    [
        ("a-file", "File exists"),
        ("a-file/below", "Not a directory"),
        ("/proc/deltadrop", "No such file or directory"),
    ],
)
def test_a_root_that_can_t_be_a_folder_is_refused_before_anything_runs(
    tmp_path: Path, run: Run, root: str, why: str
) -> None:
    OfflineShop(tmp_path)
    (tmp_path / "a-file").touch()
    config = tmp_path / "deltadrop.yaml"
    config.write_text(f"kafka: {{replication_factor: 1}}\nroot: {root}\n")
    told = (
        f"{config}:2: field 'root': the folder {tmp_path / root} can't be made: {why}; "
        "name a folder on a disk of this machine that deltadrop may write to\n"
    )

    commands = (["history"], ["sweep"], ["erase"], ["worker"], ["schedule"], ["close"])
    for command in (*commands, ["status"], ["preview", "sent"], ["trace", "--profile", 1]):
        assert run(*command, "--config", config) == (2, "", told), command


def test_a_root_of_the_environment_is_told_by_its_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = OfflineShop(tmp_path)
    monkeypatch.setenv("DELTADROP_ROOT", "/proc/deltadrop")

    with pytest.raises(DefinitionError) as refused:
        Streams.of(load_settings(shop.folder / "deltadrop.yaml"))

    assert str(refused.value).startswith("environment variable DELTADROP_ROOT: field 'root': ")


# The ledger


def entry(shop: OfflineShop, name: str, export: str = "profiles") -> Path:
    return shop.root / "ledger" / "exports" / export / CLOSED / name


@pytest.mark.parametrize("content", ["{", "", "[]", "{}", "\xff", '{"reasons": 1}'])
@pytest.mark.parametrize(
    "name", ["intent.json", "outcome.json", "held.json", "release.json", "r1.intent.json"]
)
def test_an_entry_of_the_ledger_that_can_t_be_read_is_told_by_its_path(
    shop: OfflineShop, name: str, content: str
) -> None:
    entry(shop, name).write_bytes(content.encode("latin-1"))
    ledger = shop.sinks.ledger
    reading: dict[str, Callable[[], object]] = {
        "intent.json": lambda: ledger.intent("profiles", at(6)),
        "outcome.json": lambda: ledger.outcome("profiles", at(6)),
        "held.json": lambda: ledger.record_of("profiles", at(6)),
        "release.json": lambda: ledger.record_of("profiles", at(6)),
        "r1.intent.json": lambda: ledger.revision("profiles", at(6), 1),
    }

    with pytest.raises(LedgerError) as told:
        reading[name]()

    assert str(told.value) == (
        f"{entry(shop, name)}: this entry of the ledger isn't as it was written, and can't be "
        "read; restore it from a backup"
    )


def test_a_broken_entry_of_one_export_doesn_t_hide_the_others_from_status(
    shop: OfflineShop,
) -> None:
    entry(shop, "outcome.json").write_text("{")

    status = status_of(shop.sinks.installation, at(7))

    broken, whole = status.exports
    assert (broken.export, broken.last, broken.due) == ("profiles", at(6).isoformat(), ())
    assert broken.trouble == (
        f"{entry(shop, 'outcome.json')}: this entry of the ledger isn't as it was written, and "
        "can't be read"
    )
    assert (whole.export, whole.trouble) == ("texts", "")
    assert status_text(status, at(7)).splitlines()[:6] == [
        "2026-03-27 07:00 UTC: 2 exports, nothing is due, 1 in trouble",
        "",
        f"profiles  closed {at(6).isoformat()}, next {at(6, 28).isoformat()}",
        f"          {broken.trouble}",
        "          → restore it from a backup",
        f"texts     closed {at(6).isoformat()}, next {at(6, 28).isoformat()}",
    ]


def test_a_broken_entry_of_one_close_doesn_t_hide_the_others_from_history(
    shop: OfflineShop, capsys: pytest.CaptureFixture[str]
) -> None:
    entry(shop, "outcome.json").write_text("{")

    code = exit_code_of(lambda: status_command.history(config=shop.folder / "deltadrop.yaml"))

    told = capsys.readouterr()
    assert code == 1
    assert told.err.startswith(f"{entry(shop, 'outcome.json')}: this entry of the ledger isn't")
    assert told.out.startswith(f"texts  {CLOSED}  texts_20260327_0600.csv  0 rows")


def test_a_broken_entry_of_one_export_doesn_t_keep_the_others_from_closing(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = OfflineShop(tmp_path, definitions=with_exports("profiles", "texts"))
    monkeypatch.setattr(Sinks, "of", shop.sinks_of)
    outcome = entry(shop, "outcome.json")
    outcome.parent.mkdir(parents=True)
    outcome.write_text("{")

    code, out, err = run("close", "--config", shop.folder / "deltadrop.yaml")

    assert code == 1
    assert [line.split()[0] for line in out.splitlines()] == ["texts"]
    assert [line.partition(" at ")[0] for line in err.splitlines()] == ["profiles"]
    assert f"{outcome}: this entry of the ledger isn't as it was written" in err


def test_files_that_aren_t_the_ledger_s_own_are_passed_over(shop: OfflineShop) -> None:
    folder = shop.root / "ledger" / "exports"
    ledger = shop.sinks.ledger
    for stray in ("notes.txt", "profiles/notes.txt", "profiles/old/outcome.json", "x/y/z/a.json"):
        (folder / stray).parent.mkdir(parents=True, exist_ok=True)
        (folder / stray).write_text("mine")

    assert ledger.exports() == ["profiles", "texts"]
    assert list(ledger.closes("profiles")) == [at(6)]
    assert list(ledger.begun()) == []
    assert list(ledger.waiting_files()) == []
    assert not shop.sinks.sweeper.finish_revisions().left
    assert shop.close("profiles", at(6, 28)).rows == 0


# What scripts read


def test_a_failure_is_told_to_scripts_too(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"

    code, out, err = run("verify", path, "--json")

    hint = "a drop is verified with the manifest beside it, <file>.manifest.json"
    fault = {
        "where": f"{path}.manifest.json",
        "what": "can't be read: No such file or directory",
        "hint": hint,
    }
    assert (code, json.loads(out)) == (2, {"error": {**fault, "faults": [fault]}})
    assert err == f"{path}.manifest.json: can't be read: No such file or directory; {hint}\n"
    assert run("verify", path) == (2, "", err)


def test_a_close_that_fails_is_told_to_scripts_by_its_export(shop: OfflineShop, run: Run) -> None:
    config = shop.folder / "deltadrop.yaml"

    code, out, err = run(
        "close", "profiles", "--at", at(5).isoformat(), "--json", "--config", config
    )

    assert code == 2
    assert json.loads(out) == {
        "export": "profiles",
        "instant": at(5).isoformat(),
        "error": {
            "where": "export 'profiles'",
            "what": "20260327T050000.000Z is before this export's last cut, 20260327T060000.000Z",
            "hint": "windows are closed in order; choose an instant after its last cut",
        },
    }
    assert "is before this export's last cut" in err


def test_of_a_skipped_file_there_are_neither_bytes_nor_checksum(
    shop: OfflineShop, run: Run
) -> None:
    with (shop.folder / "exports/texts.yaml").open("a") as export:
        export.write("when_empty: skip\n")
    config = shop.folder / "deltadrop.yaml"
    later = ("texts", "--at", at(6, 28).isoformat())

    _, out, _ = run("close", *later, "--json", "--config", config)
    _, history, _ = run("history", "texts", "--json", "--config", config)
    (manifest,) = shop.transferbox.glob("texts/texts_20260328*.manifest.json")
    _, verified, _ = run("verify", manifest)

    for told in (json.loads(out), json.loads(history.splitlines()[-1])["outcome"]):
        assert (told["file"], told["rows"]) == (None, 0)
        assert (told["size"], told["sha256"]) == (None, None)
    assert verified.endswith("texts_20260328_0600.csv: skipped: no file, as its manifest says\n")


# The machine's own refusals


def deltadrop_in_a_shell(*arguments: str, redirect: str, folder: Path) -> tuple[int, str]:
    command = " ".join([f'"{sys.executable}" -m deltadrop', *arguments, redirect])
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("given", ["", "."])
def test_a_folder_can_t_be_published(run: Run, shop: OfflineShop, given: str) -> None:
    assert run("publish", given, "--config", shop.folder / "deltadrop.yaml") == (
        2,
        "",
        ".: is a folder, not a file; name a file of events, or - for standard input\n",
    )


def test_output_that_can_t_be_written_is_one_message(tmp_path: Path) -> None:
    OfflineShop(tmp_path)

    told = deltadrop_in_a_shell("validate", redirect="> /dev/full", folder=tmp_path)

    assert told == (
        1,
        "No space left on device; "
        "free some space, or point `root` to a larger disk; then run again\n",
    )


def test_a_closed_standard_input_is_one_message(tmp_path: Path) -> None:
    OfflineShop(tmp_path)

    told = deltadrop_in_a_shell("publish", "-", redirect="<&-", folder=tmp_path)

    assert told == (
        2,
        "-: standard input is closed; give it lines (`… | deltadrop publish -`), or name a file\n",
    )


def test_a_file_that_the_machine_refuses_is_named(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "/srv/deltadrop/x")

    monkeypatch.setattr("sinks.commands.verify.verify_drop", refused)

    assert run("verify", "x") == (1, "", "/srv/deltadrop/x: Permission denied\n")


def test_an_interruption_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sinks.commands.verify.verify_drop", interrupted)

    assert run("verify", "x") == (130, "", "interrupted; running it again is safe\n")


# Recipients


def test_a_scheduler_says_in_its_log_that_recipients_get_no_mail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    definitions = with_exports("profiles")
    definitions["exports/profiles.yaml"] += "recipients: [a@shop.example]\n"
    shop = OfflineShop(tmp_path, definitions=definitions)
    monkeypatch.setattr(schedule.signal, "signal", lambda *_: None)
    monkeypatch.setattr(schedule.Scheduler, "run", lambda _: None)

    with capture_logs() as logged:
        schedule.serve(shop.settings, shop.sinks_of, lambda: at(5))

    (told,) = [one for one in logged if one["event"] == "reports not sent"]
    assert told["why"] == (
        f"{tmp_path}/deltadrop.yaml: field 'mail.host': is missing, so the recipients of "
        "'profiles' get no mail; set it, or remove their recipients"
    )


def test_recipients_without_a_mail_server_are_told_once_for_all_exports(tmp_path: Path) -> None:
    definitions = with_exports("profiles", "texts")
    for name in ("profiles", "texts"):
        definitions[f"exports/{name}.yaml"] += "recipients: [a@shop.example]\n"
    shop = OfflineShop(tmp_path, definitions=definitions)

    assert str(recipients_without_mail(shop.settings, shop.sinks.exports)) == (
        f"{tmp_path}/deltadrop.yaml: field 'mail.host': is missing, so the recipients of "
        "'profiles', 'texts' get no mail; set it, or remove their recipients"
    )
    assert recipients_without_mail(shop.settings, shop.again().sinks.exports[:0]) is None
