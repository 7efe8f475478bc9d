"""Look-ups of topics in Kafka by their identity, and a plain consumer without a group."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from kafka import KafkaAdminClient, KafkaConsumer

from schemas.errors import PartitionError
from schemas.settings.kafka import KafkaSettings
from schemas.settings.kafka_access import client_options
from schemas.settings.reachable import errors_as, wait_until_reachable


@dataclass(frozen=True, slots=True)
class TopicIdentity:
    """The identity of a topic: a topic that was deleted and created again has another id.

    partitions: the number of its partitions.
    """

    name: str
    topic_id: UUID
    partitions: int


class TopicMissingError(PartitionError):
    """A topic doesn't exist, or doesn't exist any more."""


class OffsetsGoneError(PartitionError):
    """Kafka no longer has some offsets; those that aren't stored are lost."""


class TopicRecreatedError(PartitionError):
    """A topic was deleted and created again; its offsets start again."""


class Topics:
    """Look-ups of topics; the connection is made at the first look-up and reused."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._admin: KafkaAdminClient | None = None

    def identities(self, names: Iterable[str]) -> dict[str, TopicIdentity]:
        """Look topics up by name.

        Raises TopicMissingError if a topic doesn't exist, PartitionError if the broker doesn't
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

        Raises PartitionError if the broker doesn't answer.
        """
        where = f"Kafka {self._kafka.bootstrap_servers}"
        with errors_as(PartitionError, "can't be asked about its topics", where=where):
            answers = self._described(sorted(names))
        return {
            a["name"]: TopicIdentity(a["name"], UUID(a["topic_id"]), len(a["partitions"]))
            for a in answers
            if not a["error_code"]
        }

    def _described(self, names: list[str]) -> list[dict[str, Any]]:
        """Fetch Kafka's descriptions of topics; after a failure the connection is closed."""
        try:
            if self._admin is None:
                wait_until_reachable(self._kafka, PartitionError)
                self._admin = KafkaAdminClient(**client_options(self._kafka))
            found: list[dict[str, Any]] = self._admin.describe_topics(names)
        except Exception:
            self.close()
            raise
        return found

    def refuse_recreated(self, known: Mapping[str, UUID]) -> None:
        """Raise TopicRecreatedError if a topic's id isn't the known one; other errors as
        `identities`.
        """
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
    """A consumer without a group, of committed records only; it is closed with the context."""
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
