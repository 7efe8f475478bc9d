"""One attempt at a close: whatever goes wrong comes out as an error with a message."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager

from schemas.errors import DeltadropError
from sinks.closing.close import Closer, Progress
from sinks.closing.observer import begun
from sinks.closing.unexpected import told_of
from sinks.exports.export import Export
from sinks.ledger.ledger import CloseOutcome

__all__ = ["attempt", "foreseen"]


def attempt(
    closer: Closer,
    export: Export,
    instant: dt.datetime,
    progress: Progress,
    *,
    initial: bool = False,
) -> CloseOutcome:
    """Close a window; raises only DeltadropError, so that one export that fails in a way nobody
    foresaw doesn't keep the others from closing. Who watches (`sinks.closing.observer`) is told.
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
        raise told_of(error, f"export '{export}'", instant=instant.isoformat()) from error
