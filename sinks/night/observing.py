"""Observation of processes that run closes.

A scheduler serves a port. A run of `close` ends before a server could scrape it; it leaves a file
for node_exporter's textfile collector.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Gauge, ProcessCollector, write_to_textfile

from sinks.closing.observer import AttemptResult, CloseStep, watching
from sinks.instants import utc_now
from sinks.ledger.lease import Keeper
from sinks.night.metrics import CloseMetrics
from sinks.night.scheduler import Stop
from sinks.setup import Sinks
from streams.serving import Health

__all__ = ["SchedulerWatch", "writing_metrics"]

log = structlog.get_logger(__name__)

_LIVE_SECONDS: Final = 3600.0
"""Seconds without a step of a close or a turn of the loop, after which a scheduler counts as stuck:
the upload of a large file may take long.
"""


class SchedulerWatch:
    """Watches a scheduler and its closes. It wraps the scheduler's `stop`, whose `wait` is called
    at each turn of the loop.

    now: returns the time in UTC. clock: returns seconds that never go back.
    """

    def __init__(
        self,
        sinks: Callable[[], Sinks],
        keeper: Keeper,
        stop: Stop,
        now: Callable[[], dt.datetime],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._closes = CloseMetrics(sinks, now)
        self._keeper = keeper
        self._stop = stop
        self._now = now
        self._clock = clock
        self._alive_at = clock()
        self._turned = False
        self._pass_at: dt.datetime | None = None
        ProcessCollector(registry=self.registry)
        held = Gauge(
            "deltadrop_scheduler_lease_held",
            "1 where this scheduler has the lease and works, 0 where it stands by.",
            registry=self.registry,
        )
        held.set_function(lambda: float(keeper.held))
        self._passes = Gauge(
            "deltadrop_scheduler_last_pass_timestamp_seconds",
            "When this scheduler last went through all that was due; at first, its start.",
            registry=self.registry,
        )
        self._passes.set(now().timestamp())

    @property
    def registry(self) -> CollectorRegistry:
        """See Observed.registry."""
        return self._closes.registry

    @property
    def requested(self) -> bool:
        """See Stop.requested."""
        return self._stop.requested

    def wait(self, seconds: float) -> None:
        """See Stop.wait. Each call is a turn of the loop and, with the lease, a finished pass."""
        self._alive_at, self._turned = self._clock(), True
        if self._keeper.held:
            self._pass_at = self._now()
            self._passes.set(self._pass_at.timestamp())
        self._stop.wait(seconds)

    def took(self, export: str, step: CloseStep, seconds: float) -> None:
        """See Watcher.took."""
        self._alive_at = self._clock()
        self._closes.took(export, step, seconds)

    def ended(self, export: str, instant: dt.datetime, result: AttemptResult) -> None:
        """See Watcher.ended."""
        self._alive_at = self._clock()
        self._closes.ended(export, instant, result)

    def live(self) -> Health:
        """Report healthy if the loop turned, or a step of a close ended, within `_LIVE_SECONDS`."""
        since = self._clock() - self._alive_at
        return Health(since < _LIVE_SECONDS, {"seconds_since_turn": round(since, 1)})

    def ready(self) -> Health:
        """Report ready if the scheduler stands by, or holds the lease and has finished a pass.

        A scheduler that isn't live is never ready.
        """
        works, passed = self._keeper.held, self._pass_at
        facts = {
            "scheduler": "works" if works else "stands by",
            "last_pass": passed.isoformat(timespec="seconds") if passed else None,
        }
        well = passed is not None if works else self._turned
        return Health(well and self.live().ok, facts)


@contextmanager
def writing_metrics(
    sinks: Sinks, file: Path | None, now: Callable[[], dt.datetime] = utc_now
) -> Iterator[None]:
    """Watch the closes within the context, and write the metrics at its end; do nothing without a
    file.

    Counts that the file already has are continued. An error of the file is logged and fails no
    close. If the context raises, nothing is written.
    """
    if file is None:
        yield
        return
    metrics = CloseMetrics(lambda: sinks, now)
    _go_on_from(metrics, file, [export.name for export in sinks.exports])
    with watching(metrics):
        yield
    ran = Gauge(
        "deltadrop_close_last_run_timestamp_seconds",
        "When `deltadrop close` last ran to its end.",
        registry=metrics.registry,
    )
    ran.set(now().timestamp())
    try:
        write_to_textfile(str(file), metrics.registry)  # writes a new file, then renames it
    except OSError as error:
        log.error("metrics not written", file=str(file), error=str(error))


def _go_on_from(metrics: CloseMetrics, file: Path, exports: list[str]) -> None:
    try:
        metrics.go_on_from(file.read_text(encoding="utf-8"), exports)
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        log.warning("earlier metrics not read", file=str(file), error=str(error))
