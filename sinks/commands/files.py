"""Commands that read files only: they need no broker and no registry, and change nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from schemas.errors import DefinitionError
from schemas.printing import say, say_json, say_text
from schemas.settings.settings import load_settings
from sinks.commands.options import AsJson, Config
from sinks.drops.verify import verify as verify_drop
from sinks.service.definitions import Invalid, validate_definitions

__all__ = ["validate", "verify"]

NOT_AS_RECORDED = 1
"""Exit code of `verify` if a drop differs from its manifest."""


def verify(
    file: Annotated[Path, typer.Argument(help="A drop, or the manifest beside it.")],
    as_json: AsJson = False,
) -> None:
    """Check a drop against its manifest: hash, size, header, columns, rows, dialect.

    Exits with 0 if all is well, 1 if not, with a line for each finding.
    """
    verification = verify_drop(file)
    if as_json:
        say_json(verification.to_json())
    else:
        say_text(verification)
    if not verification.is_well:
        raise typer.Exit(NOT_AS_RECORDED)


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
