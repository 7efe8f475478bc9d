"""One attempt at a close: every failure becomes an error with a message."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager

from schemas.errors import DeltadropError
from sinks.closing.close import Closer, Progress
from sinks.closing.observer import observed_attempt
from sinks.closing.unexpected import unexpected_error
from sinks.exports.export import Export
from sinks.ledger.outcome import CloseOutcome

__all__ = ["attempt", "foreseen"]


def attempt(
    closer: Closer,
    export: Export,
    instant: dt.datetime,
    progress: Progress,
    *,
    initial: bool = False,
) -> CloseOutcome:
    """Close a window, observed by the watcher of `sinks.closing.observer`.

    Raises only DeltadropError, so that an unexpected error of one export doesn't stop the others.
    """
    with observed_attempt(export.name, instant), foreseen(export.name, instant):
        return closer.close(export, instant, progress, initial=initial)


@contextmanager
def foreseen(export: str, instant: dt.datetime) -> Iterator[None]:
    """Turn an unexpected error of a close into a CloseError, and log its details."""
    try:
        yield
    except DeltadropError:
        raise
    except Exception as error:
        raise unexpected_error(error, f"export '{export}'", instant=instant.isoformat()) from error
