"""How Parquet files are written: by the type of each column, nested ones too."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from streams.storage.parquet import parquet_writer

MOMENT = pa.timestamp("ms", "UTC")
NAMES = pa.dictionary(pa.int32(), pa.string())
ROWS: dict[str, tuple[pa.DataType, list[Any]]] = {
    "profileId": (pa.int64(), [1, 2]),
    "occurredAt": (MOMENT, [datetime(2026, 3, 1, tzinfo=UTC), None]),
    "eventId": (pa.uuid(), [b"0" * 16, b"1" * 16]),
    "source": (NAMES, ["API", "IMPORT"]),
    "day": (pa.date32(), [None, None]),
    "consent": (pa.bool_(), [True, None]),
    "attributes": (
        pa.struct([("city", pa.string()), ("visits", pa.int64()), ("born", MOMENT)]),
        [{"city": "Gent", "visits": 3, "born": None}, None],
    ),
    "subscriptions": (pa.list_(pa.string()), [["news", "offers"], []]),
    "segments": (pa.map_(pa.string(), pa.string()), [[("clubs", "gold")], None]),
}


def written(file: io.BytesIO, rows: pa.Table) -> pq.FileMetaData:
    with parquet_writer(file, rows.schema) as writer:
        writer.write_table(rows)
    return pq.ParquetFile(file).metadata


def test_rows_are_read_as_they_were_written() -> None:
    columns = {name: pa.array(values, kind) for name, (kind, values) in ROWS.items()}
    rows, file = pa.table(columns), io.BytesIO()
    written(file, rows)
    assert pq.read_table(file).to_pylist() == rows.to_pylist()


@pytest.mark.parametrize(
    ("path", "compression", "encoding"),
    [
        ("profileId", "UNCOMPRESSED", "DELTA_BINARY_PACKED"),
        ("occurredAt", "UNCOMPRESSED", "DELTA_BINARY_PACKED"),
        ("eventId", "UNCOMPRESSED", "PLAIN"),
        ("source", "ZSTD", "RLE_DICTIONARY"),
        ("attributes.city", "ZSTD", "RLE_DICTIONARY"),
        ("attributes.visits", "UNCOMPRESSED", "DELTA_BINARY_PACKED"),
        ("attributes.born", "UNCOMPRESSED", "DELTA_BINARY_PACKED"),
        ("subscriptions.list.element", "ZSTD", "RLE_DICTIONARY"),
        ("segments.key_value.value", "ZSTD", "RLE_DICTIONARY"),
    ],
)
def test_each_column_is_stored_by_its_type(path: str, compression: str, encoding: str) -> None:
    columns = {name: pa.array(values, kind) for name, (kind, values) in ROWS.items()}
    group = written(io.BytesIO(), pa.table(columns)).row_group(0)
    stored = [group.column(number) for number in range(group.num_columns)]
    found = next(column for column in stored if column.path_in_schema == path)
    assert found.compression == compression
    assert encoding in found.encodings
