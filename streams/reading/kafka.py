"""What is asked of Kafka beside the events: which incarnation of a topic there is now, and what a
plain consumer is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from kafka import KafkaAdminClient, KafkaConsumer
from kafka.errors import KafkaError

from schemas.errors import PartitionError
from schemas.settings.kafka import KafkaSettings
from schemas.settings.kafka_access import client_options
from schemas.settings.reachable import errors_as, wait_until_reachable


@dataclass(frozen=True, slots=True)
class TopicIdentity:
    """One incarnation of a topic: a topic that was deleted and created again has another id."""

    name: str
    topic_id: UUID
    partitions: int


class TopicMissingError(PartitionError):
    """A topic doesn't exist, or no longer."""


class OffsetsGoneError(PartitionError):
    """Kafka no longer has some offsets: they are lost where nothing has stored them."""


class TopicRecreatedError(PartitionError):
    """A topic was deleted and created again: its offsets begin anew."""


class Topics:
    """Looks topics up; the connection is made at the first look-up and kept."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._admin: KafkaAdminClient | None = None

    def identities(self, names: Iterable[str]) -> dict[str, TopicIdentity]:
        """Look topics up by name.

        Raises TopicMissingError where one doesn't exist, PartitionError where the broker doesn't
        answer.
        """
        wanted = sorted(names)
        found = self.existing(wanted)
        missing = [name for name in wanted if name not in found]
        if missing:
            raise TopicMissingError(
                what=f"topics don't exist: {', '.join(missing)}",
                hint="create them with `deltadrop topics create`",
            )
        return found

    def existing(self, names: Iterable[str]) -> dict[str, TopicIdentity]:
        """Look topics up by name; those that don't exist are left out.

        Raises PartitionError where the broker doesn't answer.
        """
        where = f"Kafka {self._kafka.bootstrap_servers}"
        with errors_as(PartitionError, KafkaError, "can't be asked about its topics", where=where):
            answers = self._described(sorted(names))
        return {
            a["name"]: TopicIdentity(a["name"], UUID(a["topic_id"]), len(a["partitions"]))
            for a in answers
            if not a["error_code"]
        }

    def _described(self, names: list[str]) -> list[dict[str, Any]]:
        """What Kafka says of topics; a connection that failed isn't used again."""
        try:
            if self._admin is None:
                wait_until_reachable(self._kafka, PartitionError)
                self._admin = KafkaAdminClient(**client_options(self._kafka))
            found: list[dict[str, Any]] = self._admin.describe_topics(names)
        except KafkaError:
            self.close()
            raise
        return found

    def refuse_recreated(self, known: Mapping[str, UUID]) -> None:
        """Raise TopicRecreatedError where a topic isn't the one it was; else as `identities`."""
        for name, identity in self.identities(known).items():
            if identity.topic_id != known[name]:
                raise TopicRecreatedError(
                    what="the topic was deleted and created again while this worker read it",
                    where=f"topic {name}",
                    hint="the worker reads the new one from its start; closes of its exports are"
                    " held",
                )

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._admin is not None:
            self._admin.close()
            self._admin = None


@contextmanager
def plain_consumer(kafka: KafkaSettings) -> Iterator[KafkaConsumer]:
    """A consumer without a group, of what is committed."""
    consumer = KafkaConsumer(
        **client_options(kafka),
        group_id=None,
        isolation_level="read_committed",
        enable_auto_commit=False,
    )
    try:
        yield consumer
    finally:
        consumer.close()
