"""An event as upstream Python hands it over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

__all__ = ["Event"]


@dataclass(frozen=True, slots=True)
class Event:
    """What happened (SPEC §1, §8).

    kind, event_type, source: members of the enums of `schemas.events`, or their text.
    occurred_at: the moment of the fact itself, with a time zone.
    payload: the keys of SPEC §8 for this kind and event type. Moments are datetimes with a zone,
    dates are dates, decimals are Decimals.
    event_id: publishing an event again with the same id, within 48 hours, changes nothing; without
    one it gets a new id each time.
    """

    kind: str
    event_type: str
    database: str
    source: str
    occurred_at: datetime
    payload: Mapping[str, object]
    event_id: UUID | None = None
