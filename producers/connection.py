"""kafka-python's errors as ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kafka.errors import KafkaError

from schemas.errors import DeltadropError
from schemas.settings.reachable import KAFKA_HINT

__all__ = ["explained", "translated"]

_LONGEST = 300
"""How much of an error's text is told: some repeat the whole request, all its topics, and answer.
"""


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
