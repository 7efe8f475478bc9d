"""When a close that didn't succeed is tried again: soon, then with longer pauses, without end."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

from schemas.backoff import Backoff
from schemas.settings.settings import ScheduleSettings

__all__ = ["Retries"]


@dataclass(frozen=True, slots=True)
class _Retry:
    since: dt.datetime
    attempts: int
    at: dt.datetime
    pause: dt.timedelta

    def is_due(self, now: dt.datetime) -> bool:
        """Whether the pause is over. It also counts as over if more time is left than the whole
        pause: then the clock was ahead, and has been corrected.
        """
        return self.at <= now or self.at - now > self.pause


class Retries:
    """The exports whose last attempt didn't succeed."""

    def __init__(self, settings: ScheduleSettings) -> None:
        self._backoff = Backoff(settings.retry_seconds, settings.retry_limit_seconds)
        self._of: dict[str, _Retry] = {}

    def is_due(self, export: str, now: dt.datetime) -> bool:
        """Whether an export may be tried now; True if it has no failed attempt."""
        return export not in self._of or self._of[export].is_due(now)

    def succeeded(self, export: str) -> None:
        """Forget the failures of an export."""
        self._of.pop(export, None)

    def failed(self, export: str, now: dt.datetime) -> dt.datetime:
        """Record a failure; return when to try again: after longer pauses, up to a limit."""
        before = self._of.get(export)
        attempts = before.attempts + 1 if before else 1
        return self._note(export, now, attempts, self._backoff.pause(attempts))

    def waits(self, export: str, now: dt.datetime) -> dt.datetime:
        """Record that the workers are behind; return when to try again. This is no failure, so the
        pause stays short.
        """
        return self._note(export, now, 0, self._backoff.first)

    def waited(self, export: str, now: dt.datetime) -> float:
        """Return the seconds since an export's first attempt without success; 0 without one."""
        return (now - self._of[export].since).total_seconds() if export in self._of else 0.0

    def keep(self, exports: Collection[str]) -> None:
        """Forget all other exports: they were closed by hand, or are no longer defined."""
        self._of = {name: retry for name, retry in self._of.items() if name in exports}

    def next(self) -> dt.datetime | None:
        """Return the earliest moment at which an export is tried again; None without one."""
        return min((retry.at for retry in self._of.values()), default=None)

    def _note(self, export: str, now: dt.datetime, attempts: int, pause: float) -> dt.datetime:
        before = self._of.get(export)
        since = min(before.since, now) if before else now
        lasts = dt.timedelta(seconds=pause)
        self._of[export] = _Retry(since, attempts, now + lasts, lasts)
        return now + lasts
