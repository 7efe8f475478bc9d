"""Sends events to Kafka and confirms their arrival.

Idempotent, acks=all, keyed by the entity's id, so that one entity's events stay in order. No event
is sent that would become a dead letter, every wait has a limit, and `flush` counts an event as sent
only when all in-sync replicas have it. kafka-python's own queue has no limit, so this module counts
the events in flight. It is the only module of `producers` that sends.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from types import TracebackType
from typing import Any, Final, Self
from uuid import UUID

from kafka import KafkaProducer
from kafka.errors import KafkaTimeoutError

from producers.connection import is_settled, sending_errors, translated
from producers.encode import Encoded, EventEncoder, WrongEventError
from producers.event import Event
from producers.leaves import PYTHON_LEAVES
from producers.sizes import MAX_REQUEST_BYTES, SizeLimits
from schemas.derive import avro_schema
from schemas.errors import PublishError
from schemas.registry.registry import Registry, wire_header
from schemas.settings.kafka import KafkaSettings
from schemas.settings.kafka_access import client_options
from schemas.settings.reachable import explained, wait_until_reachable
from schemas.settings.settings import RegistrySettings, Settings
from schemas.tables import Catalog
from schemas.topics import Topic

__all__ = ["SIZE_HINT", "Publisher"]

_CHUNK = 2_000
"""Number of events of `publish_many` that are checked together."""

_CHUNK_BYTES = 16 << 20
"""Bytes of encoded events that are checked together: they become Arrow arrays."""

SIZE_HINT: Final = "shorten it, or let the topic take more"
"""Hint for an event that is too large."""

_BATCH_BYTES = 256 * 1024
_LINGER_MS = 20
_REQUEST_MS = 10_000
_MAX_IN_FLIGHT_BYTES = 32 * 1024 * 1024
_MAX_IN_FLIGHT = 50_000
_DELIVERY_SECONDS = 30.0
_SHOWN_FAILURES = 3


class Publisher:
    """Publishes events of a catalog's databases; use it as a context manager, from one thread."""

    def __init__(
        self,
        kafka: Settings | KafkaSettings | str,
        registry: Registry | RegistrySettings | str,
        catalog: Catalog,
        *,
        delivery_seconds: float = _DELIVERY_SECONDS,
    ) -> None:
        """Connect to Kafka.

        kafka: settings, or just the bootstrap servers. registry: a registry, its settings or its
        URL. delivery_seconds: how long an event may take to arrive before it counts as not sent.

        Raises PublishError if Kafka doesn't answer.
        """
        self._kafka = _kafka_settings(kafka)
        self._registry = registry if isinstance(registry, Registry) else Registry(registry)
        self._catalog = catalog
        self._encoder = EventEncoder(catalog, self._kafka.topic_prefix, PYTHON_LEAVES)
        self._routes: dict[Topic, _Route] = {}
        self._delivery_seconds = max(delivery_seconds, (_REQUEST_MS + _LINGER_MS) / 1000)
        self._in_flight = _InFlight(self._delivery_seconds)
        self._limits = SizeLimits(self._kafka)
        self._where = f"Kafka {self._kafka.bootstrap_servers}"
        wait_until_reachable(self._kafka, PublishError)
        with translated(PublishError, self._where):
            self._producer = KafkaProducer(
                **client_options(self._kafka),
                enable_idempotence=True,
                acks="all",
                allow_auto_create_topics=False,
                batch_size=_BATCH_BYTES,
                linger_ms=_LINGER_MS,
                request_timeout_ms=_REQUEST_MS,
                max_block_ms=_REQUEST_MS,
                delivery_timeout_ms=int(self._delivery_seconds * 1000),
                max_request_size=MAX_REQUEST_BYTES,
            )

    def publish(self, event: Event) -> UUID:
        """Check one event and hand it to Kafka; return its id. `flush` confirms that it arrived.

        Raises WrongEventError if it breaks its schema or contract, or is too large for Kafka;
        PublishError if the queue stays full, Kafka can't be reached, or an earlier event wasn't
        delivered.
        """
        encoded = self._encoder.encode(event)
        for wrong in self._wrong([encoded]):
            raise wrong.error()
        self.send([encoded])
        return UUID(encoded.event_id)

    def publish_many(self, events: Iterable[Event]) -> int:
        """Check and send many events, a few thousand at a time; return how many Kafka's client
        took.

        Raises the errors of `publish`; no event of the chunk with a wrong event is sent.
        """
        remaining = enumerate(events)
        count = 0
        while chunk := self._encoded(islice(remaining, _CHUNK)):
            for wrong in self._wrong(chunk):
                raise wrong.error(f"event {count + wrong.index}")
            self.send(chunk)
            count += len(chunk)
        return count

    def too_large(self, events: Sequence[Encoded]) -> dict[int, str]:
        """Return the events that are larger than Kafka takes, by index, with the reason. Each
        topic's limit is read from Kafka once.

        Raises PublishError or RegistryError if a topic's limit or schema can't be read.
        """
        found = {}
        for index, event in enumerate(events):
            route = self._route(event.topic)
            reason = self._limits.reason(route.topic_name, event.key, route.header + event.datum)
            if reason:
                found[index] = reason
        return found

    def send(self, events: Sequence[Encoded]) -> None:
        """Hand encoded and checked events to Kafka, in order; raises PublishError."""
        self._in_flight.raise_failures()
        for event in events:
            route = self._route(event.topic)
            value = route.header + event.datum
            size = len(event.key) + len(value)
            self._in_flight.make_room(size)
            self._in_flight.add(
                self._handed_over(event, route.topic_name, value), size, event.event_id
            )

    def _encoded(self, numbered: Iterator[tuple[int, Event]]) -> list[Encoded]:
        """Encode the events that are checked together."""
        encoded: list[Encoded] = []
        size = 0
        for number, event in numbered:
            try:
                encoded.append(self._encoder.encode(event))
            except WrongEventError as error:
                where = f"event {number}"
                raise WrongEventError(error.what, where=where, hint=error.hint) from error
            size += len(encoded[-1].datum)
            if size >= _CHUNK_BYTES:
                break
        return encoded

    def _wrong(self, encoded: Sequence[Encoded]) -> Iterator[_Wrong]:
        for index, reason in sorted(self._encoder.check(encoded).items()):
            yield _Wrong(index, reason, self._encoder.hint(encoded[index], reason))
        for index, reason in self.too_large(encoded).items():
            yield _Wrong(index, reason, SIZE_HINT)

    def flush(self, timeout: float | None = None) -> int:
        """Wait until everything has arrived; return how many events did since the last flush.

        timeout: seconds, by default a little more than an event may take.

        Raises PublishError if one or more were not delivered, or if that isn't known in time.
        """
        seconds = self._delivery_seconds + 5 if timeout is None else timeout
        with suppress(KafkaTimeoutError):  # events that haven't arrived are counted below
            self._producer.flush(seconds)
        return self._in_flight.settle()

    def close(self) -> None:
        """Flush and close the connection; raises the errors of `flush`."""
        try:
            self.flush()
        finally:
            with translated(PublishError, self._where):
                self._producer.close(timeout=self._delivery_seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
            return
        # The error that ends the block says more.
        with suppress(PublishError), translated(PublishError, self._where):
            self._producer.close(timeout=self._delivery_seconds)

    def _route(self, topic: Topic) -> _Route:
        return self._routes.get(topic) or self._registered(topic)

    def _registered(self, topic: Topic) -> _Route:
        with sending_errors(topic.name):
            self._producer.partitions_for(topic.name)
        schema_id = self._registry.register(topic, avro_schema(topic, self._catalog))
        self._routes[topic] = _Route(topic.name, wire_header(schema_id))
        return self._routes[topic]

    def _handed_over(self, event: Encoded, topic_name: str, value: bytes) -> Any:
        with sending_errors(topic_name):
            return self._producer.send(topic_name, value, event.key)


def _kafka_settings(kafka: Settings | KafkaSettings | str) -> KafkaSettings:
    if isinstance(kafka, str):
        return KafkaSettings(bootstrap_servers=kafka)
    return kafka.kafka if isinstance(kafka, Settings) else kafka


@dataclass(frozen=True, slots=True)
class _Wrong:
    """An event that can't be sent: its index, and the reason."""

    index: int
    reason: str
    hint: str

    def error(self, where: str = "") -> WrongEventError:
        return WrongEventError(self.reason, where=where, hint=self.hint)


@dataclass(frozen=True, slots=True)
class _Route:
    """The topic name of events, and the header of their values."""

    topic_name: str
    header: bytes


@dataclass(frozen=True, slots=True)
class _Pending:
    """An event in flight: kafka-python's future, its size, and its id."""

    future: Any
    size: int
    event_id: str


class _InFlight:
    """Events that were handed to Kafka and aren't settled, in order; their number is limited."""

    def __init__(self, wait_seconds: float) -> None:
        self._wait_seconds = wait_seconds
        self._pending: deque[_Pending] = deque()
        self._bytes = 0
        self._arrived = 0
        self._failed: list[tuple[str, str]] = []

    def add(self, future: Any, size: int, event_id: str) -> None:
        """Add an event that was handed over."""
        self._pending.append(_Pending(future, size, event_id))
        self._bytes += size

    def make_room(self, size: int) -> None:
        """Wait, with a limit, until an event of `size` bytes can be added.

        Raises PublishError if there is no room in time. If there is no room at once, it also raises
        PublishError for an earlier event that wasn't delivered, as later ones could overtake it.
        """
        if self._fits(size):
            return
        deadline = time.monotonic() + self._wait_seconds
        while not self._fits(size) and not self._failed:
            oldest = self._pending[0]
            if not is_settled(oldest.future, max(0.0, deadline - time.monotonic())):
                what = f"the queue stays full ({len(self._pending)} events on their way)"
                raise PublishError(what, hint="is Kafka up, and keeping pace?")
            self._reap()
        self.raise_failures()

    def raise_failures(self) -> None:
        """Raise PublishError if any event is known not to have been delivered."""
        self._reap()
        if self._failed:
            self.settle()

    def settle(self) -> int:
        """Return how many events arrived since the last call; PublishError if others didn't."""
        self._reap()
        failed, unknown, arrived = self._failed, len(self._pending), self._arrived
        self._failed, self._arrived = [], 0
        if not failed and not unknown:
            return arrived
        parts = [f"{arrived} events were sent"]
        if failed:
            shown = "; ".join(
                f"event {event_id}: {why}" for event_id, why in failed[:_SHOWN_FAILURES]
            )
            parts.append(f"{len(failed)} were not ({shown})")
        if unknown:
            parts.append(f"of {unknown} it isn't known")
        hint = "publish those again with the same event ids: what arrived after all isn't doubled"
        raise PublishError(", ".join(parts), hint=hint)

    def _fits(self, size: int) -> bool:
        return self._bytes + size <= _MAX_IN_FLIGHT_BYTES and len(self._pending) < _MAX_IN_FLIGHT

    def _reap(self) -> None:
        pending = self._pending
        while pending and pending[0].future.is_done:
            done = pending.popleft()
            self._bytes -= done.size
            if done.future.failed():
                self._failed.append((done.event_id, explained(done.future.exception)))
            else:
                self._arrived += 1
