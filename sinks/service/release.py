"""Release a held drop, or preview it before."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import NamedTuple

from sinks.closing.close import Progress
from sinks.ledger.outcome import CloseOutcome
from sinks.repair.held_preview import HeldDrop
from sinks.repair.release import Releaser
from sinks.service.choice import defined_export, refuse_unknown
from sinks.service.closes import ClosedWindow
from sinks.service.drop_record import DropRecord
from sinks.service.reporting import reporter_of
from sinks.setup import Sinks

__all__ = ["ReleaseRequest", "ReleaseResult", "preview_held", "release_drop"]


@dataclass(frozen=True, slots=True)
class ReleaseRequest:
    """Which held drop to release, and why. accept_loss: send it without offsets that are lost."""

    export: str
    instant: dt.datetime
    reason: str
    accept_loss: bool = False


class ReleaseResult(NamedTuple):
    """The window whose drop was sent. sent_before: it was sent by an earlier run."""

    window: ClosedWindow
    sent_before: bool


def release_drop(sinks: Sinks, request: ReleaseRequest, progress: Progress) -> ReleaseResult:
    """Send a held drop, record the reason, and report it; a drop that was sent before is left
    alone.

    Raises WrongInputError for an unknown export, HeldError if the drop is still held, CloseError if
    nothing is held or the drop can't be sent.
    """
    export, instant = request.export, request.instant
    refuse_unknown(sinks.installation, export)
    sent_before = sinks.ledger.outcome(export, instant) is not None
    outcome = _released(sinks, request, progress)
    reporter = reporter_of(sinks)
    intent = sinks.ledger.intent(export, instant)
    if intent is not None:
        reporter.delivered(intent.decided_export, instant, outcome)
    reporter.ended(sinks.exports)
    reporter.send()
    return ReleaseResult(ClosedWindow(export, instant, DropRecord.of(outcome)), sent_before)


def preview_held(sinks: Sinks, export: str, instant: dt.datetime) -> HeldDrop:
    """Return what a release would send; changes nothing.

    Raises WrongInputError for an unknown export, CloseError if no guard rail holds a drop, or if
    the drop can't be made.
    """
    refuse_unknown(sinks.installation, export)
    return Releaser(sinks.reviser).look(export, instant)


def _released(sinks: Sinks, request: ReleaseRequest, progress: Progress) -> CloseOutcome:
    export, instant, reason = request.export, request.instant, request.reason
    releaser = Releaser(sinks.reviser)
    record = sinks.ledger.record_of(export, instant) if request.accept_loss else None
    if request.accept_loss and not (record and record.held):
        defined = defined_export(export, sinks.exports)
        return releaser.accept_loss(defined, instant, reason, progress)
    return releaser.release(export, instant, reason)
