"""The command that tries a location before a night depends on it."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from schemas.definitions.definitions import choices
from schemas.errors import Fault, WrongInputError
from schemas.settings.settings import load_settings
from sinks.commands.options import AsJson, Config
from sinks.locations import DeliveryError, load_locations

__all__ = ["check_location"]


def check_location(
    name: Annotated[str, typer.Argument(help="The location.")],
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Go through a delivery step by step, with a small file that is removed again.

    Exits with 0 if all steps went well, 1 if one failed, which it names with the reason.
    """
    locations = load_locations(load_settings(config))
    if name not in locations:
        fault = Fault("NAME", f"'{name}' isn't a location", choices(name, sorted(locations)))
        raise WrongInputError([fault])
    passed: list[str] = []
    try:
        for step in locations[name].location.check():
            passed.append(str(step))
            if not as_json:
                typer.echo(f"{step:8} ok")
    except DeliveryError as error:
        if as_json:
            failed = {"step": str(error.step), "error": str(error)}
            typer.echo(json.dumps({"location": name, "passed": passed, "failed": failed}))
        else:
            typer.echo(f"{error.step:8} failed: {error}")
        raise typer.Exit(error.exit_code) from error
    if as_json:
        typer.echo(json.dumps({"location": name, "passed": passed, "failed": None}))
