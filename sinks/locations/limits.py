"""Time limits of deliveries; they also end a delivery that makes progress, but too slowly."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sinks.locations.base import DeliveryError, DeliveryStep, PassingError

__all__ = ["Limit", "ended_after"]

_HINT = "the line or the server is slow: look there, or raise attempt_seconds of the location"


class Limit:
    """The time limit of an attempt; it starts when the object is made."""

    def __init__(self, seconds: float, where: str) -> None:
        self._seconds, self._where = seconds, where
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Return the remaining seconds; raises PassingError if there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise _over(self._seconds, self._where, DeliveryStep.WRITE)
        return left


@contextmanager
def ended_after(seconds: float, end: Callable[[], object], where: str) -> Iterator[None]:
    """Limit a context to some seconds; after them `end` is called from another thread.

    `end` must make the work in the context fail with a DeliveryError. That is then replaced by a
    PassingError that names the time limit.
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
