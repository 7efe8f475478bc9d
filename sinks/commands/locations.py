"""The command `check-location`, which tests a location before drops are delivered to it."""

from __future__ import annotations

from typing import Annotated

import typer

from schemas.printing import say, say_json
from schemas.settings.settings import load_settings
from sinks.commands.options import AsJson, Config
from sinks.service.locations import check_location as try_location

__all__ = ["check_location"]


def check_location(
    name: Annotated[str, typer.Argument(help="The location.")],
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Go through a delivery step by step, with a small file that is removed again.

    Exits with 0 if all steps succeeded, 1 if one failed; the output names the step and the reason.
    """
    settings = load_settings(config)
    check, error = try_location(settings, name, (lambda _: None) if as_json else _show)
    if as_json:
        say_json(check.to_json())
    else:
        if check.failed is not None:
            say(f"{check.failed.step:8} failed: {check.failed.error}")
        for warning in check.warnings:
            say(f"warning: {warning}", err=True)
    if error is not None:
        raise typer.Exit(error.exit_code) from error


def _show(step: str) -> None:
    say(f"{step:8} ok")
