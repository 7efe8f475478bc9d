"""Sending of report mails over SMTP (RFC 5321): plain and HTML, with STARTTLS (RFC 3207) and login.

Certificates are verified. If STARTTLS is configured and a server doesn't offer it, nothing is sent.
Only this module uses SMTP.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import smtplib
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from email import policy
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Final

import structlog
from aiosmtplib import (
    SMTP,
    SMTPAuthenticationError,
    SMTPException,
    SMTPRecipientsRefused,
    SMTPResponse,
    SMTPResponseException,
)

from schemas.errors import DefinitionError, ReportError
from schemas.settings.credentials import password_of
from schemas.settings.reports import MailSettings
from sinks.reports.channel import (
    PartlySentError,
    RefusedError,
    UnreachableError,
    cause_of,
    reason_of,
    time_limit,
    trusting,
)
from sinks.reports.report import Report
from sinks.reports.text import html, plain, subject

__all__ = ["MailSession", "message_of"]

log = structlog.get_logger(__name__)

_LONG_LINES: Final = policy.default.clone(max_line_length=300)
"""Keeps a subject on one line: some readers show the folding. RFC 5322 allows 998 characters."""

_FOR_GOOD: Final = 500
"""Lowest code of a permanent refusal (RFC 5321, 4.2.1)."""

_QUIT_SECONDS: Final = 2
"""Seconds to wait for a server's answer to QUIT."""

_PASSWORD: Final = "check `mail.password_file`"
_REFUSED: Final = "check `mail.sender` and the export's recipients"


@dataclass(frozen=True, slots=True)
class MailSession:
    """One mail's session with the mail server of the settings' section `mail`."""

    settings: MailSettings

    @property
    def _where(self) -> str:
        return f"{self.settings.host}:{self.settings.port}"

    async def send(self, report: Report) -> None:
        """Send a report's mail, as ReportChannel.send says."""
        server = self._client()
        hint = "it is tried again; if it's only slow, raise `mail.total_seconds`"
        try:
            async with time_limit(self.settings.total_seconds, where=self._where, hint=hint):
                await self._connect(server)
                refused = await self._hand_over(report, server)
        finally:
            with suppress(OSError, SMTPException):  # the mail is sent or refused by now
                async with asyncio.timeout(_QUIT_SECONDS):
                    await server.quit()
            server.close()
        later = {who: answer for who, answer in refused.items() if answer.code < _FOR_GOOD}
        for recipient, answer in refused.items():
            if recipient not in later:
                code, text = answer
                log.warning("recipient refused", recipient=recipient, code=code, said=text)
        if later:
            whom = ", ".join(f"{who} ({answer.code})" for who, answer in later.items())
            raise PartlySentError(f"the mail server can't take it now for {whom}", tuple(later))

    def _client(self) -> SMTP:
        own = self.settings
        return SMTP(
            hostname=own.host,
            port=own.port,
            timeout=own.timeout_seconds,
            use_tls=own.security == "tls",
            start_tls=own.security == "starttls",
            tls_context=trusting(own.ca_file, "mail.ca_file"),
        )

    async def _connect(self, server: SMTP) -> None:
        own = self.settings
        try:
            # This gives an address if our name isn't qualified (RFC 5321, 4.1.4).
            name = await asyncio.to_thread(lambda: smtplib.SMTP().local_hostname)
            await server.connect(local_hostname=name)
            if own.username is not None:
                await server.login(own.username, password_of(own, "mail"))
        except DefinitionError as error:
            raise UnreachableError(error.what, where=error.where, hint=_PASSWORD) from error
        except (OSError, SMTPException) as error:
            cause = cause_of(error)
            raise UnreachableError(
                f"the mail server can't be used: {_answer_of(cause)}",
                where=self._where,
                hint=_hint(cause),
            ) from error

    async def _hand_over(self, report: Report, server: SMTP) -> Mapping[str, SMTPResponse]:
        """Send a report's mail; return the refused recipients, with the server's answers.

        Raises RefusedError if all are refused for good, ReportError if the mail is refused, and
        UnreachableError if the connection fails.
        """
        message, sender = message_of(report, self.settings.sender), self.settings.sender
        is_international = not f"{sender}{report.recipients}".isascii()  # RFC 6531
        try:
            refused, _ = await server.sendmail(
                sender,
                report.recipients,
                message.as_bytes(policy=_LONG_LINES.clone(utf8=is_international)),
                mail_options=("SMTPUTF8", "BODY=8BITMIME") if is_international else (),
            )
        except SMTPRecipientsRefused as error:
            refused = {
                refusal.recipient: SMTPResponse(refusal.code, refusal.message)
                for refusal in error.recipients
            }
            if all(answer.code >= _FOR_GOOD for answer in refused.values()):
                answers = "; ".join(
                    f"{who}: {answer.code} {answer.message}" for who, answer in refused.items()
                )
                raise RefusedError(
                    f"the mail server refuses it: {answers}",
                    where=f"report {report.id}",
                    hint=_REFUSED,
                ) from error
        except OSError as error:
            raise UnreachableError(
                f"the mail server left: {_answer_of(error)}",
                where=self._where,
                hint="it is tried again",
            ) from error
        except (SMTPException, ValueError) as error:  # an address can be wrong, too
            raise ReportError(
                f"the mail server refuses it: {_answer_of(error)}",
                where=f"report {report.id}",
                hint=_REFUSED,
            ) from error
        return refused


def message_of(report: Report, sender: str) -> EmailMessage:
    """Return a report's mail. Its Message-ID is made of the report's id, so that a mail that is
    sent twice can be recognised (RFC 5322, 3.6.4).
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


def _hint(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return "its certificate isn't trusted: name its authority in `mail.ca_file`"
    if isinstance(error, SMTPAuthenticationError):
        return "check `mail.username` and DELTADROP_MAIL__PASSWORD or `mail.password_file`"
    if type(error) is SMTPException:  # aiosmtplib's error for an extension that the server lacks
        return "check `mail.security` and `mail.port`; nothing is sent in the clear"
    return "check `mail.host` and `mail.port`, and that the server is up"


def _answer_of(error: BaseException) -> str:
    if isinstance(error, SMTPResponseException):
        return f"{error.code} {error.message}"
    return reason_of(error)
