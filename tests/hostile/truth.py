"""What the topics of a hostile publisher really hold, by the plainest reading."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as Place
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, TopicPartition

from tests.faults.truth import Truth
from tests.hostile.cases import with_references
from tests.hostile.naive import naive_event
from tests.hostile.publishing import Origin
from tests.model.history import Recorded

__all__ = ["HostileTruth"]

_SECONDS: Final = 60
_SURELY_UNKNOWN: Final = 2_000_000_000
"""Ids from here on: no registry of a test has so many schemas."""


class HostileTruth(Truth):
    """Reads topics whole; refused: records that no plain reading can judge, and that are dead
    letters by their cases. lost: records that were passed over.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        registry_url: str,
        prefix: str,
        refused: Collection[Origin] = (),
        lost: Collection[Origin] = (),
    ) -> None:
        super().__init__(bootstrap_servers, registry_url, prefix)
        self._registry = registry_url
        self._topics_prefix = f"{prefix}."
        self._refused = frozenset(refused)
        self._lost = frozenset(lost)

    def records(self, topics: list[str]) -> list[Recorded]:
        """See Truth.records; by librdkafka, which knows all codecs and doesn't mind damage."""
        return [one for topic in topics for one in self._records(topic)]

    def _records(self, topic: str) -> Iterator[Recorded]:
        for record in _records_of(self._bootstrap_servers, topic):
            origin = (topic, record.partition, record.offset)
            if origin not in self._lost:
                yield Recorded(*origin, record.appended_at, self._event_at(origin, record))

    def _event_at(self, origin: Origin, record: _Record) -> dict[str, Any] | None:
        if origin in self._refused:
            return None
        local = origin[0].removeprefix(self._topics_prefix)
        event = naive_event(local, record.key, record.value, self._schema)
        return None if event is None else dict(event)

    def _fetch_schema(self, schema_id: int) -> Any:
        if schema_id >= _SURELY_UNKNOWN:
            return None
        try:
            told = self._got(f"schemas/ids/{schema_id}")
        except urllib.error.HTTPError:
            return None
        if told.get("schemaType", "AVRO") != "AVRO":
            return None
        named = [
            json.loads(self._got(_version_of(one))["schema"]) for one in told.get("references", ())
        ]
        schema = json.loads(told["schema"])
        return with_references(schema, named) if named else schema

    def _got(self, path: str) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self._registry}/{path}") as answer:
            loaded: dict[str, Any] = json.load(answer)
            return loaded


class _Record(NamedTuple):
    partition: int
    offset: int
    appended_at: int
    key: bytes | None
    value: bytes | None


def _records_of(bootstrap_servers: str, topic: str) -> Iterator[_Record]:
    """All records of a topic up to its last stable offsets."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "truth",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
        }
    )
    try:
        partitions = consumer.list_topics(topic, _SECONDS).topics[topic].partitions
        consumer.assign([TopicPartition(topic, one, OFFSET_BEGINNING) for one in partitions])
        behind = dict.fromkeys(partitions, 0)
        while behind:
            record = consumer.poll(_SECONDS)
            assert record is not None, f"nothing came of {topic}"
            partition = int(record.partition() or 0)
            for read in _read(record, bootstrap_servers, behind[partition]):
                yield read
                behind[partition] = read.offset + 1
            if (error := record.error()) is not None:
                if error.code() == KafkaError._PARTITION_EOF:
                    del behind[partition]
                else:
                    consumer.seek(TopicPartition(topic, partition, behind[partition]))
    finally:
        consumer.close()


def _read(record: Message, bootstrap_servers: str, offset: int) -> Iterable[_Record]:
    """The record; where librdkafka gives up on a batch, as it is too large, those of the batch."""
    partition, error = int(record.partition() or 0), record.error()
    if error is None:
        at = record.timestamp()[1]
        return [_Record(partition, int(record.offset() or 0), at, record.key(), record.value())]
    if error.code() == KafkaError._PARTITION_EOF:
        return []
    assert error.code() == KafkaError._BAD_COMPRESSION, error
    return asyncio.run(_batch_at(bootstrap_servers, str(record.topic()), partition, offset))


async def _batch_at(servers: str, topic: str, partition: int, offset: int) -> list[_Record]:
    """The records of a batch of any size, and of those that are fetched with it."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=servers,
        isolation_level="read_committed",
        check_crcs=False,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        place = Place(topic, partition)
        consumer.assign([place])
        consumer.seek(place, offset)
        fetched = await consumer.getmany(place, timeout_ms=_SECONDS * 1000)
    finally:
        await consumer.stop()
    assert place in fetched, f"nothing came of {topic}/{partition} from offset {offset}"
    return [_Record(partition, r.offset, r.timestamp, r.key, r.value) for r in fetched[place]]


def _version_of(reference: Mapping[str, Any]) -> str:
    return f"subjects/{quote(reference['subject'], safe='')}/versions/{reference['version']}"
