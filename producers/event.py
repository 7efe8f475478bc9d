"""An event as Python code upstream publishes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

__all__ = ["Event"]


@dataclass(frozen=True, slots=True)
class Event:
    """A fact that happened (SPEC §1, §8).

    kind, event_type, source: members of the enums of `schemas.events`, or their text. occurred_at:
    the moment of the fact itself, with a time zone. payload: the keys of SPEC §8 for this kind and
    event type. Moments are datetimes with a zone, dates are dates, decimals are Decimals. event_id:
    if an event is published again with the same id within 48 hours, nothing changes. Without an id,
    it gets a new one each time.
    """

    kind: str
    event_type: str
    database: str
    source: str
    occurred_at: datetime
    payload: Mapping[str, object]
    event_id: UUID | None = None
