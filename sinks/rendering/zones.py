"""Time zones of exports: their names and rules.

The rules come from the `tzdata` package, never from the machine. Its version is locked with the
project, so that a drop made again on another machine has the same bytes.
"""

from __future__ import annotations

import io
from functools import cache
from importlib import resources
from zoneinfo import ZoneInfo

__all__ = ["tzif", "zone", "zone_names"]


@cache
def zone_names() -> frozenset[str]:
    """The names of time zones that a definition may use: those of the `tzdata` package."""
    return frozenset((resources.files("tzdata") / "zones").read_text("utf-8").split())


@cache
def zone(name: str) -> ZoneInfo:
    """The time zone called `name`; raises KeyError if `tzdata` doesn't have it."""
    return ZoneInfo.from_file(io.BytesIO(tzif(name)), key=name)


@cache
def tzif(name: str) -> bytes:
    """The TZif file (RFC 8536) of a time zone; raises KeyError if `tzdata` doesn't have it."""
    if name not in zone_names():
        raise KeyError(name)
    return resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes()
