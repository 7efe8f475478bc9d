"""Output of commands. Everything is printed here, so that no control character of a text that isn't
ours reaches a terminal.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from schemas.json_result import JsonResult
from schemas.one_line import joined, one_line, without_controls
from schemas.terminal import bold

__all__ = ["say", "say_csv", "say_json", "say_report", "say_result", "say_text"]


def say(*lines: object, err: bool = False) -> None:
    """Print lines for people, with all control characters in them escaped. err: to stderr."""
    _write(f"{joined(map(str, lines))}\n", err=err)


def say_result(line: str) -> None:
    """Print a result on a line, which stands out on a terminal; see `say`."""
    _write(f"{bold(one_line(line), sys.stdout)}\n")


def say_text(text: object, *, err: bool = False) -> None:
    """Print a text of several lines, which `one_line.joined` or an error made; err: to stderr."""
    _write(f"{without_controls(str(text))}\n", err=err)


def say_json(form: Any, *, indent: int | None = None) -> None:
    """Print a value as JSON in ASCII, in which JSON's own rules escape all control characters.

    What JSON doesn't know, such as a moment, is printed as its text.
    """
    _write(f"{json.dumps(form, indent=indent, default=str)}\n")


def say_report(report: JsonResult, *, as_json: bool) -> None:
    """Print a result whose `str()` is for people: for them, or as JSON for scripts."""
    if as_json:
        say_json(report.to_json(), indent=2)
    else:
        say_text(report)


def say_csv(text: str) -> None:
    """Print lines of CSV: as they are, but on a terminal with control characters escaped.

    There a record is one line, and tabs between values stay.
    """
    _write(_csv_for_terminal(text) if sys.stdout is not None and sys.stdout.isatty() else text)


def _csv_for_terminal(text: str) -> str:
    """CSV with control characters escaped; what is between two quotes is a value (RFC 4180)."""
    parts = text.split('"')
    outside = ("\t".join(map(without_controls, part.split("\t"))) for part in parts[::2])
    parts[::2] = outside
    parts[1::2] = map(one_line, parts[1::2])
    return '"'.join(parts)


def _write(text: str, *, err: bool = False) -> None:
    stream = sys.stderr if err else sys.stdout
    if stream is not None:  # None if it was closed before
        stream.write(text)
        stream.flush()
