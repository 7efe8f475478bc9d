"""Report mails over a real mail server with STARTTLS and login; and posts to a real web server."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import DefinitionError, ReportError
from schemas.report_settings import MailSettings, WebhookSettings
from schemas.settings import load_settings
from sinks.reports import Kind, Mail, Webhook
from sinks.reports.channel import UnreachableError
from tests.shop.mail_server import PASSWORD, REFUSED, USER, Mailbox, mail_server
from tests.shop.told import report


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mailbox]:
    with mail_server(tmp_path_factory.mktemp("mail")) as mailbox:
        yield mailbox


@pytest.fixture
def mailbox(running: Mailbox) -> Mailbox:
    running.envelopes.clear()
    return running


def mail(mailbox: Mailbox, **settings: Any) -> Mail:
    usual = {
        "host": "localhost",
        "port": mailbox.port,
        "sender": "deltadrop@shop.example",
        "username": USER,
        "password": PASSWORD,
        "ca_file": mailbox.ca_file,
        "timeout_seconds": 10,
    }
    return Mail(MailSettings(**{**usual, **settings}))


def test_a_report_arrives_as_plain_text_and_html_by_starttls_and_login(mailbox: Mailbox) -> None:
    mail(mailbox).send(report(recipients=("a@shop.example", "b@shop.example")))

    (message,) = mailbox.messages
    assert mailbox.envelopes[0].rcpt_tos == ["a@shop.example", "b@shop.example"]
    assert message["From"] == "deltadrop@shop.example"
    assert message["Subject"].startswith("deltadrop: openings delivered, 1,234 rows")
    assert message["Auto-Submitted"] == "auto-generated"
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None
    assert html is not None
    for part in (text.get_content(), html.get_content()):
        assert "openings_20260329.csv" in part
        assert "ab" * 32 in part
        assert "a day of 23 hours" in part


def test_a_mail_that_is_sent_twice_is_known_as_one(mailbox: Mailbox) -> None:
    for _ in range(2):
        mail(mailbox).send(report())

    first, second = mailbox.messages
    assert first["Message-ID"] == second["Message-ID"]
    assert first["Message-ID"] == "<openings.20260329T040000.000Z.delivered@shop.example>"


def test_a_password_may_be_in_a_file(mailbox: Mailbox, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{PASSWORD}\n")

    mail(mailbox, password=None, password_file=tmp_path / "secret").send(report())

    assert len(mailbox.messages) == 1


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"password": "wrong"}, "check `mail.username`"),
        ({"ca_file": None}, "its certificate isn't trusted"),
        ({"host": "127.0.0.1"}, "its certificate isn't trusted"),  # it is localhost's
        ({"security": "tls"}, "check `mail.host` and `mail.port`"),
        ({"password_file": Path("/nowhere")}, "check `mail.password_file`"),
        ({"ca_file": Path("/nowhere")}, "/nowhere: can't be read: No such file"),
    ],
    ids=[
        "login",
        "unknown authority",
        "another host's certificate",
        "no TLS there",
        "no file",
        "no authority",
    ],
)
def test_what_the_server_or_its_certificate_refuses_is_told_and_nothing_is_sent(
    mailbox: Mailbox, settings: dict[str, Any], what: str
) -> None:
    with pytest.raises(UnreachableError) as refused:
        mail(mailbox, **settings).send(report())

    assert what in str(refused.value)
    assert PASSWORD not in str(refused.value)
    assert mailbox.envelopes == []


def test_a_server_that_is_down_is_told(mailbox: Mailbox) -> None:
    with pytest.raises(UnreachableError, match=r"the mail server can't be used: .*refused"):
        mail(mailbox, port=1).send(report())


def test_who_is_refused_does_not_keep_the_others_from_it(mailbox: Mailbox) -> None:
    mail(mailbox).send(report(recipients=(REFUSED, "a@shop.example")))
    assert mailbox.envelopes[0].rcpt_tos == ["a@shop.example"]

    with pytest.raises(ReportError, match=r"nobody@shop\.example: 550") as refused:
        mail(mailbox).send(report(recipients=(REFUSED,)))
    assert not isinstance(refused.value, UnreachableError)  # other reports may go


def test_a_secret_in_the_settings_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "deltadrop.yaml"
    file.write_text("mail: {host: h, username: u, password: s3cret}\nwebhook: {secret: x}\n")

    with pytest.raises(DefinitionError) as refused:
        load_settings(file)

    assert str(refused.value).replace(str(file), "file").splitlines() == [
        "file:1: field 'mail.password': a secret doesn't belong in this file; "
        "put it in the variable DELTADROP_MAIL__PASSWORD, or in a file that password_file names",
        "file:2: field 'webhook.secret': a secret doesn't belong in this file; "
        "put it in the variable DELTADROP_WEBHOOK__SECRET, or in a file that secret_file names",
    ]


def test_secrets_come_from_the_environment_and_paths_are_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "deltadrop.yaml"
    file.write_text(
        "mail: {host: h, username: u, ca_file: ca.pem}\n"
        "webhook: {url: 'https://h/x', secret_file: key}\n"
    )
    (tmp_path / "key").write_text("signing\n")
    monkeypatch.setenv("DELTADROP_MAIL__PASSWORD", "from outside")

    settings = load_settings(file)

    assert settings.mail.secret() == "from outside"
    assert settings.mail.ca_file == tmp_path / "ca.pem"
    assert settings.webhook.key() == b"signing"
    assert "outside" not in repr(settings)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("mail: {host: h, username: u, security: none}", "a login needs"),
        ("webhook: {url: 'https://h/x'}", "needs a secret"),
        ("webhook: {url: 'file:///etc/passwd', secret_file: s}", "webhook.url"),
    ],
)
def test_settings_that_would_be_unsafe_are_refused(tmp_path: Path, text: str, what: str) -> None:
    file = tmp_path / "deltadrop.yaml"
    file.write_text(text)

    with pytest.raises(DefinitionError, match=what):
        load_settings(file)


@dataclass
class Posts:
    """What was posted, and how it is answered."""

    url: str = ""
    answer: int = 204
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)


@pytest.fixture
def posts() -> Iterator[Posts]:
    own = Posts()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            own.requests.append((dict(self.headers), body))
            self.send_response(own.answer)
            if own.answer == 302:
                self.send_header("Location", own.url)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        own.url = f"http://127.0.0.1:{server.server_port}/reports"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield own
        server.shutdown()
        thread.join()


def webhook(posts: Posts) -> Webhook:
    return Webhook(WebhookSettings(url=posts.url, secret="key", timeout_seconds=10))


def test_a_report_is_posted_as_json_and_signed_over_its_body(posts: Posts) -> None:
    webhook(posts).send(report())

    ((headers, body),) = posts.requests
    expected = hmac.new(b"key", body, hashlib.sha256).hexdigest()
    assert headers["X-Deltadrop-Signature"] == f"sha256={expected}"
    assert headers["X-Deltadrop-Report"] == report().id
    told = json.loads(body)
    assert told["file"] == "openings_20260329.csv"
    assert told["window"]["remark"] == "a day of 23 hours: the clocks were changed"
    assert told["balance"]["exported"] == 1234
    assert "recipients" not in told


@pytest.mark.parametrize("answer", [302, 404, 500])
def test_a_post_that_is_not_accepted_is_told_and_not_followed(posts: Posts, answer: int) -> None:
    posts.answer = answer

    with pytest.raises(ReportError, match=f"answers {answer}"):
        webhook(posts).send(report(Kind.HELD))

    assert len(posts.requests) == 1


def test_a_webhook_that_is_down_is_told() -> None:
    with pytest.raises(UnreachableError, match="can't be reached"):
        webhook(Posts(url="http://127.0.0.1:1/")).send(report())
