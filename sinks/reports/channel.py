"""What a way to send reports is: a mail server, a webhook."""

from __future__ import annotations

from typing import Protocol

from schemas.errors import ReportError
from sinks.reports.report import Report

__all__ = ["Channel", "UnreachableError"]


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
