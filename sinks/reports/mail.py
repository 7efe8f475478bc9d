"""The channel that sends reports by mail; `smtp` has its session with a mail server."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.settings.reports import MailSettings
from sinks.reports.channel import run_apart
from sinks.reports.report import Report

__all__ = ["Mail"]


@dataclass(frozen=True, slots=True)
class Mail:
    """The mail server of the settings' section `mail`; its `host` is set."""

    settings: MailSettings

    @property
    def name(self) -> str:
        """See ReportChannel.name."""
        return "mail"

    def wants(self, report: Report) -> bool:
        """See ReportChannel.wants: only if the report has recipients."""
        return bool(report.recipients)

    def send(self, report: Report) -> None:
        """See ReportChannel.send. If a server refuses some recipients, the log names those that it
        refuses for good (5yz of RFC 5321, 4.2.1). Raises PartlySentError with those that it refuses
        for now.
        """
        # Imported here, as httpx is for the webhook: most commands send nothing.
        from sinks.reports.smtp import MailSession

        run_apart(MailSession(self.settings).send(report))
