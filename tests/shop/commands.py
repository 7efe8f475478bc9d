"""Commands, run as the command line runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import typer

from schemas.errors import DeltadropError

__all__ = ["exit_code_of", "run_python"]

_ROOT = Path(__file__).parents[2]


def run_python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run code that imports the project in a process of its own, in a folder; it must succeed."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )


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
