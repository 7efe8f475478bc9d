"""The command that checks the settings and all definitions."""

from __future__ import annotations

import typer

from schemas.errors import DefinitionError
from schemas.printing import say, say_json
from schemas.settings.settings import load_settings
from sinks.commands.options import AsJson, Config
from sinks.service.definitions import Invalid, validate_definitions

__all__ = ["validate"]


def validate(
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Check the settings and all definitions of tables, streams and exports.

    Exits with 0 if all is well, 2 if not, with a line for each fault.
    """
    try:
        valid = validate_definitions(load_settings(config))
    except DefinitionError as error:
        if not as_json:
            raise
        say_json(Invalid(error.faults).to_json())
        raise typer.Exit(error.exit_code) from error
    if as_json:
        say_json(valid.to_json())
        return
    for warning in valid.warnings:
        say(f"warning: {warning}", err=True)
    say(valid)
