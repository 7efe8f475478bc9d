"""Trace what became of an event, or of the events of a profile."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from schemas.definitions.definitions import choices
from schemas.errors import Fault, WrongInputError
from schemas.topics import dead_letter_topic
from sinks.instants import parse_zoned
from sinks.setup import Sinks
from sinks.tracing.finding import Days
from sinks.tracing.trace import Trace, TraceScope, trace_event, trace_profile
from streams.dead_letters.read import LetterReader

__all__ = ["EventTraceRequest", "ProfileTraceRequest", "trace_events_of_profile", "trace_one_event"]

_SHOWN_CLOSES: Final = 3


@dataclass(frozen=True, slots=True)
class EventTraceRequest:
    """An event by its id. day: the UTC day of its append; None if unknown."""

    event_id: UUID
    day: dt.date | None = None


@dataclass(frozen=True, slots=True)
class ProfileTraceRequest:
    """The latest events of a profile, at most `most`.

    database: None if the installation has only one. exports: names; empty for all. close: trace
    only what one close of these exports decided; its instant as `history` prints it.
    """

    profile: int
    most: int
    database: str | None = None
    exports: tuple[str, ...] = ()
    close: str | None = None


def trace_one_event(sinks: Sinks, request: EventTraceRequest) -> Trace:
    """Find an event and its repeats, and what became of them; raises as `trace_event` does."""
    days = Days() if request.day is None else Days(request.day, request.day)
    return trace_event(sinks, request.event_id, days, _letters(sinks))


def trace_events_of_profile(sinks: Sinks, request: ProfileTraceRequest) -> Trace:
    """Find events of a profile, and what became of them.

    Raises WrongInputError if the database, an export or the close doesn't exist.
    """
    exports = _exports(sinks, request.exports)
    scope = TraceScope(exports, _instant(sinks, exports, request.close), request.most)
    return trace_profile(sinks, request.profile, _database(sinks, request.database), scope)


def _letters(sinks: Sinks) -> LetterReader:
    kafka = sinks.settings.kafka
    return LetterReader(dead_letter_topic(kafka.topic_prefix), kafka)


def _database(sinks: Sinks, name: str | None) -> str:
    known = sorted(sinks.streams.catalog.databases)
    if name is None and len(known) == 1:
        return known[0]
    if name is None:
        raise WrongInputError([Fault("--database", "is missing", choices("", known))])
    if name not in known:
        raise WrongInputError(
            [Fault("--database", f"there is no database '{name}'", choices(name, known))]
        )
    return name


def _exports(sinks: Sinks, names: Sequence[str] | None) -> tuple[str, ...] | None:
    if not names:
        return None
    known = sorted({*sinks.ledger.exports(), *(export.name for export in sinks.exports)})
    unknown = [name for name in names if name not in known]
    if unknown:
        raise WrongInputError(
            [
                Fault("--export", f"there is no export '{name}'", choices(name, known))
                for name in unknown
            ]
        )
    return tuple(names)


def _instant(sinks: Sinks, exports: Sequence[str] | None, text: str | None) -> dt.datetime | None:
    if text is None or not exports:
        return None
    closes = sorted({at for name in exports for at in sinks.ledger.closes(name)})
    latest = ", ".join(at.isoformat() for at in closes[-_SHOWN_CLOSES:]) or "none"
    try:
        instant = parse_zoned(text)
    except ValueError:
        hint = f"write it with its zone, as `history` shows it; the latest: {latest}"
        raise WrongInputError([Fault("--close", f"'{text}' isn't an instant", hint)]) from None
    if instant not in closes:
        what = f"nothing was closed at {text}"
        raise WrongInputError([Fault("--close", what, f"the latest closes: {latest}")])
    return instant
