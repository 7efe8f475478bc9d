"""What a way to send reports is: a mail server, a webhook."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Protocol

from schemas.errors import ReportError
from sinks.reports.report import Report

__all__ = ["Channel", "UnreachableError", "trusting"]


class UnreachableError(ReportError):
    """The other side can't be reached or doesn't let us in: other reports would fail as well."""


class Channel(Protocol):
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
        need be tried.
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
