"""The nature of a trouble: what is told once, however often it comes back in other words."""

from __future__ import annotations

import re
from typing import Final

from schemas.errors import DeltadropError, UnforeseenError

__all__ = ["cause_of"]

_CHANGING: Final = re.compile(
    r"\btmp[a-z0-9_]{8}\b"  # folders of tempfile
    r"|\b(?=[0-9a-f]*\d)[0-9a-f]{8}(?:-?[0-9a-f]{4}){0,3}-?[0-9a-f]*\b"  # checksums, UUIDs
    r"|\b0x[0-9a-f]+\b"  # addresses in memory
    r"|\d+"  # offsets grow from one attempt to the next
)


def cause_of(error: DeltadropError, problem: str) -> str:
    """Say what kind of trouble it is: of what nobody foresaw its class, else its message without
    what changes from one attempt to the next.
    """
    if isinstance(error, UnforeseenError):
        return error.cause
    return _CHANGING.sub("#", problem)
