"""Pauses between attempts at something that failed."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Backoff"]

_MOST_DOUBLINGS = 60  # a pause beyond any lifetime, which a float can still hold


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses in seconds: `first` after the first attempt, then doubled each time, up to
    `longest`.
    """

    first: float
    longest: float = math.inf

    def pause(self, attempt: int) -> float:
        """Return the pause in seconds after attempt number `attempt`, counted from 1."""
        doublings = min(max(attempt - 1, 0), _MOST_DOUBLINGS)
        return float(min(self.first * 2**doublings, self.longest))
