"""Append times as moments: UTC milliseconds of a broker's clock, which may be wrong."""

from __future__ import annotations

import datetime as dt

from schemas.bounds import FIRST_MOMENT_MS, LAST_MOMENT_MS

__all__ = ["moment_of", "moment_text", "nearest_moment"]


def moment_of(milliseconds: int) -> dt.datetime:
    """The moment of UTC milliseconds since 1970.

    Values outside the range of moments (SPEC §6), from a broken clock, give the nearest moment.
    """
    since = dt.timedelta(milliseconds=nearest_moment(milliseconds))
    return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + since


def nearest_moment(milliseconds: int) -> int:
    """The UTC milliseconds that are nearest to these, within the range of moments (SPEC §6)."""
    return min(max(milliseconds, FIRST_MOMENT_MS), LAST_MOMENT_MS)


def moment_text(milliseconds: int) -> str:
    """The moment of UTC milliseconds as text: ISO 8601 in UTC, with milliseconds."""
    return moment_of(milliseconds).isoformat(timespec="milliseconds")
