"""The command `sweep`."""

from __future__ import annotations

from typing import Final

import typer

from schemas.settings.settings import load_settings
from sinks.commands.options import AsJson, Config
from sinks.commands.telling import telling_revisions
from sinks.setup import Sinks

__all__ = ["sweep"]

NOT_ALL: Final = 3
"""Exit code where something could not be finished yet; what is said tells what, and why."""


def sweep(
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Finish what killed runs have left half done, and remove what they left lying about.

    Closes, revisions and deliveries that were begun get the bytes that they were to have; nothing
    new is begun, and what is held waits. Safe to run at any time. Exits with 0 if all is finished,
    3 if something is left for the next sweep.
    """
    sinks = Sinks.of(load_settings(config))
    with telling_revisions(sinks):
        swept = sinks.sweeper.sweep()
    typer.echo(swept.to_json() if as_json else str(swept))
    if swept.left:
        raise typer.Exit(NOT_ALL)
