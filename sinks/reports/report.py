"""Reports about the result of a close, or the reason why it has none yet.

A webhook gets a report's JSON. It is a contract: fields may be added, but their meaning never
changes.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping
from enum import StrEnum
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from schemas.errors import DeltadropError, HeldError
from sinks.drops.manifest import ExportEntry, Window, export_of
from sinks.exports.export import Export
from sinks.instants import due_instants
from sinks.ledger.outcome import CloseOutcome
from sinks.ledger.revision import Revision
from sinks.rendering.zones import zone
from sinks.reports.cause import cause_of
from sinks.reports.names import ReportPath
from sinks.reports.recorded import NOT_HELD, LetGo, Replaced

__all__ = ["TROUBLES", "Report", "ReportKind", "deliver_by"]

_DEAD_LETTERS: Final = "dead letter"


class ReportKind(StrEnum):
    """The subject of a report. Reports are sent in this order: trouble first."""

    FAILED = "failed"
    HELD = "held"
    LATE = "late"
    SETTLED = "settled"
    DELIVERED = "delivered"
    REVISED = "revised"


TROUBLES: Final = (ReportKind.FAILED, ReportKind.HELD, ReportKind.LATE)
"""The kinds of reports about a problem."""


class Report(BaseModel):
    """One report. Fields that don't apply to its kind are empty; a skipped file has no bytes and no
    checksum.

    problem, hint: what is wrong, and what to do. deliver_by: the moment after which the drop is
    late, in UTC. told_at: when the result or problem was found. held_because: why the drop was
    held. reason: why a person released it, or why the drop was made again. revision: the number of
    the drop that was made again; in a FAILED report, the revision that can't be delivered.
    replaces: the file that the revision replaces. settles: in a SETTLED report, the id of the
    report of the trouble that is over; `problem` is that of this trouble. since: when it was found.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    format: Literal[1] = 1
    id: str
    kind: ReportKind
    export: ExportEntry
    window: Window
    told_at: str
    deliver_by: str | None = None
    delivered_late: bool = False
    problem: str = ""
    hint: str = ""
    drop: str | None = None
    file: str | None = None
    rows: int = 0
    bytes: int | None = 0
    sha256: str | None = None
    receipts: tuple[str, ...] = ()
    dead_letters: int = 0
    late_rows: Mapping[str, int] = {}
    warnings: tuple[str, ...] = ()
    balance: Mapping[str, int] = {}
    reason: str = ""
    held_because: tuple[str, ...] = ()
    revision: int = 0
    replaces: str | None = None
    settles: str | None = None
    since: str | None = None
    recipients: tuple[str, ...] = ()

    @property
    def instant(self) -> dt.datetime:
        """The instant of the close."""
        return dt.datetime.fromisoformat(self.window.end.utc)

    @property
    def is_trouble(self) -> bool:
        """Whether the report is about a problem that a person may have to solve."""
        return self.kind in TROUBLES

    @classmethod
    def of_delivered(
        cls,
        export: Export,
        begin: dt.datetime | None,
        instant: dt.datetime,
        outcome: CloseOutcome,
        let_go: LetGo = NOT_HELD,
    ) -> Report:
        """Return the report of a delivered drop.

        begin: of the window; None for an initial drop. let_go: why the drop was sent, if it was
        held.
        """
        limit = deliver_by(export, instant)
        finished = dt.datetime.fromisoformat(outcome.finished_at)
        return cls(
            id=_id(export, instant, ReportKind.DELIVERED),
            kind=ReportKind.DELIVERED,
            export=export_of(export),
            window=Window.of(begin, instant, export.zone_name),
            told_at=outcome.finished_at,
            deliver_by=limit.isoformat() if limit else None,
            delivered_late=limit is not None and finished > limit,
            drop=outcome.drop_id,
            file=outcome.file,
            rows=outcome.rows,
            bytes=outcome.size if outcome.file is not None else None,
            sha256=outcome.sha256 if outcome.file is not None else None,
            receipts=outcome.receipts,
            dead_letters=outcome.balance.get(_DEAD_LETTERS, 0),
            late_rows=outcome.late_rows,
            warnings=outcome.warnings,
            balance=outcome.balance,
            reason=let_go.reason,
            held_because=let_go.held_because,
            recipients=export.definition.recipients,
        )

    @classmethod
    def of_revised(
        cls, export: Export, begin: dt.datetime | None, revision: Revision, drops: Replaced
    ) -> Report:
        """Return the report of a revision, a drop that was made again with other content."""
        instant, number = revision.intent.instant, revision.number
        drop = cls.of_delivered(export, begin, instant, drops.now)
        return drop.model_copy(
            update={
                "id": _id(export, instant, ReportKind.REVISED, revision=number),
                "kind": ReportKind.REVISED,
                "deliver_by": None,
                "delivered_late": False,
                "reason": revision.reason,
                "revision": number,
                "replaces": drops.before.file,
            }
        )

    @classmethod
    def of_trouble(
        cls,
        export: Export,
        begin: dt.datetime | None,
        instant: dt.datetime,
        error: DeltadropError,
        now: dt.datetime,
    ) -> Report:
        """Return the report that a close was held, or failed; the same cause gives the same id."""
        kind = ReportKind.HELD if isinstance(error, HeldError) else ReportKind.FAILED
        problem = error.reason()
        own_id = _id(export, instant, kind, cause_of(error, problem))
        report = cls._undelivered(export, begin, instant, now, kind, problem, error.hint)
        return report.model_copy(update={"id": own_id})

    @classmethod
    def of_failed_revision(
        cls,
        export: Export,
        begin: dt.datetime | None,
        revision: Revision,
        error: DeltadropError,
        now: dt.datetime,
    ) -> Report:
        """Return the report that a revision can't be delivered; the same cause gives one id."""
        instant, number = revision.intent.instant, revision.number
        problem = error.reason()
        report = cls._undelivered(
            export, begin, instant, now, ReportKind.FAILED, problem, error.hint
        )
        return report.model_copy(
            update={
                "id": _id(export, instant, ReportKind.FAILED, cause_of(error, problem), number),
                "deliver_by": None,
                "drop": revision.intent.drop_id,
                "reason": revision.reason,
                "revision": number,
            }
        )

    @classmethod
    def of_settled(cls, trouble: Report, outcome: CloseOutcome, now: dt.datetime) -> Report:
        """Return the report that a trouble is over, for those who were told of it.

        outcome: of the drop that was delivered in spite of it.
        """
        return trouble.model_copy(
            update={
                "id": ReportPath.of_id(trouble.id).settled.id,
                "kind": ReportKind.SETTLED,
                "told_at": now.isoformat(timespec="milliseconds"),
                "hint": "",
                "drop": outcome.drop_id,
                "file": outcome.file,
                "settles": trouble.id,
                "since": trouble.told_at,
            }
        )

    @classmethod
    def of_late(
        cls, export: Export, begin: dt.datetime | None, instant: dt.datetime, now: dt.datetime
    ) -> Report:
        """Return the report that a drop isn't delivered after its `deliver_by`."""
        problem = "the drop isn't delivered yet"
        hint = "`deltadrop status` says what it waits for; there is a report of what failed, if any"
        return cls._undelivered(export, begin, instant, now, ReportKind.LATE, problem, hint)

    @classmethod
    def _undelivered(
        cls,
        export: Export,
        begin: dt.datetime | None,
        instant: dt.datetime,
        now: dt.datetime,
        kind: ReportKind,
        problem: str,
        hint: str,
    ) -> Report:
        limit = deliver_by(export, instant)
        return cls(
            id=_id(export, instant, kind),
            kind=kind,
            export=export_of(export),
            window=Window.of(begin, instant, export.zone_name),
            told_at=now.isoformat(timespec="milliseconds"),
            deliver_by=limit.isoformat() if limit else None,
            problem=problem,
            hint=hint,
            recipients=export.definition.recipients,
        )


def deliver_by(export: Export, instant: dt.datetime) -> dt.datetime | None:
    """Return the moment after which a drop is late: the first `deliver_by` hour after its close.

    None if the schedule has no `deliver_by`.
    """
    by = export.definition.schedule.deliver_by
    if by is None:
        return None
    until = instant + dt.timedelta(days=3)
    return next(
        iter(due_instants(instant, until, dt.time.fromisoformat(by), zone(export.zone_name)))
    )


def _id(
    export: Export, instant: dt.datetime, kind: ReportKind, cause: str = "", revision: int = 0
) -> str:
    """Return the id of a report, which is sent once: from export, window, kind, revision and, for
    trouble, the cause.
    """
    name = f"{kind}-r{revision}" if revision else str(kind)
    if cause:
        name += f"-{hashlib.sha256(cause.encode()).hexdigest()[:8]}"
    return ReportPath(export.name, instant, name).id
