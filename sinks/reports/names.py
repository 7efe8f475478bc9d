"""Names of the outbox's files: reports, notes of sendings, and reasons why a channel can't send."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, TypeAlias

from sinks.instants import Instant
from streams.storage.paths import NamePart, StoredPath

__all__ = ["LeftPath", "ReportPath", "SentPath", "SincePath", "TroublePath"]

_Word: TypeAlias = Annotated[str, NamePart("[^/.]+")]


@dataclass(frozen=True, slots=True, order=True)
class ReportPath(StoredPath):
    """Name of a report. report: its kind, its revision and, for trouble, a digest of the cause."""

    TEMPLATE: ClassVar = "reports/{export}/{instant}/{report}.json"
    WHAT: ClassVar = "a report"

    export: str
    instant: Instant
    report: _Word

    @property
    def id(self) -> str:
        """The report's identifier: its name without folder and extension."""
        return str(self).removeprefix("reports/").removesuffix(".json")

    @classmethod
    def of_id(cls, report_id: str) -> ReportPath:
        """Return the name of the report with this identifier."""
        return cls.parse(f"reports/{report_id}.json")

    @property
    def settled(self) -> ReportPath:
        """Name of the report that this trouble is over."""
        return replace(self, report=f"settled-{self.report}")

    def is_of(self, kind: str) -> bool:
        """Whether the report is of a kind."""
        return self.report.partition("-")[0] == kind


@dataclass(frozen=True, slots=True, order=True)
class SentPath(StoredPath):
    """Name of the note that a channel has sent a report."""

    TEMPLATE: ClassVar = "reports/{export}/{instant}/{report}.{channel}.done"
    WHAT: ClassVar = "a note that a report was sent"

    export: str
    instant: Instant
    report: _Word
    channel: _Word

    @classmethod
    def of(cls, report: ReportPath, channel: str) -> SentPath:
        """Return the name of a report's note."""
        return cls(report.export, report.instant, report.report, channel)

    @property
    def of_report(self) -> ReportPath:
        """Name of the report."""
        return ReportPath(self.export, self.instant, self.report)


@dataclass(frozen=True, slots=True, order=True)
class LeftPath(StoredPath):
    """Name of the list of recipients who don't have a report yet, while others have it."""

    TEMPLATE: ClassVar = "reports/{export}/{instant}/{report}.{channel}.left"
    WHAT: ClassVar = "a list of recipients"

    export: str
    instant: Instant
    report: _Word
    channel: _Word

    @classmethod
    def of(cls, report: ReportPath, channel: str) -> LeftPath:
        """Return the name of a report's list."""
        return cls(report.export, report.instant, report.report, channel)


@dataclass(frozen=True, slots=True, order=True)
class TroublePath(StoredPath):
    """Name of the file with the reason why a channel can't send."""

    TEMPLATE: ClassVar = "reports/{channel}.trouble.json"
    WHAT: ClassVar = "a channel's trouble"

    channel: _Word


@dataclass(frozen=True, slots=True, order=True)
class SincePath(StoredPath):
    """Name of the file with the moment since which reports are made."""

    TEMPLATE: ClassVar = "reports/since.json"
    WHAT: ClassVar = "the beginning of reports"
