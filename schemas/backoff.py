"""How long to wait before something that failed is tried again."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Backoff"]

_MOST_DOUBLINGS = 60  # of any pause, far beyond a lifetime, and a float still holds it


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses in seconds: `first` after the first attempt, then twice as long each time, up to
    `longest`.
    """

    first: float
    longest: float = math.inf

    def pause(self, attempt: int) -> float:
        """Return the pause after an attempt, of which the first is number 1."""
        doublings = min(max(attempt - 1, 0), _MOST_DOUBLINGS)
        return float(min(self.first * 2**doublings, self.longest))
