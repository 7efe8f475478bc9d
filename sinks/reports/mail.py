"""Report mails over SMTP (RFC 5321): plain and HTML, with STARTTLS (RFC 3207) and login.

Certificates are verified; where a server offers no STARTTLS although it is asked for, nothing is
sent. Nothing else knows SMTP.
"""

from __future__ import annotations

import datetime as dt
import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email import policy
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any, Final

import structlog

from schemas.errors import ReportError
from schemas.settings.reports import MailSettings
from sinks.reports.channel import PartlySentError, RefusedError, UnreachableError, trusting
from sinks.reports.deadline import Deadline
from sinks.reports.report import Report
from sinks.reports.text import html, plain, subject

__all__ = ["Mail", "message_of"]

log = structlog.get_logger(__name__)

_LONG_LINES: Final = policy.default.clone(max_line_length=300)
"""A subject stays on one line: some readers show where it was folded. RFC 5322 allows 998."""


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail server, as the settings' section `mail` describes it (`host` is there)."""

    settings: MailSettings

    @property
    def name(self) -> str:
        """See Channel.name."""
        return "mail"

    def wants(self, report: Report) -> bool:
        """See Channel.wants: an export without recipients has no mail."""
        return bool(report.recipients)

    def send(self, report: Report) -> None:
        """See Channel.send. Where a server refuses some recipients and takes others, the log names
        those it refused for good (5yz of RFC 5321, 4.2.1); those that it can't take now are told.
        """
        own, message = self.settings, message_of(report, self.settings.sender)
        hint = "it is tried again; if it's only slow, raise `mail.total_seconds`"
        with (
            Deadline(own.total_seconds, where=f"{own.host}:{own.port}", hint=hint) as deadline,
            self._connected(deadline) as server,
            self._explained_refusal(report),
        ):
            try:
                refused = server.send_message(message)
            except smtplib.SMTPRecipientsRefused as error:
                if all(_is_for_good(code) for code, _ in error.recipients.values()):
                    raise
                refused = error.recipients
        later = {who: code for who, (code, _) in refused.items() if not _is_for_good(code)}
        for recipient, (code, said) in refused.items():
            if recipient not in later:
                log.warning("recipient refused", recipient=recipient, code=code, said=_text(said))
        if later:
            told = ", ".join(f"{who} ({code})" for who, code in later.items())
            raise PartlySentError(f"the mail server can't take it now for {told}", tuple(later))

    @contextmanager
    def _connected(self, deadline: Deadline) -> Iterator[smtplib.SMTP]:
        try:
            server = self._connect(deadline)
        except (OSError, smtplib.SMTPException) as error:
            raise UnreachableError(
                f"the mail server can't be used: {_said(error)}",
                where=f"{self.settings.host}:{self.settings.port}",
                hint=_hint(error),
            ) from error
        try:
            yield server
        finally:
            _leave(server)

    def _connect(self, deadline: Deadline) -> smtplib.SMTP:
        own, host = self.settings, self.settings.host or ""
        context = trusting(own.ca_file, "mail.ca_file")
        if own.security == "tls":
            server: smtplib.SMTP = _WatchedTls(
                deadline, host, own.port, timeout=own.timeout_seconds, context=context
            )
        else:
            server = _Watched(deadline, host, own.port, timeout=own.timeout_seconds)
        try:
            if own.security == "starttls":
                server.starttls(context=context)
            if own.username is not None:
                server.login(own.username, own.secret() or "")
        except BaseException:
            server.close()
            raise
        return server

    @contextmanager
    def _explained_refusal(self, report: Report) -> Iterator[None]:
        try:
            yield
        except OSError as error:  # all of smtplib's are, too
            is_an_answer = isinstance(error, smtplib.SMTPException)
            if is_an_answer and not isinstance(error, smtplib.SMTPServerDisconnected):
                by_all = isinstance(error, smtplib.SMTPRecipientsRefused)
                raise (RefusedError if by_all else ReportError)(
                    f"the mail server refuses it: {_said(error)}",
                    where=f"report {report.id}",
                    hint="check `mail.sender` and the export's recipients",
                ) from error
            raise UnreachableError(
                f"the mail server left: {_said(error)}",
                where=f"{self.settings.host}:{self.settings.port}",
                hint="it is tried again",
            ) from error


class _Watched(smtplib.SMTP):
    """A connection whose end is its deadline's, from its first byte on."""

    def __init__(self, deadline: Deadline, *args: Any, **options: Any) -> None:
        self._deadline = deadline
        super().__init__(*args, **options)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        made: socket.socket = super()._get_socket(host, port, timeout)  # type: ignore[misc]
        self._deadline.watch(made)
        return made


class _WatchedTls(smtplib.SMTP_SSL, _Watched):
    """The same; SMTP_SSL wraps what `_Watched` has connected."""

    def __init__(self, deadline: Deadline, *args: Any, **options: Any) -> None:
        self._deadline = deadline
        smtplib.SMTP_SSL.__init__(self, *args, **options)


def message_of(report: Report, sender: str) -> EmailMessage:
    """Write a report's mail. Its Message-ID is the report's, so that a mail that is sent twice can
    be known as one (RFC 5322, 3.6.4).
    """
    message = EmailMessage(policy=_LONG_LINES)
    message["Subject"] = subject(report)
    message["From"] = sender
    message["To"] = ", ".join(report.recipients)
    message["Date"] = format_datetime(dt.datetime.fromisoformat(report.told_at))
    message["Message-ID"] = f"<{report.id.replace('/', '.')}@{sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
    message.set_content(plain(report))
    message.add_alternative(html(report), subtype="html")
    return message


def _hint(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return "its certificate isn't trusted: name its authority in `mail.ca_file`"
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return "check `mail.username` and DELTADROP_MAIL__PASSWORD or `mail.password_file`"
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return "check `mail.security` and `mail.port`; nothing is sent in the clear"
    if isinstance(error, OSError) and error.filename is not None:
        return "check `mail.password_file`"
    return "check `mail.host` and `mail.port`, and that the server is up"


def _said(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{error.smtp_code} {_text(error.smtp_error)}"
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return "; ".join(
            f"{who}: {code} {_text(text)}" for who, (code, text) in error.recipients.items()
        )
    return str(error) or type(error).__name__


def _is_for_good(code: int) -> bool:
    return code >= 500


def _text(said: bytes | str) -> str:
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else said


def _leave(server: smtplib.SMTP) -> None:
    try:
        server.quit()
    except (OSError, smtplib.SMTPException):
        server.close()  # it has the mail, or we have its refusal
