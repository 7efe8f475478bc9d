"""The command `schedule`."""

from __future__ import annotations

import datetime as dt
import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Final

import structlog

from schemas.settings.settings import Settings, load_settings
from sinks.closing.observer import watching
from sinks.commands.options import Config
from sinks.instants import utc_now
from sinks.ledger.lease import SCHEDULERS, Keeper, Lease, process_name
from sinks.night.observing import SchedulerWatch
from sinks.night.reload import Installed
from sinks.night.scheduler import Scheduler
from sinks.reports import Reporter, channels_of
from sinks.service.due_windows import waiting
from sinks.service.recipients import recipients_without_mail
from sinks.setup import Sinks
from streams.serving import served

__all__ = ["schedule", "serve"]

log = structlog.get_logger(__name__)

_WAIT_WITHIN_A_CLOSE: Final = 2.0
"""Seconds that a close waits for the workers before the scheduler turns to the other exports."""
_LOOK_SECONDS: Final = 0.25


def schedule(
    config: Config = None,
) -> None:
    """Run closes as they fall due, those that were missed first, until SIGTERM.

    Several schedulers may run, also on several machines: one works, the others stand by. Logs go to
    stderr: as JSON lines, or as text on a terminal. Exits with 0 after SIGTERM, when the close
    under way is finished; 2 for wrong definitions. Metrics and health are served if
    `observe.schedule_port` is set.
    """
    serve(load_settings(config), Sinks.of)


def serve(
    settings: Settings,
    make: Callable[[Settings], Sinks],
    now: Callable[[], dt.datetime] = utc_now,
) -> None:
    """Run a scheduler over an installation until SIGTERM or SIGINT.

    make: makes the parts of the installation.
    """
    stop = _Signals()
    own = waiting(settings, min(settings.close.wait_seconds, _WAIT_WITHIN_A_CLOSE))
    installed = Installed(lambda: make(own), (settings.tables, settings.exports, settings.streams))
    if warning := recipients_without_mail(settings, installed.latest().exports):
        log.warning("reports not sent", why=str(warning))
    if open_folders := settings.warning_of_root:
        log.warning("folders open to all", why=open_folders)
    store = installed.latest().ledger.store
    lease = Lease(
        store,
        SCHEDULERS,
        holder=process_name(),
        seconds=settings.schedule.lease_seconds,
        now=now,
    )
    reporter = Reporter(
        installed.latest().ledger,
        channels_of(settings),
        now,
        lease_seconds=settings.schedule.lease_seconds,
    )
    observe = settings.observe
    with Keeper(lease, now) as keeper:
        watch = SchedulerWatch(lambda: installed.current, keeper, stop, now)
        with (
            served(watch, observe.host, observe.schedule_port, "observe.schedule_port"),
            watching(watch),
        ):
            Scheduler(settings, installed, keeper, watch, reporter, now).run()


class _Signals:
    """A `Stop` that SIGTERM and SIGINT request."""

    def __init__(self) -> None:
        self.requested = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._leave)

    def wait(self, seconds: float) -> None:
        """See Stop.wait. Sleeps in steps: a sleep continues after a signal's handler (PEP 475)."""
        until = time.monotonic() + seconds
        while not self.requested and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _LOOK_SECONDS))

    def _leave(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
