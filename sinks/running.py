"""One attempt at a close: whatever goes wrong comes out as an error with a message."""

from __future__ import annotations

import datetime as dt
import errno
from typing import Final

import structlog

from schemas.errors import CloseError, DeltadropError
from sinks.close import Closer, Progress
from sinks.exports import Export
from sinks.ledger import Outcome

__all__ = ["attempt"]

_DISK_IS_FULL: Final = (errno.ENOSPC, errno.EDQUOT)

log = structlog.get_logger(__name__)


def attempt(
    closer: Closer,
    export: Export,
    instant: dt.datetime,
    progress: Progress,
    *,
    initial: bool = False,
) -> Outcome:
    """Close a window; raises only DeltadropError, so that one export that fails in a way nobody
    foresaw doesn't keep the others from closing.
    """
    try:
        return closer.close(export, instant, progress, initial=initial)
    except DeltadropError:
        raise
    except OSError as error:
        if error.errno not in _DISK_IS_FULL:
            raise _unforeseen(export, instant, error) from error
        raise CloseError(
            f"can't be made: {error.strerror}",
            where=f"export '{export.name}'",
            hint="free some space, or point `root` to a larger disk; then run again",
        ) from error
    except Exception as error:
        raise _unforeseen(export, instant, error) from error


def _unforeseen(export: Export, instant: dt.datetime, error: Exception) -> CloseError:
    log.exception("close failed", export=export.name, instant=instant.isoformat())
    return CloseError(
        f"failed unforeseen: {type(error).__name__}: {error}",
        where=f"export '{export.name}'",
        hint="nothing was sent; the log has the details",
    )
