"""The command `trace`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Annotated
from uuid import UUID

import typer

from schemas.errors import Fault, WrongInputError
from schemas.printing import say, say_json, say_text
from schemas.settings.settings import load_settings
from sinks.commands.options import AsJson, Config
from sinks.service.trace import (
    EventTraceRequest,
    ProfileTraceRequest,
    trace_events_of_profile,
    trace_one_event,
)
from sinks.setup import Sinks

__all__ = ["trace"]

NOT_FOUND = 1
"""Exit code if nothing was found."""

_EVENTS = 20


_EventId = Annotated[
    str | None, typer.Argument(metavar="[EVENT_ID]", help="The event's id, a UUID.")
]
_Profile = Annotated[int | None, typer.Option(help="A profile's events instead.")]
_Database = Annotated[
    str | None, typer.Option(help="The profile's; needed where there are several.")
]
_Exports = Annotated[list[str] | None, typer.Option(help="Of a profile: in these exports only.")]
_Close = Annotated[
    str | None, typer.Option(help="Of a profile: what one close of --export judged, with lines.")
]
_Last = Annotated[
    int | None, typer.Option(help=f"Of a profile: how many events at most; {_EVENTS} without.")
]
_Day = Annotated[
    str | None, typer.Option(help="Of an event: its UTC day of append, if you know it.")
]


def trace(
    event_id: _EventId = None,
    *,
    profile: _Profile = None,
    database: _Database = None,
    export: _Exports = None,
    close: _Close = None,
    last: _Last = None,
    day: _Day = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Show where an event, or those of a profile, went: drops, or the rule that left it out.

    For an event: its partition and files, and in each export its window, drop and line. Nothing
    personal is shown. Exits with 0 if something was found, 1 if nothing.
    """
    of_profile = {"--database": database, "--export": export, "--close": close, "--last": last}
    _refuse_flags(event_id, profile, of_profile, day)
    sinks = Sinks.of(load_settings(config))
    if profile is None:
        found = trace_one_event(sinks, EventTraceRequest(_uuid(str(event_id)), _day(day)))
        missing = f"no event {event_id} is stored" + (f" on {day}" if day else "")
    else:
        most = _positive(_EVENTS if last is None else last)
        request = ProfileTraceRequest(profile, most, database, tuple(export or ()), close)
        found = trace_events_of_profile(sinks, request)
        missing = f"no event of profile {profile} was found"
    if not found.events:
        say(missing, err=True)
    if as_json:
        say_json(found.to_json(), indent=2)
    elif text := str(found):
        say_text(text)
    if not found.is_found:
        raise typer.Exit(NOT_FOUND)


def _refuse_flags(
    event_id: str | None, profile: int | None, of_profile: Mapping[str, object], day: str | None
) -> None:
    usage = "trace EVENT_ID, or trace --profile ID"
    faults = []
    if (event_id is None) == (profile is None):
        what = "neither an event nor a profile is named" if profile is None else "both are named"
        faults.append(Fault("trace", what, usage))
    elif profile is None:
        given = [flag for flag, value in of_profile.items() if value]
        faults += [Fault(flag, "is for --profile only", usage) for flag in given]
    elif day is not None:
        faults.append(Fault("--day", "is for an event only", usage))
    if of_profile["--close"] and not of_profile["--export"]:
        faults.append(Fault("--close", "names no export", "add --export NAME"))
    if faults:
        raise WrongInputError(faults)


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        hint = "write it as 0b1f6a52-7c1e-4d0b-9f5e-2f6f4f6f6f6f"
        raise WrongInputError([Fault("EVENT_ID", f"'{text}' isn't a UUID", hint)]) from None


def _day(text: str | None) -> dt.date | None:
    if text is None:
        return None
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        hint = "write it as 2026-03-28"
        raise WrongInputError([Fault("--day", f"'{text}' isn't a day", hint)]) from None


def _positive(number: int) -> int:
    if number < 1:
        raise WrongInputError([Fault("--last", f"{number} isn't a number of events", "1 or more")])
    return number
