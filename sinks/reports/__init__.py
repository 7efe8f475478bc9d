"""Reports: what came of each close, to those who should know (SPEC §4, *Report*).

A report is kept in the store when it is made, created if absent, and each channel's sending is
noted there: a run that is killed loses none, and one that can't send leaves it to the next.
"""

from sinks.reports.channel import ReportChannel
from sinks.reports.mail import Mail
from sinks.reports.outbox import Outbox, PendingReport, latest_trouble
from sinks.reports.report import Report, ReportKind, deliver_by
from sinks.reports.reporter import Reporter, channels_of
from sinks.reports.webhook import Webhook

__all__ = [
    "Mail",
    "Outbox",
    "PendingReport",
    "Report",
    "ReportChannel",
    "ReportKind",
    "Reporter",
    "Webhook",
    "channels_of",
    "deliver_by",
    "latest_trouble",
]
