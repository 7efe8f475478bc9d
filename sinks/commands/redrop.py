"""The command `redrop`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Final

import typer

from schemas.settings.settings import load_settings
from sinks.commands.chosen import refuse_unknown
from sinks.commands.exports import named
from sinks.commands.lines import close_line, outcome_fields
from sinks.commands.options import AsJson, Config
from sinks.commands.release import read_instant, read_reason
from sinks.commands.telling import telling_revisions
from sinks.repair.redrop import Redrop, Redropper
from sinks.setup import Sinks

__all__ = ["TODAYS_DEFINITION", "redrop"]

TODAYS_DEFINITION: Final = "today's definition"
"""Why a drop was made again with --current-definition, where nobody has given another reason."""


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

    It has the same bytes. Where people were deleted or a rule was mended since, or today's
    definition gives others, it becomes a numbered revision with its reason. Exits with 0 if it is
    there, 1 if it can't be made or delivered, 3 if its close is held.
    """
    sinks = Sinks.of(load_settings(config))
    instant = read_instant(close)
    usual = TODAYS_DEFINITION if current_definition else ""
    why = usual if reason is None else read_reason(reason)
    refuse_unknown(sinks.installation, export)
    today = named(export, sinks.exports) if current_definition else None
    with telling_revisions(sinks):
        done = Redropper(sinks.reviser).redrop(export, instant, why, today)
    if as_json:
        told = {"export": export, "instant": instant.isoformat(), **asdict(done)}
        typer.echo(json.dumps({**told, "outcome": outcome_fields(done.outcome)}))
        return
    typer.echo(close_line(export, instant, done.outcome))
    for line in _told(done):
        typer.echo(f"  {line}")


def _told(done: Redrop) -> list[str]:
    if done.revision:
        why = f"revision -r{done.revision}" + (f": {done.reason}" if done.reason else "")
        return [why, *(f"delivered to {one}" for one in done.delivered)]
    kept = [f"keeps {one}" for one in done.kept]
    if done.delivered:
        missing = [f"was missing, delivered to {one}" for one in done.delivered]
        return ["the same bytes", *missing, *kept]
    return ["the same bytes, and it is there everywhere", *kept]
