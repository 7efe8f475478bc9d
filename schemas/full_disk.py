"""Tells a full disk from other faults, whichever library ran into it."""

from __future__ import annotations

import errno
import os
from typing import Final

__all__ = ["FREE_SOME", "what_is_full"]

_ERRNOS: Final = (errno.ENOSPC, errno.EDQUOT)

FREE_SOME: Final = "free some space, or point `root` to a larger disk; then run again"
"""What settles it."""


def what_is_full(error: BaseException) -> str | None:
    """Return what the system says of a full disk or quota; None where an error is another.

    Libraries that have no errno (DuckDB's spill) quote the system's words.
    """
    if isinstance(error, OSError):
        return os.strerror(error.errno) if error.errno in _ERRNOS else None
    return next((text for text in map(os.strerror, _ERRNOS) if text in str(error)), None)
