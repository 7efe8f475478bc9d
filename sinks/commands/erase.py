"""The command `erase`."""

from __future__ import annotations

import typer

from schemas.settings.settings import load_settings
from sinks.commands.options import AsJson, Config
from sinks.commands.telling import telling_revisions
from sinks.setup import Sinks

__all__ = ["erase"]

NOT_ALL = 3
"""Exit code where something could not be erased yet; the report says what, and why."""


def erase(
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Erase the personal data of profiles whose deletion was recorded, and say what was erased.

    Safe to run at any time, also while workers and closes run; run it every night after the closes.
    Exits with 0 if all was erased, 3 if something is left for the next pass, 1 if it failed.
    """
    sinks = Sinks.of(load_settings(config))
    with telling_revisions(sinks):
        report = sinks.eraser.run()
    typer.echo(report.to_json() if as_json else str(report))
    if report.left:
        raise typer.Exit(NOT_ALL)
