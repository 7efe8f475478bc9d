"""Wait until the drop of a window is delivered, for orchestrators: it reads the ledger only."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from schemas.json_result import JsonResult
from sinks.exports.export import Export
from sinks.exports.schedule import next_close
from sinks.installation import Installation
from sinks.instants import day_before, utc_now
from sinks.ledger.due import close_of_window, due_closes
from sinks.rendering.zones import zone
from sinks.service.choice import chosen_exports
from sinks.service.drop_record import DropRecord
from sinks.status.exports import close_trouble

__all__ = ["WaitRequest", "WaitState", "WaitedDrop", "wait_for_drop"]

_SHORTEST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 10.0
"""Seconds between two looks at the ledger: an object store is asked a few things each time."""


class WaitState(StrEnum):
    """How a wait ended."""

    DONE = "done"
    HELD = "held"
    FAILED = "failed"
    TIMED_OUT = "timed out"


@dataclass(frozen=True, slots=True)
class WaitRequest:
    """What to wait for: the drop of an export's window that ends at `instant`; None: of the last
    window that is over. seconds: how long at most.
    """

    export: str
    instant: dt.datetime | None
    seconds: float


@dataclass(frozen=True, slots=True)
class WaitedDrop(JsonResult):
    """How a wait for a drop ended."""

    export: str
    """The export."""
    instant: dt.datetime
    """The end of the window that was waited for."""
    state: str
    """How it ended: done, held, failed or timed out."""
    drop: DropRecord | None = None
    """The drop, if it was delivered."""
    problem: str = ""
    """What keeps it from being delivered; empty if it was, or if nothing is known."""
    hint: str = ""
    """How to settle that."""

    JSON_OPTIONAL = ("drop",)


def wait_for_drop(
    installation: Installation,
    request: WaitRequest,
    progress: Callable[[dt.datetime, float], object] = lambda instant, seconds: None,
    now: Callable[[], dt.datetime] = utc_now,
) -> WaitedDrop:
    """Wait until a drop is delivered, held or has failed, or until the time is over.

    A window counts as delivered with the first close that ends at or after it, which has all of its
    events. A trouble of an earlier window counts, as windows are closed in order. progress: called
    before each pause, with the end of the window and the seconds so far.

    Raises WrongInputError if there is no such export, LedgerError if its ledger can't be read.
    """
    (export,) = chosen_exports(installation, [request.export])
    instant = request.instant or _last_instant(export, now())
    began, pause = time.monotonic(), _SHORTEST_PAUSE
    while True:
        found = _found(installation, export, instant, now())
        passed = time.monotonic() - began
        if found is not None:
            return found
        if passed >= request.seconds:
            return WaitedDrop(export.name, instant, WaitState.TIMED_OUT)
        progress(instant, passed)
        time.sleep(min(pause, request.seconds - passed))
        pause = min(pause * 2, _LONGEST_PAUSE)


def _last_instant(export: Export, now: dt.datetime) -> dt.datetime:
    """Return the last instant of an export's schedule that has passed."""
    own_zone = zone(export.zone_name)
    return day_before(next_close(export, now), export.definition.schedule.hour, own_zone)


def _found(
    installation: Installation, export: Export, instant: dt.datetime, now: dt.datetime
) -> WaitedDrop | None:
    """Return what came of a window; None if nothing yet."""
    ledger = installation.ledger
    close = close_of_window(export.name, ledger, instant)
    outcome = None if close is None else ledger.outcome(export.name, close)
    if outcome is not None:
        return WaitedDrop(export.name, instant, WaitState.DONE, DropRecord.of(outcome))
    due = [window.instant for window in due_closes([export], ledger, now)]
    earlier = [at for at in due[:1] if at < instant]
    for window in dict.fromkeys([*earlier, instant, *([close] if close else [])]):
        trouble = close_trouble(installation, export.name, window)
        if trouble is not None:
            state = WaitState.HELD if trouble.is_held else WaitState.FAILED
            return WaitedDrop(export.name, instant, state, None, trouble.what, trouble.hint)
    return None
