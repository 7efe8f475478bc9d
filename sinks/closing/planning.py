"""Let Python leave a close's planning alone."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["planning"]


@contextmanager
def planning() -> Iterator[None]:
    """Let Python look for garbage seldom, and threads take turns often.

    Plans are trees of many small objects that are needed until the end: looking through them again
    and again takes a third of the planning. And the engine's thread, and those that render, would
    wait 5 ms for the planning thread each time they have a few words to say.
    """
    usual, turn = gc.get_threshold(), sys.getswitchinterval()
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)
    sys.setswitchinterval(0.0005)
    try:
        yield
    finally:
        sys.setswitchinterval(turn)
        gc.set_threshold(*usual)
        gc.unfreeze()
