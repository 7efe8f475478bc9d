"""The command that checks a drop against its manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from schemas.printing import say_json, say_text
from sinks.commands.options import AsJson
from sinks.drops.verify import verify as verify_drop

__all__ = ["verify"]

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
