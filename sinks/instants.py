"""Close instants: every day at the same local hour, also across clock changes (SPEC §4)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated, TypeAlias
from zoneinfo import ZoneInfo

from streams.storage.paths import NamePart


def close_instant(day: dt.date, at: dt.time, zone: ZoneInfo) -> dt.datetime:
    """The UTC instant of a local hour on a day.

    If a clock change skips the hour, it is the end of the gap. If the hour occurs twice, it is the
    first occurrence.
    """
    local = dt.datetime.combine(day, at, tzinfo=zone)  # fold=0: the first of two
    instant = local.astimezone(dt.UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None):
        return instant
    return _end_of_gap(local)


def _end_of_gap(local: dt.datetime) -> dt.datetime:
    # PEP 495: in a gap, fold=0 uses the offset before the change, fold=1 the offset after it.
    before, after = local.utcoffset(), local.replace(fold=1).utcoffset()
    assert before is not None
    assert after is not None
    low = (local.replace(tzinfo=None) - after).replace(tzinfo=dt.UTC)
    high = (local.replace(tzinfo=None) - before).replace(tzinfo=dt.UTC)
    while high - low > dt.timedelta(microseconds=1):
        middle = low + (high - low) / 2
        if middle.astimezone(local.tzinfo).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high


def due_instants(
    after: dt.datetime, until: dt.datetime, at: dt.time, zone: ZoneInfo
) -> Iterator[dt.datetime]:
    """Yield the close instants in `(after, until]`, oldest first, each once.

    A zone that skips a whole day (as Samoa did) may have the same instant for two days.
    """
    day = after.astimezone(zone).date() - dt.timedelta(days=1)
    while day <= until.astimezone(zone).date() + dt.timedelta(days=1):
        instant = close_instant(day, at, zone)
        if after < instant <= until:
            yield instant
            after = instant
        day += dt.timedelta(days=1)


def day_before(instant: dt.datetime, at: dt.time, zone: ZoneInfo) -> dt.datetime:
    """The close instant of the day before `instant`: where a new export's first window begins.

    at: the export's hour; if `instant` isn't at that hour, its own local hour is used.
    """
    local = instant.astimezone(zone)
    hour = at if close_instant(local.date(), at, zone) == instant else local.time()
    return close_instant(local.date() - dt.timedelta(days=1), hour, zone)


def utc_now() -> dt.datetime:
    """The current time of this machine's clock, in UTC."""
    return dt.datetime.now(dt.UTC)


def stamp(instant: dt.datetime) -> str:
    """The text of an instant in paths and drop ids: `20260328T050000.000Z`; texts sort by time."""
    utc = instant.astimezone(dt.UTC)
    return f"{utc:%Y%m%dT%H%M%S}.{utc.microsecond // 1000:03d}Z"


def parse_stamp(text: str) -> dt.datetime:
    """Parse the output of `stamp`; ValueError for any other text."""
    instant = dt.datetime.fromisoformat(text)  # a tenth of strptime's time: ledgers have thousands
    if stamp(instant) != text:
        raise ValueError(f"{text} isn't of the form 20260328T050000.000Z")
    return instant


Instant: TypeAlias = Annotated[
    dt.datetime,
    NamePart(
        r"[0-9]{8}T[0-9]{6}\.[0-9]{3}Z",
        lru_cache(65_536)(parse_stamp),  # ledgers have thousands, each in many names
        lru_cache(65_536)(stamp),
        "YYYYMMDDTHHMMSS.mmmZ",
    ),
]
"""An instant as a part of a stored file's name."""


def parse_zoned(text: str) -> dt.datetime:
    """Parse an instant in ISO 8601 with its zone, and return it in UTC.

    Raises ValueError if it has another form, no zone, or is out of range.
    """
    instant = dt.datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError(f"{text} has no zone")
    try:
        return instant.astimezone(dt.UTC)
    except OverflowError as error:  # on Python's first or last day
        raise ValueError(f"{text} is out of range") from error


def milliseconds(instant: dt.datetime) -> int:
    """An instant in UTC milliseconds since 1970, as in Kafka."""
    return int((instant - _EPOCH) / dt.timedelta(milliseconds=1))


_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
