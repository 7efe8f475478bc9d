"""Whether anything answers where Kafka should be, asked before its clients are."""

from __future__ import annotations

import socket
import time

from schemas.errors import DeltadropError

__all__ = ["KAFKA_HINT", "wait_until_reachable"]

KAFKA_HINT = "check kafka.bootstrap_servers or KAFKA_BOOTSTRAP_SERVERS, and that Kafka is up"

_WAIT_SECONDS = 10
"""How long to wait for the first connection: a broker that restarts is back by then."""
_TCP_SECONDS = 3
_RETRY_SECONDS = 0.25


def wait_until_reachable(bootstrap_servers: str, kind: type[DeltadropError]) -> None:
    """Wait, some seconds at most, until a server takes connections; raises `kind` if none does.

    bootstrap_servers: host:port, several with commas between.

    kafka-python waits too, but logs every try, and leaves its sockets open when it gives up.
    """
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        reasons = []
        for server in bootstrap_servers.split(","):
            host, _, port = server.strip().rpartition(":")
            try:
                with socket.create_connection((host.strip("[]"), int(port)), timeout=_TCP_SECONDS):
                    return
            except (OSError, ValueError) as error:
                reasons.append(str(error))
        if time.monotonic() >= deadline:
            where = f"Kafka {bootstrap_servers}"
            raise kind(f"can't be reached ({'; '.join(reasons)})", where=where, hint=KAFKA_HINT)
        time.sleep(_RETRY_SECONDS)
