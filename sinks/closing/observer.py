"""Observation of closes: a watcher is called after each step and at the end of each attempt.

Register a watcher once per process (`watching`); without one, steps are not observed. Each line
that a close logs has its export, its instant and, once the window is decided, its offsets.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from contextvars import ContextVar
from enum import StrEnum
from typing import Final, Protocol, TypeVar

from structlog.contextvars import (
    bind_contextvars,
    bound_contextvars,
    get_contextvars,
    unbind_contextvars,
)

from schemas.errors import DeltadropError, HeldError, WaitingError
from sinks.ledger.intent import Intent

__all__ = [
    "AttemptResult",
    "CloseStep",
    "Watcher",
    "bind_window",
    "entering",
    "observed_attempt",
    "step",
    "watching",
]

T = TypeVar("T")


class CloseStep(StrEnum):
    """The steps of a close, in order."""

    PROVE = "prove"  # take the cut, wait for the workers, choose coverage, record the intent
    SELECT = "select"
    RENDER = "render"
    DELIVER = "deliver"
    RECORD = "record"


class AttemptResult(StrEnum):
    """The result of an attempt at a close."""

    DELIVERED = "delivered"
    WAITING = "waiting"  # the workers haven't stored all of the window yet
    HELD = "held"
    FAILED = "failed"


class Watcher(Protocol):
    """An observer of closes; none of its methods raises."""

    def took(self, export: str, step: CloseStep, seconds: float) -> None:
        """Note that a step of a close has ended, in success or failure, after this many seconds."""

    def ended(self, export: str, instant: dt.datetime, result: AttemptResult) -> None:
        """Note that an attempt at a close has ended."""


class _Nobody:
    def took(self, export: str, step: CloseStep, seconds: float) -> None:
        pass

    def ended(self, export: str, instant: dt.datetime, result: AttemptResult) -> None:
        pass


_NOBODY: Final = _Nobody()
_WATCHER: Final[ContextVar[Watcher]] = ContextVar("watcher", default=_NOBODY)


@contextmanager
def watching(watcher: Watcher) -> Iterator[None]:
    """Register a watcher for all closes in the context, in this thread and those it starts."""
    token = _WATCHER.set(watcher)
    try:
        yield
    finally:
        _WATCHER.reset(token)


@contextmanager
def observed_attempt(export: str, instant: dt.datetime) -> Iterator[None]:
    """Observe an attempt at a close, which lasts as long as the context.

    Only a DeltadropError is observed as a failure: turn other errors into one first.
    """
    watcher = _WATCHER.get()
    with bound_contextvars(export=export, instant=instant.isoformat()):
        try:
            yield
        except DeltadropError as error:
            watcher.ended(export, instant, _result_of(error))
            raise
        else:
            watcher.ended(export, instant, AttemptResult.DELIVERED)
        finally:
            unbind_contextvars("offsets")


def bind_window(intent: Intent) -> None:
    """Add the offsets of a decided window to the log lines of the attempt under way."""
    if "instant" in get_contextvars():
        bind_contextvars(offsets=intent.window)


@contextmanager
def step(export: str, which: CloseStep) -> Iterator[None]:
    """Observe a step of a close, which lasts as long as the context."""
    began = time.monotonic()
    try:
        yield
    finally:
        _WATCHER.get().took(export, which, time.monotonic() - began)


@contextmanager
def entering(export: str, which: CloseStep, context: AbstractContextManager[T]) -> Iterator[T]:
    """Enter a context, observed as a step of a close; the step ends when the context is entered."""
    with ExitStack() as stack:
        with step(export, which):
            entered = stack.enter_context(context)
        yield entered


def _result_of(error: DeltadropError) -> AttemptResult:
    if isinstance(error, WaitingError):
        return AttemptResult.WAITING
    return AttemptResult.HELD if isinstance(error, HeldError) else AttemptResult.FAILED
