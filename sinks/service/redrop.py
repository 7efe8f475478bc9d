"""Make a drop again, and deliver it where it is missing."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final

from schemas.json_result import JsonResult
from sinks.repair.redrop import Redropper
from sinks.service.choice import defined_export, refuse_unknown
from sinks.service.drop_record import DropRecord
from sinks.service.reporting import reporting_revisions
from sinks.setup import Sinks

__all__ = ["TODAYS_DEFINITION", "RedropRequest", "RedropResult", "redrop_close"]

TODAYS_DEFINITION: Final = "today's definition"
"""The reason of a revision by today's definition, if the person gave none."""


@dataclass(frozen=True, slots=True)
class RedropRequest:
    """Which drop to make again.

    reason: the reason that a revision gets; None for the usual reason. current_definition: use
    today's definition, and deliver to the locations that it names.
    """

    export: str
    instant: dt.datetime
    reason: str | None = None
    current_definition: bool = False


@dataclass(frozen=True, slots=True)
class RedropResult(JsonResult):
    """A drop that was made again."""

    export: str
    """The export."""
    instant: dt.datetime
    """The end of its window."""
    outcome: DropRecord
    """The drop that is current now."""
    revision: int
    """The number of the revision that was made; 0 where it has the same bytes."""
    delivered: tuple[str, ...]
    """Where this run delivered it: the same drop where it was missing, a revision everywhere."""
    kept: tuple[str, ...]
    """What stays as before in spite of today's definition."""
    reason: str
    """The reason of the revision; empty where there is none."""


def redrop_close(sinks: Sinks, request: RedropRequest) -> RedropResult:
    """Make a close's drop again, and report a revision.

    Raises WrongInputError for an unknown export, HeldError if the close is held, CloseError if
    nothing was delivered yet, or if the drop can't be made or delivered.
    """
    export, instant = request.export, request.instant
    usual = TODAYS_DEFINITION if request.current_definition else ""
    refuse_unknown(sinks.installation, export)
    today = defined_export(export, sinks.exports) if request.current_definition else None
    with reporting_revisions(sinks):
        reason = usual if request.reason is None else request.reason
        done = Redropper(sinks.reviser).redrop(export, instant, reason, today)
    record = DropRecord.of(done.outcome)
    return RedropResult(
        export, instant, record, done.revision, done.delivered, done.kept, done.reason
    )
