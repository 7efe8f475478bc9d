"""Options that commands share, and the reading of their values."""

from __future__ import annotations

import datetime as dt
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from schemas.errors import Fault, WrongInputError
from sinks.instants import parse_stamp, parse_zoned

__all__ = ["AsJson", "Config", "read_instant"]

Config = Annotated[Path | None, typer.Option(help="The settings' file.")]
AsJson = Annotated[bool, typer.Option("--json", help="For scripts.")]


def read_instant(text: str) -> dt.datetime:
    """Return a close's instant from text: as `history` shows it, or in ISO 8601 with zone."""
    for read in (parse_stamp, parse_zoned):
        with suppress(ValueError):
            return read(text)
    hint = "write it as `deltadrop history` does, 20260328T050000.000Z, or 2026-03-28T06:00+01:00"
    raise WrongInputError([Fault("--close", f"'{text}' isn't an instant", hint)])
