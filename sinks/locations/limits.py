"""Limits on how long a place may hold a delivery, also one that says something now and then."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sinks.locations.base import DeliveryError, DeliveryStep, PassingError

__all__ = ["Limit", "ended_after"]

_HINT = "the line or the server is slow: look there, or raise attempt_seconds of the location"


class Limit:
    """How long an attempt may take, from now on."""

    def __init__(self, seconds: float, where: str) -> None:
        self._seconds, self._where = seconds, where
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds that are left; raises PassingError where none are."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise _over(self._seconds, self._where, DeliveryStep.WRITE)
        return left


@contextmanager
def ended_after(seconds: float, end: Callable[[], object], where: str) -> Iterator[None]:
    """Call `end`, from another thread, where the context takes longer: it must make what goes on
    there fail with a DeliveryError, which is told as what it is.
    """
    is_over = threading.Event()

    def stop() -> None:
        is_over.set()
        end()

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        yield
    except DeliveryError as error:
        if is_over.is_set():
            raise _over(seconds, where, error.step) from error
        raise
    finally:
        timer.cancel()


def _over(seconds: float, where: str, step: DeliveryStep) -> PassingError:
    return PassingError(
        f"an attempt took longer than {seconds:g} s", where=where, hint=_HINT, step=step
    )
