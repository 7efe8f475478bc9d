"""Report mails over a real mail server with STARTTLS and login; and posts to a real web server."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import inspect
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any

import pytest
import structlog
from pydantic import SecretStr
from structlog.testing import capture_logs

from deploy.parts.ports import free_port
from schemas.errors import DefinitionError, ReportError
from schemas.settings.reports import MailSettings, WebhookSettings
from schemas.settings.settings import load_settings
from sinks.reports import Mail, Reporter, ReportKind, Webhook, channels_of
from sinks.reports.channel import PartlySentError, UnreachableError, run_apart
from sinks.reports.webhook import signature
from tests.shop.mail_server import GREYLISTED, PASSWORD, REFUSED, USER, Mailbox, mail_server
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


def test_who_can_t_take_it_now_is_told_and_who_is_refused_for_good_is_logged(
    mailbox: Mailbox,
) -> None:
    with (
        capture_logs() as logged,
        pytest.raises(PartlySentError, match=r"later@shop\.example \(451\)") as partly,
    ):
        mail(mailbox).send(report(recipients=(GREYLISTED, REFUSED, "a@shop.example")))

    assert partly.value.recipients == (GREYLISTED,)
    assert [(line["recipient"], line["code"]) for line in logged] == [(REFUSED, 550)]
    assert mailbox.envelopes[0].rcpt_tos == ["a@shop.example"]

    with pytest.raises(PartlySentError) as nobody:
        mail(mailbox).send(report(recipients=(GREYLISTED, REFUSED)))
    assert nobody.value.recipients == (GREYLISTED,)


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
        ("webhook: {url_file: u}", "needs a secret"),
        ("webhook: {url: 'https://h/x', url_file: u, secret_file: s}", "says where it is already"),
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
    url, secret = SecretStr(posts.url), SecretStr("key")
    return Webhook(WebhookSettings(url=url, secret=secret, timeout_seconds=10))


def test_a_report_is_posted_as_json_and_signed_over_time_id_and_body(posts: Posts) -> None:
    webhook(posts).send(report())

    ((headers, body),) = posts.requests
    expected = hmac.new(b"key", body, hashlib.sha256).hexdigest()
    assert headers["X-Deltadrop-Signature"] == f"sha256={expected}"
    seconds = int(headers["Deltadrop-Signature"].removeprefix("t=").partition(",")[0])
    assert headers["Deltadrop-Signature"] == signature(seconds, report().id, body, b"key")
    assert abs(time.time() - seconds) < 60
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
        webhook(posts).send(report(ReportKind.HELD))

    assert len(posts.requests) == 1


def test_a_webhook_that_is_down_is_told() -> None:
    with pytest.raises(UnreachableError, match=r"can't be reached: .*Connection refused"):
        webhook(Posts(url="http://127.0.0.1:1/")).send(report())


SECRET = "/services/T0/B0/XX?token=secret"


@pytest.mark.parametrize("answer", [404, None, "an address that can't be"])
def test_a_webhook_s_url_is_told_by_scheme_and_host_only(
    posts: Posts, answer: int | str | None
) -> None:
    """Who knows the path may often post there."""
    posts.answer = answer if isinstance(answer, int) else 204
    server = posts.url.removesuffix("/reports") if answer else "http://127.0.0.1:1"
    url = f"{server}{SECRET}" + ("\x7f" if isinstance(answer, str) else "")
    settings = WebhookSettings(url=SecretStr(url), secret=SecretStr("key"))

    with pytest.raises(ReportError) as told:
        Webhook(settings).send(report())

    assert str(told.value).startswith(f"{server}: the webhook")
    assert "secret" not in str(told.value).removesuffix("its secret")
    assert "token" not in repr(settings)


def test_a_wrong_url_in_the_settings_is_refused_without_what_it_says(tmp_path: Path) -> None:
    file = tmp_path / "deltadrop.yaml"
    file.write_text("webhook: {url: 'htps://h/T0/B0/XX', secret_file: s}\n")

    with pytest.raises(DefinitionError, match=r"webhook\.url") as refused:
        load_settings(file)

    assert "B0" not in str(refused.value)


def test_a_webhook_s_url_may_come_from_a_file_or_the_environment(
    posts: Posts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "deltadrop.yaml"
    file.write_text("webhook: {url_file: url, secret_file: key}\n")
    (tmp_path / "url").write_text(f"{posts.url}\n")
    (tmp_path / "key").write_text("signing\n")
    (in_file,) = channels_of(load_settings(file))
    in_file.send(report())
    file.write_text("webhook: {secret_file: key}\n")
    monkeypatch.setenv("DELTADROP_WEBHOOK__URL", posts.url)
    (in_environment,) = channels_of(load_settings(file))
    in_environment.send(report())

    assert len(posts.requests) == 2


@pytest.mark.parametrize("text", [None, "not an address"])
def test_a_file_without_a_url_is_told(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "url"
    if text is not None:
        file.write_text(text)
    settings = WebhookSettings(url_file=file, secret=SecretStr("key"))

    with pytest.raises(UnreachableError, match=f"url_file {file}: the webhook can't be reached"):
        Webhook(settings).send(report())


# A server that says a byte now and then keeps every time-out of a read from coming.


@contextlib.contextmanager
def serving(handler: type[StreamRequestHandler]) -> Iterator[int]:
    """The port of a server whose connections are a handler's, which ends within the context."""
    with ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture
def dripping() -> Iterator[int]:
    """The port of a server that greets byte by byte, for ever."""
    over = threading.Event()

    class Drip(StreamRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                while not over.wait(0.05):
                    self.wfile.write(b"2")

    with serving(Drip) as port:
        yield port
        over.set()


def test_a_mail_server_that_drips_is_left_after_the_total_time(dripping: int) -> None:
    own = MailSettings(
        host="127.0.0.1", port=dripping, security="none", timeout_seconds=30, total_seconds=0.5
    )

    with pytest.raises(UnreachableError, match=r"a sending took longer than 0\.5 s"):
        Mail(own).send(report())


def test_a_webhook_that_drips_is_left_after_the_total_time(dripping: int) -> None:
    url = SecretStr(f"http://127.0.0.1:{dripping}/x")
    own = WebhookSettings(url=url, secret=SecretStr("key"), timeout_seconds=30, total_seconds=0.5)

    with pytest.raises(UnreachableError, match=r"a sending took longer than 0\.5 s"):
        Webhook(own).send(report())


SCRIPT = {b"EHLO": b"250 here", b"MAIL": b"250 OK", b"RCPT": b"250 OK", b"DATA": b"354 go on"}


@pytest.fixture
def plain_server() -> Iterator[int]:
    """The port of a mail server without STARTTLS, which takes mails and drips when it is left."""
    over = threading.Event()

    class Script(StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 here\r\n")
            while (line := self.rfile.readline()) and not line.startswith(b"QUIT"):
                self.wfile.write(SCRIPT.get(line[:4], b"502 what?") + b"\r\n")
                if line.startswith(b"DATA"):
                    while self.rfile.readline() != b".\r\n":
                        pass
                    self.wfile.write(b"250 taken\r\n")
            with contextlib.suppress(OSError):
                while not over.wait(0.05):
                    self.wfile.write(b"2")

    with serving(Script) as port:
        yield port
        over.set()


def test_a_mail_that_was_taken_is_sent_however_slow_the_goodbye_is(plain_server: int) -> None:
    Mail(MailSettings(host="127.0.0.1", port=plain_server, security="none")).send(report())


def test_nothing_is_sent_where_the_server_offers_no_starttls(plain_server: int) -> None:
    own = MailSettings(host="127.0.0.1", port=plain_server)

    with pytest.raises(UnreachableError, match="nothing is sent in the clear") as refused:
        Mail(own).send(report())

    assert "STARTTLS extension not supported" in str(refused.value)


def test_a_report_is_posted_by_the_proxy_of_the_environment(
    posts: Posts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", posts.url.removesuffix("/reports"))
    url = SecretStr("http://webhook.invalid/reports")

    Webhook(WebhookSettings(url=url, secret=SecretStr("key"))).send(report())

    ((headers, _),) = posts.requests
    assert headers["Host"] == "webhook.invalid"


def test_a_sending_takes_less_than_the_reports_lease_lasts() -> None:
    lasts = inspect.signature(Reporter).parameters["lease_seconds"].default

    assert max(MailSettings().total_seconds, WebhookSettings().total_seconds) < lasts


@pytest.mark.parametrize("channel", ["mail", "webhook"])
def test_what_is_sent_while_an_error_is_handled_names_its_own_cause(channel: str) -> None:
    port = free_port()
    mail = Mail(MailSettings(host="127.0.0.1", port=port, security="none"))
    url = SecretStr(f"http://127.0.0.1:{port}/x")
    hook = Webhook(WebhookSettings(url=url, secret=SecretStr("key")))

    try:
        raise OSError("another thing")
    except OSError:
        with pytest.raises(UnreachableError, match="Connection refused") as refused:
            (mail if channel == "mail" else hook).send(report())

    assert "another thing" not in str(refused.value)


def test_a_sending_knows_the_fields_that_log_lines_are_bound_to() -> None:
    found: list[dict[str, object]] = []

    async def sending() -> None:
        found.append(structlog.contextvars.get_contextvars())

    with structlog.contextvars.bound_contextvars(export="openings"):
        run_apart(sending())

    assert found == [{"export": "openings"}]
