"""The interface of channels that send reports, such as a mail server or a webhook."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Protocol

from schemas.errors import ReportError
from sinks.reports.report import Report

__all__ = ["PartlySentError", "RefusedError", "ReportChannel", "UnreachableError", "trusting"]


class UnreachableError(ReportError):
    """The receiving server can't be reached or refuses the login; other reports would fail, too."""


class PartlySentError(ReportError):
    """Some recipients have the report, others can't get it now: `recipients` must get it later."""

    def __init__(self, what: str, recipients: tuple[str, ...]) -> None:
        super().__init__(what)
        self.recipients = recipients


class RefusedError(ReportError):
    """Every recipient refuses the report for good."""


class ReportChannel(Protocol):
    """A channel that sends reports.

    A report may be sent twice, as a run can be killed between sending and recording it. Each
    sending therefore carries the report's id, by which a receiver recognises a repeat.
    """

    @property
    def name(self) -> str:
        """The channel's name in the outbox."""

    def wants(self, report: Report) -> bool:
        """Whether the channel has a recipient for a report."""

    def send(self, report: Report) -> None:
        """Send a report; raises ReportError if that fails.

        Of its subclasses, UnreachableError means that other reports would fail as well,
        PartlySentError that only some recipients got it, RefusedError that all refuse it for good.
        """


def trusting(ca_file: Path | None, setting: str) -> ssl.SSLContext:
    """A TLS context that trusts the authorities in `ca_file`; without a file, those of the system.

    setting: the file's setting, for errors. Raises UnreachableError if the file can't be used.
    """
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # also ssl.SSLError, if it isn't a PEM file
        raise UnreachableError(
            f"can't be read: {error.strerror or error}",
            where=str(ca_file),
            hint=f"check `{setting}`",
        ) from error
