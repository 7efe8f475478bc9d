"""The cause of a problem: repeated attempts with the same cause are reported once."""

from __future__ import annotations

import re
from typing import Final

from schemas.errors import DeltadropError, UnforeseenError

__all__ = ["cause_of"]

_CHANGING: Final = re.compile(
    r"\btmp[a-z0-9_]{8}\b"  # folders of tempfile
    r"|\b(?=[0-9a-f]*\d)[0-9a-f]{8}(?:-?[0-9a-f]{4}){0,3}-?[0-9a-f]*\b"  # checksums, UUIDs
    r"|\b0x[0-9a-f]+\b"  # addresses in memory
    r"|\d+"  # offsets, which grow between attempts
)


def cause_of(error: DeltadropError, problem: str) -> str:
    """Return the cause of an error: the same text for each attempt that fails in the same way.

    It is the message without the parts that change between attempts (numbers, checksums, temporary
    names); for an UnforeseenError, its `cause`.
    """
    if isinstance(error, UnforeseenError):
        return error.cause
    return _CHANGING.sub("#", problem)
