"""Metrics and health of a worker.

The worker's loop and its writing threads set the values; another thread serves them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from streams.clock_watch import WrongTimes
from streams.serving import Health
from streams.writing.batch import Written

__all__ = ["WorkerMetrics", "WorkerPosition"]

_LIVE_SECONDS: Final = 60.0
"""The loop turns five times a second; after this many seconds without a turn it counts as dead."""
_LATE_BATCHES: Final = 3.0
"""A worker isn't ready if events wait and none was stored for this many `worker.batch_seconds`."""
_LEAST_LIMIT: Final = 60.0  # seconds; a broker's restart takes less
_BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)  # seconds


@dataclass(frozen=True, slots=True)
class WorkerPosition:
    """The position of a worker.

    lags: by topic and partition, for each assigned partition, the number of offsets not stored yet
    (None before the first fetch). bytes_in_flight: bytes of records in memory. set_aside: by topic
    and partition. missing: topics that don't exist.
    """

    lags: Mapping[tuple[str, int], int | None] = field(default_factory=dict)
    bytes_in_flight: int = 0
    set_aside: Collection[tuple[str, int]] = ()
    missing: Collection[str] = ()

    @property
    def lag(self) -> int:
        """The lag of all partitions together, without those that are set aside."""
        return sum(lag or 0 for place, lag in self.lags.items() if place not in self.set_aside)

    def set_aside_of(self, topic: str) -> int:
        """Number of partitions of a topic that are set aside; a missing topic counts as one."""
        return sum(own == topic for own, _ in self.set_aside) + (topic in self.missing)


class WorkerMetrics:
    """A worker's metrics.

    topics: all topics that the worker may read. batch_seconds: the longest time until gathered
    records are stored. now: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        topics: Iterable[str],
        batch_seconds: float = 60.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.registry = CollectorRegistry()
        self._limit = max(_LATE_BATCHES * batch_seconds, _LEAST_LIMIT)
        self._now = now
        self._turned = self._idle_until = now()
        self._stored_at: float | None = None
        self._standing = WorkerPosition()
        self._make(topics)

    def _make(self, topics: Iterable[str]) -> None:
        """Make the metrics. Each topic's begin at 0, so that the first increase is visible."""
        registry = self.registry
        ProcessCollector(registry=registry)
        topics = list(topics)
        registry.register(_Standings(lambda: self._standing, topics))

        def counter(name: str, help_text: str) -> Counter:
            return Counter(f"deltadrop_worker_{name}", help_text, ["topic"], registry=registry)

        self._rows = counter("rows", "Events stored.")
        self._dead = counter("dead_letters", "Events sent to the dead-letter topic.")
        self._bytes = counter("bytes", "Bytes of records stored, as Kafka had them.")
        self._failures = counter("write_failures", "Attempts to store a batch that failed.")
        self._ahead = counter("append_times_ahead", "Events stamped ahead of the worker's clock.")
        self._back = counter("append_times_back", "Events stamped earlier than one before them.")
        self._seconds = Histogram(
            "deltadrop_worker_write_duration_seconds",
            "How long it took to store a batch.",
            ["topic"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self._last = Gauge(
            "deltadrop_worker_last_write_timestamp_seconds",
            "When a batch was last stored.",
            ["topic"],
            registry=registry,
        )
        for topic in topics:
            counters = (
                self._rows,
                self._dead,
                self._bytes,
                self._failures,
                self._ahead,
                self._back,
            )
            for metric in (*counters, self._seconds):
                metric.labels(topic)

    def turned(self, standing: WorkerPosition | None = None) -> None:
        """Record that the worker's loop turned, and the position that it found, if any."""
        self._turned = self._now()
        if standing is None:
            return
        if standing.lag == 0:
            self._idle_until = self._turned
        self._standing = standing

    def wrote(self, topic: str, written: Written, seconds: float) -> None:
        """Record that a batch was stored; seconds: how long that took."""
        self._rows.labels(topic).inc(written.rows)
        self._dead.labels(topic).inc(written.dead_letters)
        self._bytes.labels(topic).inc(written.nbytes)
        self._seconds.labels(topic).observe(seconds)
        self._last.labels(topic).set_to_current_time()
        self._stored_at = self._now()

    def stamped(self, topic: str, wrong: WrongTimes) -> None:
        """Record the append times of a wrong clock in a batch that was stored."""
        self._ahead.labels(topic).inc(wrong.ahead)
        self._back.labels(topic).inc(wrong.back)

    def not_written(self, topic: str) -> None:
        """Record that an attempt to store a batch failed."""
        self._failures.labels(topic).inc()

    def live(self) -> Health:
        """Whether the loop turns."""
        since = self._now() - self._turned
        return Health(since < _LIVE_SECONDS, {"seconds_since_turn": round(since, 1)})

    def ready(self) -> Health:
        """Whether partitions are assigned and, if events wait, some were stored recently."""
        standing = self._standing
        since = self._now() - max(self._idle_until, self._stored_at or self._idle_until)
        behind = standing.lag > 0 and since >= self._limit
        facts = {
            "partitions": len(standing.lags),
            "lag": standing.lag,
            "seconds_without_storing": round(since, 1) if standing.lag else 0.0,
        }
        return Health(bool(standing.lags) and not behind, facts)


class _Standings(Collector):
    """Collector of the series of a worker's current position; only of assigned partitions."""

    def __init__(self, standing: Callable[[], WorkerPosition], topics: Sequence[str]) -> None:
        self._standing = standing
        self._topics = topics

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the series with their current values."""
        standing = self._standing()
        lag = GaugeMetricFamily(
            "deltadrop_worker_lag_offsets",
            "Offsets that are in Kafka and not stored yet.",
            labels=["topic", "partition"],
        )
        for (topic, partition), offsets in sorted(standing.lags.items()):
            if offsets is not None:
                lag.add_metric([topic, str(partition)], offsets)
        yield lag
        aside = GaugeMetricFamily(
            "deltadrop_worker_set_aside_partitions",
            "Partitions that can't go on; 1 where the topic is missing.",
            labels=["topic"],
        )
        for topic in self._topics:
            aside.add_metric([topic], standing.set_aside_of(topic))
        yield aside
        yield GaugeMetricFamily(
            "deltadrop_worker_assigned_partitions",
            "Partitions that this worker reads.",
            len(standing.lags),
        )
        yield GaugeMetricFamily(
            "deltadrop_worker_in_flight_bytes",
            "Bytes of records in memory, not stored yet.",
            standing.bytes_in_flight,
        )
