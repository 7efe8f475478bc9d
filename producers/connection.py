"""What kafka-python needs to know to connect, from the settings; and its errors as ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kafka.errors import KafkaError

from schemas.errors import DeltadropError
from schemas.reach import KAFKA_HINT
from schemas.settings import KafkaSettings

__all__ = ["connection_options", "explained", "translated"]

_CONNECT_MS = 10_000
"""How long to wait for the first answer of Kafka, milliseconds."""

_LONGEST = 300
"""How much of an error's text is told: some repeat the whole request, all its topics, and answer.
"""


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


@contextmanager
def translated(kind: type[DeltadropError], where: str) -> Iterator[None]:
    """kafka-python's errors as errors of `kind`."""
    try:
        yield
    except (KafkaError, OSError) as error:
        raise kind(
            f"Kafka doesn't answer as it should ({explained(error)})", where=where, hint=KAFKA_HINT
        ) from error


def explained(error: BaseException) -> str:
    """A Kafka error's name and text, of a length that can be read."""
    text = " ".join(str(error).split())
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    name = type(error).__name__
    return text if text.startswith(name) else f"{name}: {text}" if text else name
