"""One attempt at a close: whatever goes wrong comes out as an error with a message."""

from __future__ import annotations

import datetime as dt

import structlog

from schemas.errors import CloseError, DeltadropError
from sinks.close import Closer, Progress
from sinks.exports import Export
from sinks.ledger import Outcome
from sinks.watch import begun

__all__ = ["attempt"]

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
    foresaw doesn't keep the others from closing. Who watches (`sinks.watch`) is told.
    """
    with begun(export.name, instant):
        return _closed(closer, export, instant, progress, initial)


def _closed(
    closer: Closer, export: Export, instant: dt.datetime, progress: Progress, initial: bool
) -> Outcome:
    try:
        return closer.close(export, instant, progress, initial=initial)
    except DeltadropError:
        raise
    except Exception as error:
        log.exception("close failed")
        raise CloseError(
            f"failed unforeseen: {type(error).__name__}: {error}",
            where=f"export '{export.name}'",
            hint="nothing was sent; the log has the details",
        ) from error
