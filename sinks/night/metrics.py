"""Prometheus metrics of exports and their closes (docs/observing.md).

The state of an export is read from its ledger at each scrape, whichever process closed it. Moments
are exposed as timestamps, not as ages: then a rule that compares them with the current time also
fires if a process no longer updates them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from sinks.closing.observer import AttemptResult, CloseStep
from sinks.rules.outcome import Outcome as RowOutcome
from sinks.setup import Sinks
from sinks.status.exports import ExportStanding, standing_of

__all__ = ["CloseMetrics"]

log = structlog.get_logger(__name__)

_TROUBLE: Final = (AttemptResult.WAITING, AttemptResult.HELD, AttemptResult.FAILED)
_STEPS: Final = "deltadrop_close_step_duration_seconds"
_ATTEMPTS: Final = "deltadrop_close_attempts"
_TROUBLES: Final = "deltadrop_export_trouble"


class CloseMetrics:
    """Metrics of exports, and of this process's closes; a `sinks.closing.observer.Watcher`.

    sinks: returns the parts of the installation; called from any thread. now: returns the time in
    UTC.
    """

    def __init__(self, sinks: Callable[[], Sinks], now: Callable[[], dt.datetime]) -> None:
        self.registry = CollectorRegistry()
        self._attempts = Counter(
            _ATTEMPTS, "Attempts at a close.", ["export", "result"], registry=self.registry
        )
        for export in sinks().exports:
            for result in AttemptResult:
                self._attempts.labels(export.name, result)  # from 0: a first increase is seen
        self._steps = Gauge(
            _STEPS,
            "How long each step took in the export's last close.",
            ["export", "step"],
            registry=self.registry,
        )
        self._ended: dict[str, tuple[dt.datetime | None, AttemptResult]] = {}
        self.registry.register(_Exports(sinks, now, self._result))

    def took(self, export: str, step: CloseStep, seconds: float) -> None:
        """See Watcher.took."""
        self._steps.labels(export, step).set(seconds)

    def ended(self, export: str, instant: dt.datetime, result: AttemptResult) -> None:
        """See Watcher.ended."""
        self._attempts.labels(export, result).inc()
        self._ended[export] = instant, result

    def go_on_from(self, text: str, exports: Sequence[str]) -> None:
        """Continue the counts that an earlier process wrote for these exports' closes.

        Raises ValueError if the text isn't in the format of metrics.
        """
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                labels, value = sample.labels, sample.value
                if labels.get("export") not in exports:
                    continue
                if family.name == _STEPS:
                    self._steps.labels(**labels).set(value)
                elif family.name == _ATTEMPTS:
                    self._attempts.labels(**labels).inc(value)
                elif family.name == _TROUBLES and value:
                    self._ended[labels["export"]] = None, AttemptResult(labels["kind"])

    def _result(self, export: str, instant: dt.datetime) -> AttemptResult | None:
        """Return the result of the last attempt to close an export's window; None if none."""
        about, result = self._ended.get(export, (None, None))
        return result if about in (None, instant) else None


class _Exports(Collector):
    """Metrics of the exports that are defined at the moment, read from the ledger."""

    def __init__(
        self,
        sinks: Callable[[], Sinks],
        now: Callable[[], dt.datetime],
        result: Callable[[str, dt.datetime], AttemptResult | None],
    ) -> None:
        self._sinks = sinks
        self._now = now
        self._result = result
        self._known: dict[str, ExportStanding] = {}

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the current values."""
        standings = list(self._standings())
        yield from _moments(standings)
        yield from _last_drops(standings)
        yield _family("due_windows", "Windows that have ended and aren't closed.", standings, _due)
        trouble = GaugeMetricFamily(
            _TROUBLES,
            "1 where the last attempt at the export's oldest open window ended so.",
            labels=["export", "kind"],
        )
        for standing in standings:
            result = self._result(standing.export, standing.open_until) if standing.due else None
            for kind in _TROUBLE:
                trouble.add_metric([standing.export, kind], float(result is kind))
        yield trouble

    def _standings(self) -> Iterator[ExportStanding]:
        """Return where each export stands. If one can't be read now, its last value stays, so that
        its alarms don't fall silent.
        """
        sinks, now = self._sinks(), self._now()
        for export in sinks.exports:
            try:
                self._known[export.name] = standing_of(export, sinks.ledger, now)
            except Exception as error:
                log.warning("ledger not read", export=export.name, error=str(error))
            if export.name in self._known:
                yield self._known[export.name]


def _moments(standings: Sequence[ExportStanding]) -> Iterator[GaugeMetricFamily]:
    yield _family(
        "open_since_timestamp_seconds",
        "Where the oldest window that isn't closed begins.",
        standings,
        lambda standing: standing.open_since.timestamp(),
    )
    yield _family(
        "deliver_by_timestamp_seconds",
        "By when the drop of the oldest window that isn't closed must be delivered.",
        standings,
        lambda standing: standing.deliver_by.timestamp() if standing.deliver_by else None,
    )
    yield _family(
        "next_close_timestamp_seconds",
        "When the export closes next.",
        standings,
        lambda standing: standing.next_close.timestamp(),
    )
    yield _family(
        "closed_until_timestamp_seconds",
        "Where the last window that was closed, or begun to be, ends; never to come.",
        standings,
        lambda standing: standing.closed_until.timestamp() if standing.closed_until else None,
    )
    yield _family(
        "last_success_timestamp_seconds",
        "When a drop was last delivered.",
        standings,
        lambda standing: (
            dt.datetime.fromisoformat(standing.last.finished_at).timestamp()
            if standing.last
            else None
        ),
    )


def _last_drops(standings: Sequence[ExportStanding]) -> Iterator[GaugeMetricFamily]:
    yield _family(
        "last_drop_rows",
        "Rows of the last drop.",
        standings,
        lambda standing: standing.last.rows if standing.last else None,
    )
    yield _family(
        "last_drop_bytes",
        "Bytes of the last drop.",
        standings,
        lambda standing: standing.last.size if standing.last else None,
    )
    yield _family(
        "last_drop_dead_letters",
        "Dead letters in the last drop's window.",
        standings,
        lambda standing: (
            standing.last.balance.get(RowOutcome.DEAD_LETTER.label, 0) if standing.last else None
        ),
    )
    yield _family(
        "last_drop_late_rows",
        "Rows of the last drop of days before its window.",
        standings,
        lambda standing: sum(standing.last.late_rows.values()) if standing.last else None,
    )


def _due(standing: ExportStanding) -> float:
    return standing.due


def _family(
    name: str,
    text: str,
    standings: Sequence[ExportStanding],
    value: Callable[[ExportStanding], float | None],
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"deltadrop_export_{name}", text, labels=["export"])
    for standing in standings:
        figure = value(standing)
        if figure is not None:
            family.add_metric([standing.export], figure)
    return family
