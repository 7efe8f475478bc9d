"""Several closes under way at once.

Drops are made one at a time, and delivered side by side: a partner's server that hangs makes no
other close wait.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import copy_context
from dataclasses import dataclass, fields
from typing import Final

import structlog

from sinks.closing.deliveries import Bring, Deliveries, Delivery
from sinks.locations.base import Folder, Receipt

__all__ = ["ClosesUnderWay", "Work"]

log = structlog.get_logger(__name__)

_PATIENCE_SECONDS: Final = 2.0
"""How long the next close waits for a delivery. Most end within it, and closes then stay in order.
"""

Work = Callable[[Callable[[Deliveries], Deliveries]], bool]
"""A close. Its argument wraps the deliveries that it makes; it returns whether it succeeded."""


class _UnderWay:
    """One close under way, in its own thread."""

    def __init__(self, turn: threading.Lock) -> None:
        self.succeeded: bool | None = None
        self._turn = turn
        self._changed = threading.Condition()
        self._passed_at: float | None = None  # when others got the turn; None: not passed
        self._ended = False

    def work(self, work: Work) -> None:
        """Take the turn and run the close; `succeeded` has the result."""
        try:
            with self._turn:
                self.succeeded = work(self._beside)
        except Exception:  # logged here, so that the other closes continue
            log.exception("close failed")
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def wait(self, patience_seconds: float | None) -> None:
        """Wait until the close ends, or others have had the turn for this long (None: no limit)."""
        with self._changed:
            while not self._ended:
                left = None
                if self._passed_at is not None and patience_seconds is not None:
                    left = self._passed_at + patience_seconds - time.monotonic()
                    if left <= 0:
                        return
                self._changed.wait(left)

    @property
    def ended(self) -> bool:
        """Whether the close has ended."""
        return self._ended

    @contextmanager
    def _passing(self) -> Iterator[None]:
        """Pass the turn to others within the context."""
        self._turn.release()
        self._note(time.monotonic())
        try:
            yield
        finally:
            self._turn.acquire()
            self._note(None)

    def _note(self, passed_at: float | None) -> None:
        with self._changed:
            self._passed_at = passed_at
            self._changed.notify_all()

    def _beside(self, deliveries: Deliveries) -> Deliveries:
        own = {field.name: getattr(deliveries, field.name) for field in fields(Deliveries)}
        return _Beside(**own, passing=self._passing)


class ClosesUnderWay:
    """The closes under way, by export.

    Only the thread that has the turn works. As a context manager, the caller takes the turn.
    """

    def __init__(self, patience_seconds: float = _PATIENCE_SECONDS) -> None:
        self._turn = threading.Lock()
        self._patience = patience_seconds
        self._closes: dict[str, _UnderWay] = {}

    def __enter__(self) -> ClosesUnderWay:
        """Take the turn."""
        self._turn.acquire()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        """Pass the turn on."""
        self._turn.release()

    def run(self, export: str, work: Work) -> bool | None:
        """Start a close and wait until it ends, or has been delivering for the patience of this
        object.

        The caller must have the turn. Returns whether the close succeeded; None while it still
        delivers.
        """
        close = self._closes[export] = _UnderWay(self._turn)
        own = copy_context()  # with the caller's watcher and the fields of its log lines
        thread = threading.Thread(target=own.run, args=(close.work, work), name=f"close {export}")
        # A caller that leaves without `join` was asked to stop at once; a close may be killed.
        thread.daemon = True
        self._turn.release()
        try:
            thread.start()
            close.wait(self._patience)
        finally:
            self._turn.acquire()
        return close.succeeded

    def exports(self) -> set[str]:
        """Return the exports whose close is still under way."""
        self._closes = {name: close for name, close in self._closes.items() if not close.ended}
        return set(self._closes)

    def join(self) -> None:
        """Wait for all closes; the caller must not have the turn."""
        for close in self._closes.values():
            close.wait(None)


@dataclass(frozen=True, slots=True)
class _Beside(Deliveries):
    """Deliveries that pass the turn to other closes while they last."""

    passing: Callable[[], AbstractContextManager[None]]

    def _deliver(
        self, delivery: Delivery, locations: Sequence[str], bring: Bring
    ) -> tuple[Receipt, ...]:
        with self.passing():
            return Deliveries._deliver(self, delivery, locations, bring)

    def taken(
        self, folder: Folder, name: str, locations: Sequence[str]
    ) -> Iterator[tuple[str, str]]:
        """See Deliveries.taken."""
        with self.passing():
            yield from list(Deliveries.taken(self, folder, name, locations))

    def may_have(self, folder: Folder, name: str, locations: Sequence[str]) -> bool:
        """See Deliveries.may_have."""
        with self.passing():
            return Deliveries.may_have(self, folder, name, locations)
