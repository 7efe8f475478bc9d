"""What a terminal can do that a file can't: show progress on a line that is written over, wrap text
between words, and make results stand out.
"""

from __future__ import annotations

import os
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, TextIO

__all__ = ["ERASE_LINE", "ProgressLine", "bold", "columns_of", "is_terminal", "wrapped"]

ERASE_LINE: Final = "\r\x1b[K"
"""Go to the start of the line and erase it (ECMA-48, EL)."""

_COLUMNS: Final = 80
"""Columns of a terminal that doesn't tell its size."""


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a person reads the stream."""
    return stream is not None and not stream.closed and stream.isatty()


def columns_of(stream: TextIO) -> int:
    """Return how many columns a terminal has."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or _COLUMNS
    except (OSError, ValueError):  # it has no size, or no descriptor
        return _COLUMNS


def wrapped(text: str, columns: int) -> str:
    """Return text in lines of at most `columns` characters, broken between words only; later lines
    are indented. A longer word, such as a path, stays whole.
    """
    return textwrap.fill(
        text, columns, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )


def bold(text: str, stream: TextIO) -> str:
    """Return text in bold if a person reads the stream and wants that (https://no-color.org)."""
    wanted = is_terminal(stream) and not os.environ.get("NO_COLOR")
    return f"\x1b[1m{text}\x1b[0m" if wanted else text


@dataclass(slots=True)
class ProgressLine:
    """A line at the end of a terminal's output that is written over; elsewhere it writes nothing.

    Threads may share it.
    """

    stream: TextIO
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def show(self, text: str) -> None:
        """Replace the line; what doesn't fit on it is left off."""
        if is_terminal(self.stream):
            with self._lock:
                self.stream.write(ERASE_LINE + text[: columns_of(self.stream) - 1])
                self.stream.flush()

    def clear(self) -> None:
        """Erase the line."""
        with self.hidden():
            pass

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Erase the line while something else is written, until it is shown again."""
        with self._lock:
            if is_terminal(self.stream):
                self.stream.write(ERASE_LINE)
                self.stream.flush()
            yield
