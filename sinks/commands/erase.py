"""The command `erase`."""

from __future__ import annotations

import typer

from schemas.printing import say_report
from schemas.settings.settings import load_settings
from sinks.commands.options import AsJson, Config
from sinks.service.upkeep import erase_deleted_people
from sinks.setup import Sinks

__all__ = ["erase"]

NOT_ALL = 3
"""Exit code if something could not be erased yet; the report says what, and why."""


def erase(
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Erase the personal data of profiles whose deletion was recorded, and say what was erased.

    Safe to run at any time, also while workers and closes run; run it every night after the closes.
    Exits with 0 if all was erased, 3 if something is left for the next run, 1 if it failed.
    """
    report = erase_deleted_people(Sinks.of(load_settings(config)))
    say_report(report, as_json=as_json)
    if report.left:
        raise typer.Exit(NOT_ALL)
