"""Reports: the result of each close, sent to its recipients (SPEC §4, *Report*).

A report is stored when it is made, created if absent, and each channel's sending is recorded beside
it. So a killed run loses no report, and what one run can't send, the next run sends.
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
