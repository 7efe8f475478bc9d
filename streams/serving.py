"""The HTTP port that shows a process's state: `/metrics`, `/health/live` and `/health/ready`.

Metrics are in Prometheus' text format, or in OpenMetrics if the request accepts it. A health page
answers with status 200 or 503, and with the facts behind that as JSON.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from socketserver import ThreadingMixIn
from threading import Lock, Thread
from typing import Any, Final, Protocol, TypeAlias, cast
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, disable_created_metrics, make_wsgi_app

from schemas.errors import DefinitionError, Fault

__all__ = ["Health", "Observed", "served"]

_LOOK_SECONDS: Final = 0.1  # how often the server checks whether to stop
_MOST_REQUESTS: Final = 16
"""Maximum number of simultaneous requests: enough for a few scrapers and probes."""
_REQUEST_SECONDS: Final = 10.0
"""Maximum time from the connection to the end of the answer; Prometheus' default is the same."""
_Start: TypeAlias = Callable[[str, list[tuple[str, str]]], Any]

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter


@dataclass(frozen=True, slots=True)
class Health:
    """The health of a process in one respect, and the facts behind it."""

    ok: bool
    facts: Mapping[str, object]


class Observed(Protocol):
    """The source of what is served; the server's threads call it."""

    @property
    def registry(self) -> CollectorRegistry:
        """The metrics."""

    def live(self) -> Health:
        """Whether the process's loop turns; if it doesn't, the process must be restarted."""

    def ready(self) -> Health:
        """Whether the process does its work."""


class _Server(ThreadingMixIn, WSGIServer):
    """A server with a thread for each request. The number and the time of requests are bounded,
    whatever clients send.
    """

    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[WSGIRequestHandler]) -> None:
        self._since: dict[Any, float] = {}
        self._lock = Lock()
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a request in a thread of its own; above the bound, close the connection."""
        with self._lock:
            is_free = len(self._since) < _MOST_REQUESTS
            if is_free:
                self._since[request] = time.monotonic()
        if is_free:
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def shutdown_request(self, request: Any) -> None:
        """Close the connection of a request."""
        with self._lock:
            self._since.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Shut down connections whose time is over; their threads then read an end, and stop."""
        super().service_actions()
        begun_before = time.monotonic() - _REQUEST_SECONDS
        with self._lock:
            late = [request for request, since in self._since.items() if since < begun_before]
        for request in late:
            with suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Leave requests out of the log."""


@contextmanager
def served(observed: Observed, host: str, port: int | None, setting: str) -> Iterator[None]:
    """Serve `observed` on a port while the context lasts; without a port, do nothing.

    setting: the port's name in the settings, such as `observe.worker_port`. Raises DefinitionError
    if the port can't be opened.
    """
    if port is None:
        yield
        return
    with _listening(host, port, setting) as server:
        server.set_app(_application(observed))
        thread = Thread(
            target=server.serve_forever, args=(_LOOK_SECONDS,), name="observe", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def _listening(host: str, port: int, setting: str) -> _Server:
    server = _Server6 if ":" in host else _Server
    try:
        return server((host, port), _Silent)
    except OSError as error:
        variable = f"DELTADROP_{setting.upper().replace('.', '__')}"
        what = f"can't listen at {host}, port {port}: {error.strerror or error}"
        hint = f"each process needs a port of its own: choose another ({variable})"
        raise DefinitionError([Fault(setting, what, hint)]) from error


def _application(observed: Observed) -> Callable[[dict[str, Any], _Start], Iterable[bytes]]:
    metrics = make_wsgi_app(observed.registry)
    pages = {"/health/live": observed.live, "/health/ready": observed.ready}

    def answer(environ: dict[str, Any], start: _Start) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/metrics":
            return cast("Iterable[bytes]", metrics(environ, start))
        if path in pages:
            health = pages[path]()
            status = "200 OK" if health.ok else "503 Service Unavailable"
            body = json.dumps({"ok": health.ok, **health.facts}).encode() + b"\n"
        else:
            status, body = "404 Not Found", json.dumps({"pages": ["/metrics", *pages]}).encode()
        start(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    return answer
