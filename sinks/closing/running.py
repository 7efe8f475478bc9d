"""One attempt at a close: whatever goes wrong comes out as an error with a message."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from schemas.errors import CloseError, DeltadropError, UnforeseenError
from schemas.full_disk import FREE_SOME, what_is_full
from sinks.closing.close import Closer, Progress
from sinks.closing.watch import begun
from sinks.exports.export import Export
from sinks.ledger.ledger import Outcome

__all__ = ["attempt", "foreseen"]

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
    foresaw doesn't keep the others from closing. Who watches (`sinks.closing.watch`) is told.
    """
    with begun(export.name, instant), foreseen(export.name, instant):
        return closer.close(export, instant, progress, initial=initial)


@contextmanager
def foreseen(export: str, instant: dt.datetime) -> Iterator[None]:
    """Turn what nobody foresaw of a close into a CloseError, and log its details."""
    try:
        yield
    except DeltadropError:
        raise
    except Exception as error:
        full = what_is_full(error)
        if full is not None:
            raise CloseError(
                f"can't be made: {full}", where=f"export '{export}'", hint=FREE_SOME
            ) from error
        log.exception("close failed", export=export, instant=instant.isoformat())
        raise UnforeseenError(
            f"failed unforeseen: {type(error).__name__}: {error}",
            where=f"export '{export}'",
            hint="nothing was sent; the log has the details",
        ) from error
