"""The reporter of an installation, and reports of revisions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sinks.reports import Reporter, channels_of
from sinks.setup import Sinks

__all__ = ["reporter_of", "reporting_revisions"]


def reporter_of(sinks: Sinks) -> Reporter:
    """Make the reporter of an installation."""
    lease_seconds = sinks.settings.schedule.lease_seconds
    return Reporter(sinks.ledger, channels_of(sinks.settings), lease_seconds=lease_seconds)


@contextmanager
def reporting_revisions(sinks: Sinks) -> Iterator[None]:
    """Report the revisions that are made within the context, and send the reports, also after an
    error.
    """
    try:
        yield
    finally:
        reporter = reporter_of(sinks)
        reporter.revised(sinks.exports)
        reporter.ended(sinks.exports)
        reporter.send()
