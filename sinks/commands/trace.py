"""The command `trace`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Annotated
from uuid import UUID

import typer

from schemas.definitions.definitions import choices
from schemas.errors import Fault, WrongInputError
from schemas.settings.settings import load_settings
from schemas.topics import dead_letter_topic
from sinks.commands.options import AsJson, Config
from sinks.instants import parse_zoned
from sinks.setup import Sinks
from sinks.tracing.finding import Days
from sinks.tracing.trace import TraceScope, trace_event, trace_profile
from streams.dead_letters.read import LetterReader

__all__ = ["trace"]

NOT_FOUND = 1
"""Exit code where nothing was found."""

_EVENTS = 20
_SHOWN_CLOSES = 3


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
    """Tell where an event, or those of a profile, went: drops, or the rule that kept it out.

    Of an event: its partition and files, and in each export its window, drop and line. Nothing
    personal is shown. Exits with 0 if something was found, 1 if nothing.
    """
    of_profile = {"--database": database, "--export": export, "--close": close, "--last": last}
    _refuse_flags(event_id, profile, of_profile, day)
    sinks = Sinks.of(load_settings(config))
    if profile is None:
        found = trace_event(sinks, _uuid(str(event_id)), _days(day), _letters(sinks))
        missing = f"no event {event_id} is stored" + (f" on {day}" if day else "")
    else:
        most = _positive(_EVENTS if last is None else last)
        scope = TraceScope(_exports(sinks, export), _instant(sinks, export, close), most)
        found = trace_profile(sinks, profile, _database(sinks, database), scope)
        missing = f"no event of profile {profile} was found"
    if not found.events:
        typer.echo(missing, err=True)
    if str(found) or as_json:
        typer.echo(found.to_json() if as_json else str(found))
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


def _letters(sinks: Sinks) -> LetterReader:
    kafka = sinks.settings.kafka
    return LetterReader(dead_letter_topic(kafka.topic_prefix), kafka)


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        hint = "write it as 0b1f6a52-7c1e-4d0b-9f5e-2f6f4f6f6f6f"
        raise WrongInputError([Fault("EVENT_ID", f"'{text}' isn't a UUID", hint)]) from None


def _days(day: str | None) -> Days:
    if day is None:
        return Days()
    try:
        one = dt.date.fromisoformat(day)
    except ValueError:
        hint = "write it as 2026-03-28"
        raise WrongInputError([Fault("--day", f"'{day}' isn't a day", hint)]) from None
    return Days(one, one)


def _positive(number: int) -> int:
    if number < 1:
        raise WrongInputError([Fault("--last", f"{number} isn't a number of events", "1 or more")])
    return number


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
    known = sorted({*sinks.ledger.exports(), *(one.name for one in sinks.exports)})
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
