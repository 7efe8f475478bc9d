"""Turn an unexpected error into one with a message for people; its details go to the log."""

from __future__ import annotations

from typing import Final

import structlog

from schemas.errors import CloseError, UnforeseenError
from schemas.full_disk import FREE_SOME, what_is_full
from schemas.logs import MESSAGE_FOLLOWS, log_name
from sinks.engine.engine import EngineError

__all__ = ["unexpected_error"]

log = structlog.get_logger(__name__)

_HINT: Final = "has the details; what was delivered stays, and running again is safe"
"""The step that failed isn't known here, so something may have been delivered."""


def unexpected_error(error: Exception, where: str, **details: str) -> CloseError:
    """Return the error to raise in place of an unexpected one; call it in an `except` block.

    details: further fields of the log line.
    """
    full = what_is_full(error)
    if full is not None:
        explained = CloseError(f"can't be made: {full}", where=where, hint=FREE_SOME)
    else:
        log.exception("failed unforeseen", where=where, **details, **{MESSAGE_FOLLOWS: True})
        what = f"failed unforeseen: {type(error).__name__}: {_without_values(error)}"
        explained = UnforeseenError(what, where=where, hint=f"{log_name()} {_HINT}")
    explained.__cause__ = error
    return explained


def _without_values(error: Exception) -> str:
    """An error's text for people: an engine's names its kind only, as the rest may quote values."""
    text = str(error)
    return text.partition(":")[0] if isinstance(error, EngineError) else text
