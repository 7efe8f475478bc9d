"""Events in partitions, as a worker would have stored them; without Kafka and a registry."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa

from schemas.decoding.decode import Decoder
from schemas.derive import avro_schema
from schemas.events import Kind
from schemas.topics import Topic
from streams.reading.records import RECORDS, Chunk, Flush
from streams.storage.folder import FolderStore
from streams.storage.partitions import Partitions
from streams.storage.stream import builtin_streams
from streams.writing.batch import BatchWriter
from streams.writing.dead_letter_topic import Poison
from tests.shop.events import CATALOG, OneSchema, topic, written

TOPIC_ID = UUID(int=7)


class NoLetters:
    """Takes no dead letter."""

    def send(self, events: Iterable[Poison]) -> None:
        raise AssertionError([letter.reason for letter in events])


class Storage:
    """A store's folder, and what is appended to each topic's partition 0, record by record."""

    def __init__(self, root: Path) -> None:
        self._partitions = Partitions(FolderStore(root))
        self._next: dict[Topic, int] = {}

    def append(self, at: datetime, kind: Kind, event_type: str, **telling: Any) -> None:
        """Append an event of the shop at a moment, and store it."""
        header = {"occurredAt": telling.pop("occurredAt", at)}
        value = written(kind, event_type, header, **telling)
        self._store(topic(kind, telling.get("table", "purchases")), at, [value])

    def lose(self, kind: Kind, offsets: int = 1) -> None:
        """Let offsets pass that nobody has stored yet."""
        where = topic(kind)
        self._next[where] = self._next.get(where, 0) + offsets

    def _store(self, where: Topic, at: datetime, values: list[bytes]) -> None:
        first = self._next.get(where, 0)
        self._next[where] = first + len(values)
        appended = int((at - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1))
        rows = [range(first, first + len(values)), [appended] * len(values), [b"1"], values]
        records = pa.RecordBatch.from_arrays(
            [pa.array(row, field.type) for row, field in zip(rows, RECORDS, strict=True)],
            schema=RECORDS,
        )
        writer = BatchWriter(
            topic=where.name,
            streams=builtin_streams([where]),
            decoder=Decoder(OneSchema(avro_schema(where, CATALOG)), where, CATALOG),
            partitions=self._partitions,
            dead_letters=NoLetters(),
        )
        chunk = Chunk(0, first, self._next[where], (records,))
        writer.write(Flush(where.name, (chunk,)), TOPIC_ID)
