"""What the peers share: decode with fastavro, filter, and write row dictionaries as Parquet files.

What could be taken off them, is: their moments and UUIDs stay the numbers and texts that they are
in Avro (fastavro would make Python objects of them), and their files aren't flushed to the disk, as
deltadrop's are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from io import BytesIO
from typing import Any, Final, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq
from fastavro import parse_schema, schemaless_reader

from benchmarks.job import EVENT_TYPES, SOURCES, Job
from benchmarks.topic import catalog
from schemas.derive import arrow_schema
from schemas.registry.registry import WIRE_HEADER, Registry

Row: TypeAlias = dict[str, Any]
"""An event as fastavro gives it."""

CHUNK: Final = 10_000
"""Rows that become Arrow at once: dictionaries are large, and a file of them would be gigabytes."""


class Decoder:
    """Decodes values one by one, by the writer's schema of each."""

    def __init__(self, registry_url: str) -> None:
        self._registry = Registry(registry_url)
        self._schemas: dict[bytes, Any] = {}

    def __call__(self, value: bytes) -> Row:
        """Decode one value in Confluent wire format."""
        header = value[:WIRE_HEADER]
        schema = self._schemas.get(header)
        if schema is None:
            schema = self._schemas[header] = self._parsed(header)
        row: Row = schemaless_reader(BytesIO(value[WIRE_HEADER:]), schema)  # type: ignore[assignment]
        return row

    def _parsed(self, header: bytes) -> Any:
        schema = self._registry.schema(int.from_bytes(header[1:], "big"))
        return parse_schema(_without_logical_types(schema))


def wanted(row: Row) -> bool:
    """Whether the job keeps an event."""
    return row["eventType"] in EVENT_TYPES and row["source"] in SOURCES


class ParquetFiles:
    """Writes rows as files of their own kind of batch: a row group for each chunk added."""

    def __init__(self, job: Job) -> None:
        self._output = job.output
        self._schema = _plain_arrow_schema(job)
        self._writer: pq.ParquetWriter | None = None
        self._files = 0

    def add(self, rows: Sequence[Row]) -> None:
        """Add rows to the file that is being written."""
        if rows:
            if self._writer is None:
                self._writer = self._open()
            self._writer.write_table(pa.Table.from_pylist(rows, schema=self._schema))

    def finish(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def write(self, rows: Iterable[Row]) -> None:
        """Write a file of these rows."""
        held = list(rows)
        for start in range(0, len(held), CHUNK):
            self.add(held[start : start + CHUNK])
        self.finish()

    def _open(self) -> pq.ParquetWriter:
        self._files += 1
        path = self._output / f"{self._files:05d}.parquet"
        return pq.ParquetWriter(path, self._schema, compression="zstd", compression_level=1)


def _plain_arrow_schema(job: Job) -> pa.Schema:
    """The topic's columns, the event's id and enums as texts."""
    fields = []
    for field in arrow_schema(job.topic, catalog()):
        plain = field.type == pa.uuid() or pa.types.is_dictionary(field.type)
        fields.append(pa.field(field.name, pa.string() if plain else field.type))
    return pa.schema(fields)


def _without_logical_types(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {
            name: _without_logical_types(value)
            for name, value in schema.items()
            if name != "logicalType"
        }
    if isinstance(schema, list):
        return [_without_logical_types(value) for value in schema]
    return schema
