"""What nobody foresaw, in an error with a message; its details go to the log."""

from __future__ import annotations

from typing import Final

import structlog

from schemas.errors import CloseError, UnforeseenError
from schemas.full_disk import FREE_SOME, what_is_full

__all__ = ["told_of"]

log = structlog.get_logger(__name__)

_HINT: Final = "the log has the details; what was delivered stays, and running again is safe"
"""Which step failed isn't known here: something may have left."""


def told_of(error: Exception, where: str, **details: str) -> CloseError:
    """Return what to raise in place of an error of whatever kind; call it where that is handled.

    details: what the log tells of it, beside where it was.
    """
    full = what_is_full(error)
    if full is not None:
        told = CloseError(f"can't be made: {full}", where=where, hint=FREE_SOME)
    else:
        log.exception("failed unforeseen", where=where, **details)
        what = f"failed unforeseen: {type(error).__name__}: {error}"
        told = UnforeseenError(what, where=where, hint=_HINT)
    told.__cause__ = error
    return told
