"""Options that commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["AsJson", "Config"]

Config = Annotated[Path | None, typer.Option(help="The settings' file.")]
AsJson = Annotated[bool, typer.Option("--json", help="For scripts.")]
