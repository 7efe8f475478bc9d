"""Writing and opening of all Parquet files of events and states."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from streams.storage.slices import slices
from streams.storage.store import Store

__all__ = [
    "GROUP_BYTES",
    "ROW_GROUP",
    "parquet_file",
    "parquet_schema",
    "parquet_writer",
    "write_rows",
]

ROW_GROUP: Final = 256 * 1024
"""Rows of a row group: enough to compress well, few enough to skip by statistics."""

GROUP_BYTES: Final = 64 << 20
"""Bytes of a row group's values: readers have all texts of a group in memory at once."""

_MAGIC: Final = b"PAR1"
_TAIL: Final = 64 * 1024
"""Bytes that are read at the end of a file first: nearly all footers are smaller."""


@contextmanager
def parquet_file(store: Store, name: str) -> Iterator[pq.ParquetFile]:
    """Open a stored Parquet file for reading."""
    (path,) = store.local([name])
    with pq.ParquetFile(path) as file:
        yield file


def parquet_schema(store: Store, name: str) -> pa.Schema:
    """Read the schema of a stored Parquet file from its footer alone.

    Raises ArrowInvalid if it isn't a Parquet file.
    """
    size = store.stat(name).size
    tail = _last(store, name, size, _TAIL)
    footer = int.from_bytes(tail[-8:-4], "little") + 8
    if len(tail) < footer <= size:
        tail = _last(store, name, size, footer)
    return pq.read_schema(pa.BufferReader(_MAGIC + tail[-footer:]))


def _last(store: Store, name: str, size: int, length: int) -> bytes:
    start = max(size - length, 0)
    return store.read_range(name, start, size - start)


def write_rows(
    writer: pq.ParquetWriter,
    rows: pa.Table | pa.RecordBatch,
    most_rows: int = ROW_GROUP,
    most_bytes: int = GROUP_BYTES,
) -> None:
    """Write rows in row groups that are limited in rows and bytes."""
    for group in slices(rows, most_rows, most_bytes):
        if isinstance(group, pa.RecordBatch):
            writer.write_batch(group, row_group_size=group.num_rows)
        else:
            writer.write_table(group, row_group_size=group.num_rows)


def parquet_writer(file: object, schema: pa.Schema) -> pq.ParquetWriter:
    """Open a Parquet file for writing.

    Ids, offsets and moments are stored as differences without compression, eventIds as they are,
    everything else with dictionaries and zstd. Compared with zstd for all, files are a seventh
    smaller, take 0.6 of the time to write, and 0.4 to 0.7 of the time to read.
    """
    leaves = dict(leaf for field in schema for leaf in _leaves(field.name, field.type))
    whole = [path for path, kind in leaves.items() if _is_whole(kind)]
    bare = {*whole, *(path for path, kind in leaves.items() if kind == pa.uuid())}
    texts = [path for path in leaves if path not in bare]
    return pq.ParquetWriter(
        file,
        schema,
        compression={path: "none" if path in bare else "zstd" for path in leaves},
        compression_level=dict.fromkeys(texts, 1),
        use_dictionary=texts,
        column_encoding=dict.fromkeys(whole, "DELTA_BINARY_PACKED"),
    )


def _is_whole(kind: pa.DataType) -> bool:
    return bool(pa.types.is_int64(kind) or pa.types.is_timestamp(kind))


def _leaves(path: str, kind: pa.DataType) -> Iterator[tuple[str, pa.DataType]]:
    """Yield path and type of the columns that a field becomes in the file."""
    if pa.types.is_struct(kind):
        for field in kind:
            yield from _leaves(f"{path}.{field.name}", field.type)
    elif pa.types.is_list(kind):
        yield from _leaves(f"{path}.list.element", kind.value_type)
    elif pa.types.is_map(kind):
        yield from _leaves(f"{path}.key_value.key", kind.key_type)
        yield from _leaves(f"{path}.key_value.value", kind.item_type)
    else:
        yield path, kind
