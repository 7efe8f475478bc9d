"""Report mails over SMTP (RFC 5321): plain and HTML, with STARTTLS (RFC 3207) and login.

Certificates are verified; where a server offers no STARTTLS although it is asked for, nothing is
sent. Nothing else knows SMTP.
"""

from __future__ import annotations

import datetime as dt
import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email import policy
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Final

import structlog

from schemas.errors import ReportError
from schemas.report_settings import MailSettings
from sinks.reports.channel import UnreachableError, trusting
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
        those it refused.
        """
        message = message_of(report, self.settings.sender)
        with self._connected() as server, self._explained_refusal(report):
            refused = server.send_message(message)
        for recipient, (code, said) in refused.items():
            log.warning("recipient refused", recipient=recipient, code=code, said=_text(said))

    @contextmanager
    def _connected(self) -> Iterator[smtplib.SMTP]:
        try:
            server = self._connect()
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

    def _connect(self) -> smtplib.SMTP:
        own, host = self.settings, self.settings.host or ""
        context = trusting(own.ca_file, "mail.ca_file")
        if own.security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                host, own.port, timeout=own.timeout_seconds, context=context
            )
        else:
            server = smtplib.SMTP(host, own.port, timeout=own.timeout_seconds)
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
                raise ReportError(
                    f"the mail server refuses it: {_said(error)}",
                    where=f"report {report.id}",
                    hint="check `mail.sender` and the export's recipients",
                ) from error
            raise UnreachableError(
                f"the mail server left: {_said(error)}",
                where=f"{self.settings.host}:{self.settings.port}",
                hint="it is tried again",
            ) from error


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


def _text(said: bytes | str) -> str:
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else said


def _leave(server: smtplib.SMTP) -> None:
    try:
        server.quit()
    except (OSError, smtplib.SMTPException):
        server.close()  # it has the mail, or we have its refusal
