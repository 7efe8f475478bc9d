"""Settings of the Python interpreter while a close plans its queries."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["planning"]


@contextmanager
def planning() -> Iterator[None]:
    """Collect garbage rarely and switch threads often, within the context.

    A plan is a tree of many small objects that all stay until the end. Searching them for garbage
    again and again takes a third of the planning time. The engine's thread and the rendering
    threads would wait 5 ms for the planning thread at each of their short steps.
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
