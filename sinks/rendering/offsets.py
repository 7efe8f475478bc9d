"""UTC offsets of a time zone for whole arrays of moments. Source: RFC 8536 (TZif)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np

from sinks.rendering.digits import Whole
from sinks.rendering.zones import tzif, zone

__all__ = ["OffsetTable", "offset_table", "utc_offsets"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STEP_SECONDS = 28 * 86_400
"""The search for yearly clock changes takes steps of four weeks: no zone's rule changes the clock
twice within one (a test checks it).
"""
_GREGORIAN_CYCLE_SECONDS = 146_097 * 86_400
"""400 years, after which the calendar with its week days repeats, and so every clock change."""


def utc_offsets(moments: Whole, name: str) -> Whole:
    """UTC offsets in milliseconds at UTC moments (milliseconds); a single one if all are equal."""
    table = offset_table(name)
    if not moments.size:
        return np.zeros(1, np.int64)
    if moments.max() >= table.cycle_start + _GREGORIAN_CYCLE_SECONDS * 1000:
        moments = _into_first_cycle(moments, table.cycle_start)
    first = int(np.searchsorted(table.instants, moments.min(), side="right"))
    last = int(np.searchsorted(table.instants, moments.max(), side="right"))
    if first == last:
        return table.offsets[first : first + 1]
    passed = np.searchsorted(table.instants[first:last], moments, side="right")
    return table.offsets[first : last + 1][passed]


@dataclass(frozen=True, slots=True)
class OffsetTable:
    """A zone's clock changes, in milliseconds.

    instants: UTC. offsets: `offsets[i]` applies before `instants[i]`; the last offset applies
    after the last instant.
    cycle_start: from here on the changes repeat every 400 years.
    """

    instants: Whole
    offsets: Whole
    cycle_start: int


def _into_first_cycle(moments: Whole, start: int) -> Whole:
    cycle = _GREGORIAN_CYCLE_SECONDS * 1000
    return np.where(moments >= start + cycle, start + (moments - start) % cycle, moments)


@cache
def offset_table(name: str) -> OffsetTable:
    """All clock changes of a zone: the recorded ones, then 400 years by its yearly rule."""
    recorded = _recorded_changes(tzif(name))
    start = recorded[-1] if recorded else 0
    changes = recorded + _yearly_changes(name, start)
    before = changes[0] - 1 if changes else 0
    return OffsetTable(
        instants=np.array(changes, dtype=np.int64) * 1000,
        offsets=np.array([_offset(name, at) for at in (before, *changes)], dtype=np.int64) * 1000,
        cycle_start=start * 1000,
    )


def _yearly_changes(name: str, start: int) -> list[int]:
    """Clock changes by the zone's yearly rule in the 400 years after `start`; UTC seconds."""
    changes: list[int] = []
    offset = _offset(name, start)
    for end in range(
        start + _STEP_SECONDS, start + _GREGORIAN_CYCLE_SECONDS + _STEP_SECONDS, _STEP_SECONDS
    ):
        if (new := _offset(name, end)) != offset:
            changes.append(_change_between(name, end - _STEP_SECONDS, end))
            offset = new
    return changes


def _change_between(name: str, low: int, high: int) -> int:
    before = _offset(name, low)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(name, middle) == before:
            low = middle
        else:
            high = middle
    return high


def _offset(name: str, seconds: int) -> int:
    offset = (_EPOCH + timedelta(seconds=seconds)).astimezone(zone(name)).utcoffset()
    assert offset is not None
    return int(offset.total_seconds())


def _recorded_changes(tzif: bytes) -> list[int]:
    """Instants (UTC seconds) of the clock changes that the 64-bit block of a TZif file lists."""
    first = _Header.read(tzif, 0)
    second = _Header.read(tzif, first.end(time_size=4))
    begin = second.begin
    return list(struct.unpack_from(f">{second.times}q", tzif, begin))


@dataclass(frozen=True, slots=True)
class _Header:
    begin: int
    isutcs: int
    isstds: int
    leaps: int
    times: int
    types: int
    chars: int

    @classmethod
    def read(cls, tzif: bytes, at: int) -> _Header:
        return cls(at + 44, *struct.unpack_from(">6l", tzif, at + 20))

    def end(self, time_size: int) -> int:
        transitions = self.times * (time_size + 1)
        leaps = self.leaps * (time_size + 4)
        return (
            self.begin
            + transitions
            + self.types * 6
            + self.chars
            + leaps
            + self.isstds
            + self.isutcs
        )
