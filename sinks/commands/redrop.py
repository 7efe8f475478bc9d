"""The command `redrop`."""

from __future__ import annotations

from typing import Annotated

import typer

from schemas.printing import say, say_json
from schemas.settings.settings import load_settings
from sinks.commands.lines import close_line
from sinks.commands.options import AsJson, Config, read_instant
from sinks.commands.release import read_reason
from sinks.service.redrop import RedropRequest, RedropResult, redrop_close
from sinks.setup import Sinks

__all__ = ["redrop"]


def redrop(
    export: Annotated[str, typer.Argument(help="The export.")],
    close: Annotated[
        str, typer.Option("--close", help="The close's instant, as `history` shows it.")
    ],
    current_definition: Annotated[
        bool,
        typer.Option("--current-definition", help="By today's definition, and to where it says."),
    ] = False,
    reason: Annotated[
        str | None, typer.Option(help="Why; a revision keeps it in ledger and manifest.")
    ] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Make a drop again from what its close decided, and deliver it again where it is missing.

    It has the same bytes. It becomes a numbered revision, with its reason, if people were deleted
    or a rule was corrected since, or if today's definition gives other bytes. Exits with 0 if the
    drop is delivered, 1 if it can't be made or delivered, 3 if its close is held.
    """
    sinks = Sinks.of(load_settings(config))
    instant = read_instant(close)
    why = None if reason is None else read_reason(reason)
    done = redrop_close(sinks, RedropRequest(export, instant, why, current_definition))
    if as_json:
        say_json(done.to_json())
        return
    say(close_line(export, instant, done.outcome))
    for line in _lines(done):
        say(f"  {line}")


def _lines(done: RedropResult) -> list[str]:
    if done.revision:
        why = f"revision -r{done.revision}" + (f": {done.reason}" if done.reason else "")
        return [why, *(f"delivered to {place}" for place in done.delivered)]
    remarks = [f"keeps {what}" for what in done.kept]
    if done.delivered:
        missing = [f"was missing, delivered to {place}" for place in done.delivered]
        return ["the same bytes", *missing, *remarks]
    return ["the same bytes, and it is there everywhere", *remarks]
