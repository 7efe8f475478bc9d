"""Slices of rows that are limited in rows and in bytes.

The texts of an Arrow array share one buffer of at most 2 GiB, and some rows are wide. So rows are
cut here wherever they are gathered or written together.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["row_bytes", "slices"]

Sizes = npt.NDArray[np.int64]
Rows = TypeVar("Rows", pa.RecordBatch, pa.Table)


def slices(rows: Rows, most_rows: int, most_bytes: int) -> Iterator[Rows]:
    """Yield `rows` in slices of up to `most_rows` rows and about `most_bytes` bytes; nothing is
    copied.

    Each slice has at least one row.
    """
    if rows.nbytes <= most_bytes:
        for at in range(0, rows.num_rows, most_rows):
            yield rows.slice(at, most_rows)
        return
    ends = np.cumsum(row_bytes(rows))
    at = 0
    while at < rows.num_rows:
        before = int(ends[at - 1]) if at else 0
        end = int(np.searchsorted(ends, before + most_bytes, side="right"))
        end = min(max(end, at + 1), at + most_rows)
        yield rows.slice(at, end - at)
        at = end


def row_bytes(rows: pa.RecordBatch | pa.Table) -> Sizes:
    """Return the bytes of each row's values, as if each value was written out.

    A value of a dictionary counts in each row that has it.
    """
    total = np.zeros(rows.num_rows, np.int64)
    for column in rows.columns:
        chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
        at = 0
        for chunk in chunks:
            total[at : at + len(chunk)] += _sizes(chunk)
            at += len(chunk)
    return total


def _sizes(values: pa.Array) -> Sizes | int:
    kind = values.type
    if isinstance(values, pa.ExtensionArray):
        return _sizes(values.storage)
    if isinstance(values, pa.DictionaryArray):
        of_value = np.zeros(len(values.dictionary), np.int64) + _sizes(values.dictionary)
        return np.append(of_value, 0)[_numbers(values.indices, len(of_value))]
    if pa.types.is_struct(kind):
        return sum((_sizes(member) for member in values.flatten()), np.zeros(len(values), np.int64))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_map(kind):
        return _sizes_of_lists(values)
    if _is_text(kind):
        return _numbers(pc.binary_length(values), 0)
    return max(1, kind.bit_width // 8) if kind != pa.null() else 0


def _sizes_of_lists(values: pa.Array) -> Sizes:
    # For maps and lists alike: a row has the values between its offsets.
    offsets = values.offsets.to_numpy().astype(np.int64)
    members = [values.keys, values.items] if pa.types.is_map(values.type) else [values.values]
    total = np.zeros(len(values), np.int64)
    for member in members:
        ends = np.zeros(len(member) + 1, np.int64)
        np.cumsum(np.zeros(len(member), np.int64) + _sizes(member), out=ends[1:])
        total += np.diff(ends[offsets])
    return total


def _numbers(values: pa.Array, instead: int) -> Sizes:
    numbers: Sizes = pc.fill_null(values.cast(pa.int64()), instead).to_numpy()
    return numbers


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_large_binary(kind)
    )
