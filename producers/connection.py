"""What kafka-python needs to know to connect, from the settings; and its errors as ours."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from kafka.errors import KafkaError

from schemas.errors import DeltadropError
from schemas.settings import KafkaSettings

__all__ = ["connection_options", "explained", "translated", "wait_until_reachable"]

_CONNECT_MS = 10_000
"""How long to wait for the first answer of Kafka, milliseconds."""


_TCP_SECONDS = 3
_RETRY_SECONDS = 0.25
_HINT = "check kafka.bootstrap_servers or KAFKA_BOOTSTRAP_SERVERS, and that Kafka is up"


def connection_options(kafka: KafkaSettings) -> dict[str, object]:
    """Options that producer and admin client share."""
    security = kafka.security
    options: dict[str, object] = {
        "bootstrap_servers": [server.strip() for server in kafka.bootstrap_servers.split(",")],
        "bootstrap_timeout_ms": _CONNECT_MS,
        "security_protocol": security.protocol,
    }
    optional = {
        "sasl_mechanism": security.mechanism,
        "sasl_plain_username": security.username,
        "sasl_plain_password": security.secret(),
        "ssl_cafile": security.ca_file and str(security.ca_file),
        "ssl_certfile": security.certificate_file and str(security.certificate_file),
        "ssl_keyfile": security.key_file and str(security.key_file),
    }
    return options | {name: value for name, value in optional.items() if value is not None}


def wait_until_reachable(kafka: KafkaSettings, kind: type[DeltadropError]) -> None:
    """Wait, some seconds at most, until a server takes connections; raises `kind` if none does.

    kafka-python waits too, but leaves its sockets open when it gives up.
    """
    deadline = time.monotonic() + _CONNECT_MS / 1000
    while True:
        reasons = []
        for server in kafka.bootstrap_servers.split(","):
            host, _, port = server.strip().rpartition(":")
            try:
                with socket.create_connection((host.strip("[]"), int(port)), timeout=_TCP_SECONDS):
                    return
            except (OSError, ValueError) as error:
                reasons.append(str(error))
        if time.monotonic() >= deadline:
            where = f"Kafka {kafka.bootstrap_servers}"
            raise kind(f"can't be reached ({'; '.join(reasons)})", where=where, hint=_HINT)
        time.sleep(_RETRY_SECONDS)


@contextmanager
def translated(kind: type[DeltadropError], where: str) -> Iterator[None]:
    """kafka-python's errors as errors of `kind`."""
    try:
        yield
    except (KafkaError, OSError) as error:
        raise kind(
            f"Kafka doesn't answer as it should ({explained(error)})", where=where, hint=_HINT
        ) from error


def explained(error: BaseException) -> str:
    """A Kafka error's name and text."""
    text = " ".join(str(error).split())
    name = type(error).__name__
    return text if text.startswith(name) else f"{name}: {text}" if text else name
