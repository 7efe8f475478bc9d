"""What a way to send reports is: a mail server, a webhook."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Protocol

from schemas.errors import ReportError
from sinks.reports.report import Report

__all__ = ["PartlySentError", "RefusedError", "ReportChannel", "UnreachableError", "trusting"]


class UnreachableError(ReportError):
    """The other side can't be reached or doesn't let us in: other reports would fail as well."""


class PartlySentError(ReportError):
    """Some have it, others can't take it now: `recipients` are to get it by a later sending."""

    def __init__(self, what: str, recipients: tuple[str, ...]) -> None:
        super().__init__(what)
        self.recipients = recipients


class RefusedError(ReportError):
    """Every recipient refuses it for good."""


class ReportChannel(Protocol):
    """Sends reports. Sending one twice is possible (a run may be killed between the sending and its
    note), so each sending carries the report's id, by which a receiver knows a repeat.
    """

    @property
    def name(self) -> str:
        """Its name in the outbox."""

    def wants(self, report: Report) -> bool:
        """Whether there is anybody to send it to."""

    def send(self, report: Report) -> None:
        """Hand a report over; raises ReportError where that fails, UnreachableError where no other
        need be tried, PartlySentError where it arrived with some, RefusedError where nobody wants
        it.
        """


def trusting(ca_file: Path | None, setting: str) -> ssl.SSLContext:
    """Verify the other side by a file of authorities, without one by those of the system.

    Raises UnreachableError where the file can't be used. setting: its name.
    """
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # of ssl, too: it is no PEM file
        raise UnreachableError(
            f"can't be read: {error.strerror or error}",
            where=str(ca_file),
            hint=f"check `{setting}`",
        ) from error
