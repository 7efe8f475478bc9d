"""A limit on a whole sending: time-outs of sockets are for each read, so that a server which says a
byte now and then would hold the closes for ever.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from typing import Self

from schemas.errors import ReportError
from sinks.reports.channel import UnreachableError

__all__ = ["Deadline"]


class Deadline(contextlib.AbstractContextManager["Deadline"]):
    """Cuts the watched connections off after so many seconds, from another thread.

    What then fails in the context is told as an UnreachableError. where: the server, for people;
    hint: which setting raises the limit.
    """

    def __init__(self, seconds: float, *, where: str, hint: str) -> None:
        self._seconds, self._where, self._hint = seconds, where, hint
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self._is_over = False
        self._timer = threading.Timer(seconds, self._cut_off)
        self._timer.daemon = True

    def watch(self, connection: socket.socket) -> None:
        """Cut this connection off, too, also where it is wrapped in TLS later."""
        own = socket.socket(fileno=os.dup(connection.fileno()))
        with self._lock:
            self._sockets.append(own)
            if self._is_over:
                _shut(own)

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._timer.cancel()
        with self._lock:
            for own in self._sockets:
                own.close()
            self._sockets.clear()
        if self._is_over and isinstance(error, ReportError):
            what = f"a sending took longer than {self._seconds:g} s"
            raise UnreachableError(what, where=self._where, hint=self._hint) from error

    def _cut_off(self) -> None:
        with self._lock:
            self._is_over = True
            for own in self._sockets:
                _shut(own)


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # the other side was faster
        connection.shutdown(socket.SHUT_RDWR)
