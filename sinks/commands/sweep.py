"""The command `sweep`."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from schemas.printing import say_report
from schemas.settings.settings import load_settings
from sinks.commands.options import AsJson, Config
from sinks.service.upkeep import sweep_half_steps
from sinks.setup import Sinks

__all__ = ["sweep"]

NOT_ALL: Final = 3
"""Exit code if something could not be finished yet; the output says what, and why."""


def sweep(
    config: Config = None,
    all_records: Annotated[
        bool, typer.Option("--all", help="also read every record, and check its checksum")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Finish what killed runs have left half done, and remove what they left lying about.

    Unfinished closes, revisions and deliveries get the bytes that were decided for them. Nothing
    new is begun, and held drops stay held. Safe to run at any time. Files of no known kind are
    told, and stay. Exits with 0 if all is finished, 3 if something is left for the next sweep or a
    record is wrong.
    """
    swept = sweep_half_steps(Sinks.of(load_settings(config)), all_records=all_records)
    say_report(swept, as_json=as_json)
    if swept.left or swept.wrong:
        raise typer.Exit(NOT_ALL)
