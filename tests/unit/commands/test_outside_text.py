"""What isn't ours is shown on one line, and drives no terminal: servers' answers, names, values."""

from __future__ import annotations

import json
import os
import pty
import socket
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread

import pytest
from kafka.errors import KafkaError

from schemas.errors import DefinitionError, DeltadropError, Fault, TopicError, WrongInputError
from schemas.one_line import joined, one_line, without_controls
from schemas.printing import say, say_csv, say_json, say_text
from schemas.registry.reader import RegistryReader
from schemas.settings.reachable import errors_as
from schemas.settings.registry import RegistrySettings
from schemas.settings.reports import MailSettings, WebhookSettings
from schemas.settings.settings import load_settings
from schemas.tables import load_catalog
from schemas.terminal import ERASE_LINE
from sinks.commands.status_text import status_text
from sinks.drops.verify import Verification, VerifyFinding
from sinks.locations import Folder
from sinks.locations.ftps import FtpsSettings
from sinks.locations.s3 import S3Settings
from sinks.locations.sftp import SftpSettings
from sinks.reports import Mail, PendingReport, ReportKind, Webhook
from sinks.reports.smtp import message_of
from sinks.reports.text import html, plain, subject
from sinks.service.status import DiskStatus, SchedulerStatus, Status
from streams.dead_letters.cli import _listed, _shown
from streams.dead_letters.read import Letter
from streams.dead_letters.show import Shown
from tests.shop.told import OPENINGS, report

ROOT = Path(__file__).parents[3]
FORGED = "profiles_closed,_all_is_well"
HOSTILE = f"no\x1b[2J\x9b31m\x7f\u202e\u2028\r\n{FORGED}"
SAFE = f"no\\x1b[2J\\x9b31m\\x7f\\u202e\\u2028\\r\\n{FORGED}"
WIRED = HOSTILE.encode()
NO_LINE = f"no\x1b[2J\x9b31m\x7f\u202e\u2028{FORGED}".encode()
NOW = datetime(2026, 3, 29, 6, tzinfo=UTC)


HIDDEN = {"Cc", "Cs", "Zl", "Zp"}
"""Categories of characters that aren't to be seen."""
BIDIRECTIONAL = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Unicode's Bidi_Control (UAX #9, 2.)."""


def controls_in(text: str) -> set[str]:
    """The control characters of a text, without line breaks of ours."""
    found = {c for c in text if unicodedata.category(c) in HIDDEN or c in BIDIRECTIONAL}
    return found - {"\n"}


def check_shown_safely(text: str) -> None:
    assert controls_in(text) == set()
    assert not any(line.strip().startswith(FORGED) for line in text.splitlines())
    assert FORGED in text, "it is shown all the same"


def test_every_control_character_is_escaped_and_nothing_else_is() -> None:
    everything = [chr(code) for code in range(sys.maxunicode + 1)]
    escaped = {c for c in everything if one_line(c) != c}

    hidden = {c for c in everything if unicodedata.category(c) in HIDDEN}
    assert escaped == hidden | BIDIRECTIONAL
    assert all(one_line(c).isascii() and one_line(c).isprintable() for c in escaped)
    assert one_line("Zoë 東京 👩‍🚀 1\u00a0000 €") == "Zoë 東京 👩‍🚀 1\u00a0000 €"


def test_what_is_escaped_stays_so() -> None:
    assert one_line(one_line(HOSTILE)) == one_line(HOSTILE) == SAFE


def test_lines_of_ours_stay_lines() -> None:
    assert joined(["a", HOSTILE]) == f"a\n{SAFE}"
    assert without_controls("a\n\x1bb") == "a\n\\x1bb"


@contextmanager
def server(greeting: bytes = b"", answer: bytes = b"", missing: bytes = b"") -> Iterator[int]:
    """A server that says the same to everything; its port. missing: what it says to HEAD."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                connection.settimeout(5)
                connection.sendall(greeting)
                while answer and (asked := connection.recv(65_536)):
                    connection.sendall(missing if asked.startswith(b"HEAD") else answer)

    thread = Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def http(status: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


def of_mail(tmp_path: Path) -> None:
    with server(b"220 here\r\n", b"250-no\x1b[2J\r\n250 %s\r\n" % NO_LINE) as port:
        settings = MailSettings(host="127.0.0.1", port=port, security="none", timeout_seconds=2)
        Mail(settings).send(report(ReportKind.FAILED))


def of_webhook(tmp_path: Path) -> None:
    with server(answer=b"HTTP/1.1 500 no\x9b2J%s\r\n\r\n" % FORGED.encode()) as port:
        settings = WebhookSettings(url=f"http://127.0.0.1:{port}/", secret="s")  # type: ignore[arg-type]
        Webhook(settings).send(report(ReportKind.FAILED))


def of_sftp(tmp_path: Path) -> None:
    with server(b"SSH-%s-x\r\n" % NO_LINE) as port:
        settings = SftpSettings.model_validate(
            {
                "kind": "sftp",
                "host": "127.0.0.1",
                "port": port,
                "username": "us",
                "fingerprint": "SHA256:" + "A" * 43,
                "password_env": "PATH",
                "timeout_seconds": 2,
            }
        )
        list(settings.location("partner", tmp_path).check())


def of_ftps(tmp_path: Path) -> None:
    with server(b"220 here\r\n", b"534 %s\r\n" % NO_LINE) as port:
        settings = FtpsSettings.model_validate(
            {
                "kind": "ftps",
                "host": "127.0.0.1",
                "port": port,
                "username": "us",
                "password_env": "PATH",
                "timeout_seconds": 2,
            }
        )
        list(settings.location("partner", tmp_path).check())


def of_s3(tmp_path: Path) -> None:
    message = f"no\u009b2J\u202e\n{FORGED}"
    body = f"<Error><Code>Bad</Code><Message>{message}</Message></Error>".encode()
    with server(answer=http("400 no", body), missing=http("404 no", b"")) as port:
        settings = S3Settings.model_validate(
            {
                "kind": "s3",
                "bucket": "drops",
                "endpoint": f"http://127.0.0.1:{port}",
                "access_key_env": "PATH",
                "secret_key_env": "PATH",
                "timeout_seconds": 2,
            }
        )
        (tmp_path / "drop.csv").write_text("a\n")
        settings.location("lake", tmp_path).deliver(tmp_path / "drop.csv", Folder("e", "x"), "f")


def of_registry(tmp_path: Path) -> None:
    body = json.dumps({"error_code": 40001, "message": HOSTILE}).encode()
    with server(answer=http("400 no", body)) as port:
        RegistryReader(RegistrySettings(url=f"http://127.0.0.1:{port}")).by_id(7)


def of_kafka(tmp_path: Path) -> None:
    with errors_as(TopicError, "topics can't be created", where="Kafka here:9092"):
        raise KafkaError(HOSTILE)


def of_yaml(tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    name = json.dumps(HOSTILE)
    text = f"database: shop\nattributes:\n- {{name: {name}, type: {name}}}\n"
    (tmp_path / "tables" / "shop.yaml").write_text(text)
    load_catalog(tmp_path / "tables")


def of_a_files_name(tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / f"{HOSTILE}.yaml").write_text("database: shop\nx: 1\n")
    load_catalog(tmp_path / "tables")


OUTSIDE = {
    "mail": of_mail,
    "webhook": of_webhook,
    "SFTP": of_sftp,
    "FTPS": of_ftps,
    "S3": of_s3,
    "registry": of_registry,
    "Kafka": of_kafka,
    "YAML": of_yaml,
    "a file's name": of_a_files_name,
}


@pytest.mark.parametrize("kind", OUTSIDE)
def test_what_a_server_answers_or_a_file_says_is_one_line_of_the_error(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DeltadropError) as failed:
        OUTSIDE[kind](tmp_path)
    say_text(failed.value, err=True)

    check_shown_safely(capsys.readouterr().err)
    assert controls_in(failed.value.reason()) == set()


def test_the_environment_is_quoted_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"DELTADROP_CLOSE__{HOSTILE}", "1")
    with pytest.raises(DefinitionError) as refused:
        load_settings()

    check_shown_safely(str(refused.value))


def test_each_fault_of_a_refusal_is_one_line() -> None:
    refused = WrongInputError([Fault(HOSTILE, HOSTILE, HOSTILE), Fault("", "wrong")])

    assert str(refused) == f"{SAFE}: {SAFE}; {SAFE}\nwrong"


def test_status_shows_a_servers_answer_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    unsent = (PendingReport("mail", 1, "2026-03-29T06:00:00+00:00", HOSTILE),)
    status = Status((), (), SchedulerStatus(None, 0, None, None), DiskStatus("/", 9, 1), unsent, "")
    say_text(status_text(status, NOW))

    check_shown_safely(capsys.readouterr().out)


def test_values_and_reasons_of_dead_letters_are_on_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    letter = Letter("shop.profile", 0, 7, 1_774_576_800_000, HOSTILE, 9)
    shown = Shown(letter.origin, HOSTILE, None, 9, "ab", {"city": HOSTILE})
    say(*_listed([letter]), *_shown(letter, shown))

    check_shown_safely(capsys.readouterr().out)


def test_a_drops_name_and_findings_are_lines_of_their_own() -> None:
    found = (VerifyFinding("header", HOSTILE),)
    wrong = Verification(f"{HOSTILE}.csv", "", 1, 9, "ab", found)
    right = Verification(f"{HOSTILE}.csv", "", 1, 9, "ab", ())

    check_shown_safely(str(wrong))
    check_shown_safely(str(right))


def test_a_value_is_a_part_of_its_record_on_a_terminal_and_as_it_is_in_a_file(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f'id\tname\n7\t"{HOSTILE} ""x"""\n8\t\x1bx\n'
    say_csv(text)
    assert capsys.readouterr().out == text

    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    say_csv(text)
    assert capsys.readouterr().out == f'id\tname\n7\t"{SAFE} ""x"""\n8\t\\x1bx\n'


def test_json_is_ascii_with_the_escapes_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    say_json({"what": f"{HOSTILE}\udcff"})

    printed = capsys.readouterr().out
    assert printed.isascii()
    assert json.loads(printed) == {"what": f"{HOSTILE}\udcff"}
    assert controls_in(printed) == set()


def test_a_line_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    say("a", Path(HOSTILE))

    assert capsys.readouterr().out == f"a\n{SAFE}\n"


def test_a_report_has_no_header_and_no_line_of_others() -> None:
    hostile = report(
        ReportKind.FAILED,
        problem="one fault\nanother",
        hint=HOSTILE,
        export=OPENINGS.model_copy(update={"name": HOSTILE}),
    )
    message = message_of(hostile, "us@shop.example")

    assert message["Subject"] == subject(hostile)
    check_shown_safely(subject(hostile))
    check_shown_safely(plain(hostile))
    check_shown_safely(html(hostile))
    assert "one fault\n" in plain(hostile)
    assert "one fault<br>another" in html(hostile)


def test_log_lines_on_a_terminal_are_one_line_each() -> None:
    code = (
        "import logging; from schemas.logs import configure_logs; configure_logs()\n"
        "import structlog\n"
        f"hostile = {HOSTILE!r}\n"
        "structlog.get_logger('x').warning('refused', said=hostile, all={'a': hostile})\n"
        "logging.getLogger('streams.library').warning(hostile)\n"
        "try: raise ValueError(hostile)\n"
        "except ValueError: structlog.get_logger('x').exception('failed')\n"
    )
    shown = on_a_terminal("-c", code)
    ours = shown.replace(ERASE_LINE, "").replace("\r\n", "\n")

    assert controls_in(ours) == set()
    assert not any(line.startswith(FORGED) for line in ours.splitlines())
    assert " ".join(ours.split()).count(FORGED) == 3


def test_an_argument_is_shown_without_its_control_characters() -> None:
    shown = on_a_terminal("deltadrop.py", "verify", "--a\x1b[2J", f"b\x9b{FORGED}")

    assert "\x1b[2J" not in shown
    assert "\x9b" not in shown


def on_a_terminal(*arguments: str) -> str:
    """What a program writes to a terminal."""
    ours, theirs = pty.openpty()
    done = subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, stdout=theirs, stderr=theirs, stdin=theirs
    )
    os.close(theirs)
    written = b""
    with suppress(OSError):  # EIO at the end, on Linux
        while piece := os.read(ours, 65_536):
            written += piece
    os.close(ours)
    done.wait()
    return written.decode()
