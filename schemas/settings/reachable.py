"""Check that Kafka answers and accepts us, before its clients connect."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count

from kafka.errors import KafkaError

from schemas.backoff import Backoff
from schemas.errors import DeltadropError
from schemas.settings.kafka import KafkaSettings
from schemas.settings.kafka_probe import KafkaRefusedError, probe

__all__ = ["KAFKA_HINT", "errors_as", "explained", "wait_until_reachable"]

KAFKA_HINT = (
    "check kafka.bootstrap_servers or KAFKA_BOOTSTRAP_SERVERS, kafka.security, and that Kafka is up"
)

_WAIT_SECONDS = 10
"""Seconds to wait for the first answer: a broker that restarts is back by then."""
_BACKOFF = Backoff(first=0.25, longest=1)

_LONGEST = 300
"""Characters of an error's text that are shown: some repeat the whole request, with all topics."""

log = logging.getLogger(__name__)


def wait_until_reachable(kafka: KafkaSettings, kind: type[DeltadropError]) -> None:
    """Wait up to `_WAIT_SECONDS` until a server accepts us; raises `kind` if none does.

    A server's refusal ends the wait once no server is unreachable, as another attempt doesn't help.
    Raises DefinitionError if a file of the settings can't be used.

    kafka-python waits too, but logs every attempt, and leaves its sockets open when it gives up.
    """
    _warn_where_unencrypted(kafka)
    deadline = time.monotonic() + _WAIT_SECONDS
    for attempt in count(1):
        reasons = []
        refused: tuple[str, KafkaRefusedError] | None = None
        for server in kafka.servers:
            try:
                probe(server, kafka)
                return
            except KafkaRefusedError as refusal:
                refused = server, refusal
            except (OSError, ValueError) as error:
                reasons.append(str(error))
        waited = time.monotonic() >= deadline
        if refused is not None and (waited or not reasons):
            server, why = refused
            raise kind(why.what, where=f"Kafka {server}", hint=why.hint) from why
        if waited:
            where = f"Kafka {kafka.bootstrap_servers}"
            raise kind(f"can't be reached ({'; '.join(reasons)})", where=where, hint=KAFKA_HINT)
        time.sleep(_BACKOFF.pause(attempt))


@contextmanager
def errors_as(
    kind: type[DeltadropError],
    what: str,
    *,
    where: str,
    hint: str = KAFKA_HINT,
    foreign: type[Exception] | tuple[type[Exception], ...] = KafkaError,
) -> Iterator[None]:
    """Raise a client library's errors as ours: what failed, with the library's own text.

    foreign: the base of the library's errors; kafka-python's by default, aiokafka has another.
    """
    try:
        yield
    except foreign as error:
        raise kind(f"{what}: {explained(error)}", where=where, hint=hint) from error


def explained(error: BaseException) -> str:
    """Return a library's error as name and text, cut to a readable length."""
    text = " ".join(str(error).split())
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    name = type(error).__name__
    return text if text.startswith(name) else f"{name}: {text}" if text else name


def _warn_where_unencrypted(kafka: KafkaSettings) -> None:
    if kafka.security.protocol == "SASL_PLAINTEXT":
        _warn_once(kafka.bootstrap_servers)


@cache
def _warn_once(servers: str) -> None:
    """Warn once a process; kafka-python warns for each connection."""
    logging.getLogger("kafka.net.sasl").setLevel(logging.ERROR)
    log.warning(
        "Kafka %s: login and events travel unencrypted (kafka.security.protocol: SASL_PLAINTEXT);"
        " use SASL_SSL outside a network that you trust",
        servers,
    )
