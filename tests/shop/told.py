"""Reports to try out: of an export that there is, with the telling fields written out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from schemas.errors import ReportError
from sinks.drops.manifest import ExportEntry, Window
from sinks.reports import Report, ReportKind

OPENINGS = ExportEntry(
    name="openings",
    entity="crm",
    database="shop",
    table=None,
    type="email-activities",
    event="OPENED",
)
INSTANT = datetime(2026, 3, 29, 4, tzinfo=UTC)
BEGIN = datetime(2026, 3, 28, 5, tzinfo=UTC)


class Sent:
    """A channel that keeps what it is given, or refuses it."""

    def __init__(self, name: str = "mail") -> None:
        self.name = name
        self.reports: list[Report] = []
        self.refuses: Callable[[Report], ReportError | None] = lambda report: None

    def wants(self, report: Report) -> bool:
        return bool(report.recipients)

    def send(self, report: Report) -> None:
        error = self.refuses(report)
        if error is not None:
            raise error
        self.reports.append(report)


def report(kind: ReportKind = ReportKind.DELIVERED, **telling: Any) -> Report:
    """A report of the day on which Brussels' clocks go forward."""
    usual: dict[str, Any] = {
        "id": f"openings/20260329T040000.000Z/{kind}",
        "export": OPENINGS,
        "window": Window.of(BEGIN, INSTANT, "Europe/Brussels"),
        "told_at": "2026-03-29T04:01:00.000+00:00",
        "recipients": ("a@shop.example",),
    }
    if kind in (ReportKind.DELIVERED, ReportKind.REVISED):
        usual |= {
            "drop": "openings@20260329T040000.000Z",
            "file": "openings_20260329.csv",
            "rows": 1234,
            "bytes": 56789,
            "sha256": "ab" * 32,
            "receipts": ("transferbox: /drops/openings_20260329.csv",),
            "balance": {"dead letter": 0, "duplicate": 3, "exported": 1234},
        }
    else:
        usual |= {"problem": "offsets 3 to 9 are missing", "hint": "start workers"}
    return Report(**{**usual, "kind": kind, **telling})
