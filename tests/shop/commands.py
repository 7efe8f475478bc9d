"""Commands, run as the command line runs them."""

from __future__ import annotations

from collections.abc import Callable

import typer

from schemas.errors import DeltadropError

__all__ = ["exit_code_of"]


def exit_code_of(command: Callable[[], object]) -> int:
    """Run a command and return its exit code; an error is printed, as a user would see it."""
    try:
        command()
    except typer.Exit as left:
        return left.exit_code
    except DeltadropError as error:
        print(error)
        return error.exit_code
    return 0
