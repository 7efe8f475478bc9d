"""Closes of several exports under way at once: drops are made one at a time, and delivered side by
side, so that a partner's server that hangs keeps nobody else waiting.
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
"""How long the next close waits for a delivery to end by itself: most do, and order is clearer."""

Work = Callable[[Callable[[Deliveries], Deliveries]], bool]
"""A close: is given what its deliveries are to be wrapped in, and says whether it succeeded."""


class _UnderWay:
    """One close under way."""

    def __init__(self, turn: threading.Lock) -> None:
        self.succeeded: bool | None = None
        self._turn = turn
        self._changed = threading.Condition()
        self._passed_at: float | None = None  # since when others have the turn
        self._ended = False

    def work(self, work: Work) -> None:
        """Have the turn and work; `succeeded` says how it ended."""
        try:
            with self._turn:
                self.succeeded = work(self._beside)
        except Exception:  # it ends here: no other may be kept from working
            log.exception("close failed")
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def wait(self, patience_seconds: float | None) -> None:
        """Wait until it ends, or others have had the turn for so long (None: for ever)."""
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
        """Whether it doesn't go on any more."""
        return self._ended

    @contextmanager
    def _passing(self) -> Iterator[None]:
        """Let others have the turn."""
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
    """The closes under way, by export. The thread that has the turn works; as a context: the caller
    has it.
    """

    def __init__(self, patience_seconds: float = _PATIENCE_SECONDS) -> None:
        self._turn = threading.Lock()
        self._patience = patience_seconds
        self._closes: dict[str, _UnderWay] = {}

    def __enter__(self) -> ClosesUnderWay:
        """Have the turn."""
        self._turn.acquire()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        """Pass it on."""
        self._turn.release()

    def run(self, export: str, work: Work) -> bool | None:
        """Begin a close and let it work until it ends, or has been delivering for a while.

        Only for the caller that has the turn. Returns whether it succeeded; None while it goes on.
        """
        close = self._closes[export] = _UnderWay(self._turn)
        own = copy_context()  # who watches, and what is logged with each line
        thread = threading.Thread(target=own.run, args=(close.work, work), name=f"close {export}")
        # Who leaves without `join` was asked to at once; a close may be killed.
        thread.daemon = True
        self._turn.release()
        try:
            thread.start()
            close.wait(self._patience)
        finally:
            self._turn.acquire()
        return close.succeeded

    def exports(self) -> set[str]:
        """The exports whose close goes on."""
        self._closes = {name: close for name, close in self._closes.items() if not close.ended}
        return set(self._closes)

    def join(self) -> None:
        """Wait for all of them; only for a caller that hasn't the turn."""
        for close in self._closes.values():
            close.wait(None)


@dataclass(frozen=True, slots=True)
class _Beside(Deliveries):
    """Deliveries that let others work while they last."""

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
