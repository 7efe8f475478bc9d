"""Translate kafka-python's errors into those of publishing; only this module of `producers` knows
their base class.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

from kafka.errors import KafkaError, KafkaTimeoutError

from schemas.errors import DeltadropError, PublishError
from schemas.settings.reachable import errors_as, explained

__all__ = ["is_settled", "sending_errors", "translated"]


def translated(kind: type[DeltadropError], where: str) -> AbstractContextManager[None]:
    """Raise kafka-python's errors, and those of its connections, as errors of `kind`."""
    what = "Kafka doesn't answer as it should"
    return errors_as(kind, what, where=where, foreign=(KafkaError, OSError))


@contextmanager
def sending_errors(topic_name: str) -> Iterator[None]:
    """Raise errors that prevent an event's hand-over to a topic as PublishError."""
    where = f"topic {topic_name}"
    try:
        yield
    except KafkaTimeoutError as error:
        what = f"the topic can't be reached ({explained(error)})"
        hint = "does it exist (`deltadrop topics check`), and is Kafka up?"
        raise PublishError(what, where=where, hint=hint) from error
    except (KafkaError, ValueError) as error:
        raise PublishError(f"can't be sent ({explained(error)})", where=where) from error


def is_settled(future: Any, seconds: float) -> bool:
    """Wait until it is known whether an event arrived; False if it isn't known in time.

    future: kafka-python's.
    """
    with suppress(KafkaError):  # the future has the error
        future.get(timeout=seconds)
    return bool(future.is_done)
