"""Stream files: write the rows of a batch, one file for each stream and UTC day of append.

The order of a write is: stream files, which are durable then; the dead letters; the coverage
records (both by the caller). Only a file that a coverage record names counts.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import PartitionError
from streams.storage.coverage import CoveredFile
from streams.storage.layout import Batch, StreamFilePath
from streams.storage.parquet import parquet_writer, write_rows
from streams.storage.readable import type_of, unreadable_columns, why_unreadable
from streams.storage.store import Store
from streams.storage.stream import Stream

__all__ = [
    "META",
    "StreamRows",
    "UnreadableOutputError",
    "refusals",
    "restore_files",
    "write_files",
]

META: Final = (
    pa.field("_partition", pa.int32(), nullable=False),
    pa.field("_offset", pa.int64(), nullable=False),
    pa.field("_appended_at", pa.timestamp("ms", tz="UTC"), nullable=False),
)
"""Columns that every stream file has beside those of the event: its place in Kafka and its append
time.
"""

_DAY_MS: Final = 86_400_000


class UnreadableOutputError(Exception):
    """The output of a stream's own function can't be read back. Nothing was written.

    rows: partition and offset of each such row, with a reason that names the stream and its column.
    """

    def __init__(self, rows: Mapping[tuple[int, int], str]) -> None:
        super().__init__("; ".join(sorted(set(rows.values()))))
        self.rows = rows


@dataclass(frozen=True, slots=True)
class StreamRows:
    """A file that a batch wrote: its stream, its path, and how many rows of each partition."""

    stream: str
    path: str
    rows: Mapping[int, int]

    def as_seen_by(self, partition: int) -> CoveredFile:
        """Return the entry of this file in one partition's coverage record."""
        return CoveredFile(
            self.stream, self.path, self.rows.get(partition, 0), sum(self.rows.values())
        )


def write_files(
    store: Store, rows: pa.Table, streams: Sequence[Stream], batch: Batch
) -> tuple[StreamRows, ...]:
    """Write the rows of each stream, one file for each stream and UTC day of append.

    rows: the topic's event columns and META, in order of partition and offset. Raises
    UnreadableOutputError, before anything is written, if the engine can't read the output of a
    stream's own function.
    """
    made = {stream.name: _held(rows, stream) for stream in streams if stream.transform}
    _check_output(made)
    written: list[StreamRows] = []
    for stream in streams:
        held = made[stream.name] if stream.name in made else _held(rows, stream)
        for day, table in _by_day(held):
            path = str(StreamFilePath(stream.name, day, batch))
            store.write(path, partial(_write_parquet, table))
            written.append(StreamRows(stream.name, path, _rows_by_partition(table)))
    return tuple(written)


def restore_files(
    store: Store,
    rows: pa.Table,
    streams: Sequence[Stream],
    batch: Batch,
    expected: Mapping[str, Mapping[int, int]],
) -> None:
    """Write some files of a batch again, from the rows of the batch.

    expected: for each file's path, how many rows it has of each partition. Raises
    PartitionError, with nothing written, if these rows give other counts or can't be read.
    """
    made = {
        str(StreamFilePath(stream.name, day, batch)): table
        for stream in streams
        for day, table in _by_day(_held(rows, stream))
    }
    for path, counts in expected.items():
        found = _rows_by_partition(made[path]) if path in made else {}
        if found != counts or unreadable_columns(made[path]):
            raise PartitionError(
                what=f"Kafka gives {sum(found.values())} rows, {sum(counts.values())} were"
                " stored: an event, or the definitions, have changed",
                where=path,
            )
    for path in expected:
        store.write(path, partial(_write_parquet, made[path]))


def _held(rows: pa.Table, stream: Stream) -> pa.Table:
    held = rows
    for column, wanted in (
        ("eventType", stream.event_types),
        ("source", stream.sources),
    ):
        if wanted:
            held = held.filter(pc.is_in(held.column(column), pa.array(sorted(wanted))))
    if stream.transform is not None:
        batches = [stream.transform(batch) for batch in held.combine_chunks().to_batches()]
        held = pa.Table.from_batches(batches) if batches else held
    return held


def _check_output(made: Mapping[str, pa.Table]) -> None:
    refused: dict[tuple[int, int], str] = {}
    for stream, rows in made.items():
        why = f"stream '{stream}' makes of it what can't be stored"
        refused = {**refusals(rows, why), **refused}
    if refused:
        raise UnreadableOutputError(refused)


def refusals(rows: pa.Table, why: str) -> dict[tuple[int, int], str]:
    """Return why the engine can't read back a row, by partition and offset; rows without faults
    aren't there.
    """
    found = unreadable_columns(rows)
    refused: dict[tuple[int, int], str] = {}
    for name, mask in found.items():
        places = rows.select([META[0].name, META[1].name]).filter(pa.array(mask)).to_pylist()
        reason = f"{why}: field '{name}' is {why_unreadable(type_of(rows.schema, name))}"
        for place in places:
            refused.setdefault((place[META[0].name], place[META[1].name]), reason)
    return refused


def _by_day(rows: pa.Table) -> Iterator[tuple[dt.date, pa.Table]]:
    if not rows.num_rows:
        return
    appended = rows.column("_appended_at").cast(pa.int64()).to_numpy() // _DAY_MS
    for day in np.unique(appended):
        date = dt.date(1970, 1, 1) + dt.timedelta(days=int(day))
        whole = bool((appended == day).all())
        yield date, rows if whole else rows.filter(pa.array(appended == day))


def _rows_by_partition(rows: pa.Table) -> dict[int, int]:
    partitions, counts = np.unique(rows.column("_partition").to_numpy(), return_counts=True)
    return {int(p): int(n) for p, n in zip(partitions, counts, strict=True)}


def _write_parquet(rows: pa.Table, file: object) -> None:
    with parquet_writer(file, rows.schema) as writer:
        write_rows(writer, rows)
