"""Observes those who run closes: a scheduler, which serves its port, and a run of `close`, which
is over before anybody could ask and leaves a file for node_exporter's textfile collector.
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
"""Without a step of a close or a turn of the loop: a large file's upload may take its time."""


class SchedulerWatch:
    """Watches a scheduler and its closes; it stands between the scheduler and its `stop`, which is
    asked to pass the time at each turn of the loop.

    now: the clock, which says UTC. clock: seconds of one that never goes back.
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
        """See Stop.asked."""
        return self._stop.requested

    def wait(self, seconds: float) -> None:
        """See Stop.wait: the loop has turned, and was a pass where the lease is held."""
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
        """Whether the loop turns, or a close goes on."""
        since = self._clock() - self._alive_at
        return Health(since < _LIVE_SECONDS, {"seconds_since_turn": round(since, 1)})

    def ready(self) -> Health:
        """Whether it stands by, or has the lease and went through all that was due."""
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
    """Watch the closes within the context, and write the metrics at its end; without a file, don't.

    What the file told of other closes stays in it. No close fails for it.
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
        write_to_textfile(str(file), metrics.registry)  # aside, then renamed
    except OSError as error:
        log.error("metrics not written", file=str(file), error=str(error))


def _go_on_from(metrics: CloseMetrics, file: Path, exports: list[str]) -> None:
    try:
        metrics.go_on_from(file.read_text(encoding="utf-8"), exports)
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        log.warning("earlier metrics not read", file=str(file), error=str(error))
