"""Revisions that a command has made are reported before it leaves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sinks.reports import Reporter, channels_of
from sinks.setup import Sinks

__all__ = ["reporter_of", "telling_revisions"]


def reporter_of(sinks: Sinks) -> Reporter:
    """Make the reporter of an installation."""
    lease_seconds = sinks.settings.schedule.lease_seconds
    return Reporter(sinks.ledger, channels_of(sinks.settings), lease_seconds=lease_seconds)


@contextmanager
def telling_revisions(sinks: Sinks) -> Iterator[None]:
    """Report and send what was made again, also where something else went wrong."""
    try:
        yield
    finally:
        reporter = reporter_of(sinks)
        reporter.revised(sinks.exports)
        reporter.send()
