"""Recognition of a full disk, in the errors of any library."""

from __future__ import annotations

import errno
import os
from typing import Final

__all__ = ["FREE_SOME", "what_is_full"]

_ERRNOS: Final = (errno.ENOSPC, errno.EDQUOT)

FREE_SOME: Final = "free some space, or point `root` to a larger disk; then run again"
"""The hint for an error of a full disk."""


def what_is_full(error: BaseException) -> str | None:
    """Return the system's text for a full disk or quota; None if `error` is about something else.

    Some libraries (DuckDB's spill) raise errors without an errno, but quote the system's text.
    """
    if isinstance(error, OSError):
        return os.strerror(error.errno) if error.errno in _ERRNOS else None
    return next((text for text in map(os.strerror, _ERRNOS) if text in str(error)), None)
