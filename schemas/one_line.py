"""Text that isn't ours, made safe to show: its control characters are escaped.

Names, values and servers' answers can hold any character. Shown as they are, a line break forges a
line, an escape sequence (ECMA-48) drives the terminal, and a bidirectional control (UAX #9) changes
the order of what is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

__all__ = ["joined", "one_line", "without_controls"]

_SHORT: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_CONTROLS: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # C0, DEL, C1
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # bidirectional controls
    "\u2028\u2029"  # line and paragraph separator
    "\ud800-\udfff]"  # lone surrogates, such as of file names that aren't UTF-8
)


def one_line(text: str) -> str:
    """A text with all its control characters escaped, line breaks too."""
    return _CONTROLS.sub(_escaped, text)


def joined(lines: Iterable[str]) -> str:
    """Lines as one text. What isn't a line's own, such as a line break in a name, is escaped."""
    return "\n".join(map(one_line, lines))


def without_controls(text: str) -> str:
    """A text of several lines of ours, with all other control characters escaped."""
    return joined(text.split("\n"))


def _escaped(found: re.Match[str]) -> str:
    char = found[0]
    code = ord(char)
    return _SHORT.get(char) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
