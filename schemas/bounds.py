"""The range of moments and dates that may be stored (SPEC §6): every engine and format has it.

Moments exclude the first and the last day, so that they stay in the years 1 to 9999 in every time
zone.
"""

from __future__ import annotations

from datetime import date
from typing import Final

__all__ = ["FIRST_DAY", "FIRST_MOMENT_MS", "LAST_DAY", "LAST_MOMENT_MS"]

_EPOCH: Final = date(1970, 1, 1).toordinal()
_MS_PER_DAY: Final = 86_400_000

FIRST_DAY: Final = date.min.toordinal() - _EPOCH
"""0001-01-01, in days since 1970."""

LAST_DAY: Final = date.max.toordinal() - _EPOCH
"""9999-12-31, in days since 1970."""

FIRST_MOMENT_MS: Final = (FIRST_DAY + 1) * _MS_PER_DAY
"""0001-01-02T00:00:00.000Z, in milliseconds since 1970."""

LAST_MOMENT_MS: Final = LAST_DAY * _MS_PER_DAY - 1
"""9999-12-30T23:59:59.999Z, in milliseconds since 1970."""
