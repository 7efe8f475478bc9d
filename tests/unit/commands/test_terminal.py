"""What a person sees on a terminal, and what a script finds where there is none."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import structlog
import typer
from typer.core import TyperGroup

from deltadrop import COMMANDS, app
from schemas.events import Kind
from schemas.terminal import ProgressLine
from sinks.commands import closes
from sinks.setup import Sinks
from tests.shop.offline import OfflineShop, at, with_exports
from tests.shop.terminal import Terminal

ROOT = Path(__file__).parents[3]
LOGGING = """
import logging, structlog, warnings
from pathlib import Path
import schemas.logs
schemas.logs.configure_logs({file}, steps={steps})
log = structlog.get_logger("sinks.closing")
log.info("closed", drop="d1")
log.warning("held", drop="d1", reasons=["rows 1,000 are more than the most that were expected"] * 3)
logging.getLogger("kafka.net.selector").error("Task took long. Other pollers will time out.")
warnings.warn("a library is old")
try:
    raise ValueError("no such thing")
except ValueError:
    log.exception("close failed", drop="d1")
    log.exception("told otherwise", **{{schemas.logs.MESSAGE_FOLLOWS: True}})
print(schemas.logs.log_name())
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OfflineShop:
    (tmp_path / "deltadrop.yaml").write_text(
        "root: data\nclose: {wait_seconds: 0.1, delay_seconds: 3}\n"
    )
    shop = OfflineShop(tmp_path, definitions=with_exports("profiles"))
    shop.tell(Kind.PROFILE, "CREATED", at(7), profileId=1)
    shop.store_all()
    monkeypatch.setattr(Sinks, "of", shop.sinks_of)
    return shop


def logged(
    terminal: Terminal, file: Path | None = None, *, steps: bool = False, temporary: Path
) -> str:
    """Run a process that logs to a terminal; what it calls its log."""
    place = None if file is None else f"Path({str(file)!r})"
    done = subprocess.run(
        [sys.executable, "-c", LOGGING.format(file=place, steps=steps)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=terminal.write,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_a_close_says_how_long_it_pauses_on_one_line_and_leaves_its_result(
    shop: OfflineShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Terminal() as terminal:
        monkeypatch.setattr(sys, "stdout", terminal.stream)
        monkeypatch.setattr(sys, "stderr", terminal.stream)
        with structlog.testing.capture_logs():
            closes.close(["profiles"], at="now", config=shop.folder / "deltadrop.yaml")

        assert "waiting 1 s (close.delay_seconds) until all before" in terminal.written
        assert terminal.written.count("waiting ") > 1, "the seconds are counted down"
        [result] = terminal.seen
        assert result.startswith("profiles  ")
        assert "  0 rows  " in result


def test_a_pause_is_logged_where_there_is_no_terminal(
    shop: OfflineShop, capsys: pytest.CaptureFixture[str]
) -> None:
    now = dt.datetime.now(dt.UTC).isoformat()
    with structlog.testing.capture_logs() as lines:
        closes.close(["profiles"], at=now, config=shop.folder / "deltadrop.yaml")

    [pause] = [line for line in lines if line["event"] == "waiting"]
    assert 1 <= pause["seconds"] <= 3
    assert pause["why"].startswith("close.delay_seconds")
    assert "\x1b" not in "".join(capsys.readouterr())


def test_a_failure_is_one_message_that_no_word_is_broken_in(
    shop: OfflineShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Terminal(40) as terminal:
        monkeypatch.setattr(sys, "stderr", terminal.stream)
        printer = closes._Printer(as_json=False, progress=ProgressLine(sys.stderr))
        printer.begins(closes.Due(at(6), "profiles"))
        printer.failed(closes.Due(at(6), "profiles"), closes.CloseError("a", hint="word " * 20))

        assert max(map(len, terminal.seen)) <= 40
        assert " ".join(line.strip() for line in terminal.seen) == (
            f"profiles at {at(6).isoformat()}: a; {'word ' * 20}".strip()
        )


def test_a_terminal_shows_what_is_wrong_between_words_and_names_the_file_with_the_traceback(
    tmp_path: Path,
) -> None:
    with Terminal(60) as terminal:
        name = logged(terminal, temporary=tmp_path)
        [file] = tmp_path.glob("deltadrop-*.log")

        held = " ".join(line.strip() for line in terminal.seen)
        assert held.startswith('warning: held: drop d1, reasons ["rows 1,000 are more than')
        assert held.endswith(f"error: close failed: drop d1, traceback in {file}")
        assert max(len(line) for line in terminal.seen if str(file) not in line) <= 60
    assert name == str(file)
    entries = [json.loads(line) for line in file.read_text().splitlines()]
    assert [entry["event"] for entry in entries] == ["close failed", "told otherwise"]
    assert "ValueError: no such thing" in entries[1]["exception"]
    assert "_message_follows" not in entries[1]


def test_a_terminal_shows_the_steps_of_what_shows_nothing_else(tmp_path: Path) -> None:
    with Terminal() as terminal:
        logged(terminal, steps=True, temporary=tmp_path)

        assert terminal.seen[0].endswith("Z info: closed: drop d1")
        assert "pollers" not in terminal.written


def test_with_a_file_the_whole_log_is_in_it_and_nothing_on_the_terminal(tmp_path: Path) -> None:
    file = tmp_path / "a.log"
    file.write_text('{"event": "earlier"}\n')
    with Terminal() as terminal:
        name = logged(terminal, file, temporary=tmp_path)

        assert terminal.written == ""
    assert name == str(file)
    entries = [json.loads(line) for line in file.read_text().splitlines()]
    assert [entry["event"] for entry in entries[:4]] == [
        "earlier",
        "closed",
        "held",
        "Task took long. Other pollers will time out.",
    ]
    assert "ValueError: no such thing" in entries[-1]["exception"]


def test_every_command_takes_a_file_for_its_log() -> None:
    program = typer.main.get_command(app)
    assert isinstance(program, TyperGroup)
    for name in COMMANDS:
        command = program.get_command(typer.Context(program), name)
        leaves = command.commands.values() if isinstance(command, TyperGroup) else [command]
        for leaf in leaves:
            assert ["--log"] in [option.opts for option in leaf.params], name


def test_an_unforeseen_failure_is_one_message_and_its_traceback_is_in_the_log(
    tmp_path: Path,
) -> None:
    code = (
        "import sys, producers.topics, producers.cli, deltadrop\n"
        "def fail(*_): raise KeyError('gone')\n"
        "producers.cli.load_settings = fail\n"
        "sys.argv = ['deltadrop', 'topics', 'check', '--log', 'a.log']\n"
        "deltadrop.program()\n"
    )
    with Terminal() as terminal:
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stderr=terminal.write,
            check=False,
        )
        assert terminal.seen == [
            "failed unforeseen: KeyError: 'gone'; a.log has the details; please report it"
        ]
    assert done.returncode == 1
    [entry] = map(json.loads, (tmp_path / "a.log").read_text().splitlines())
    assert "in fail" in entry["exception"]
    assert (tmp_path / "a.log").stat().st_mode & 0o007 == 0
