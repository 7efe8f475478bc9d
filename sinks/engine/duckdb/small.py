"""Files that are small enough to be read into memory at once.

DuckDB opens a file again for each place of a query that reads it. A close of a few events reads
each of its files at dozens of places, which takes longer than all its computations.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["are_small"]

_MOST_FILES: Final = 16
_MOST_STORED: Final = 64 << 10
"""Bytes of one file, as stored; of a larger file not even the footer is read."""
_MOST_BYTES: Final = 16 << 20
"""Bytes that all rows of the files may have in memory."""


def are_small(files: Sequence[Path]) -> bool:
    """Whether all rows of some Parquet files surely fit into 16 MiB of memory.

    False for a file that can't be opened: whoever reads it says why.
    """
    if len(files) > _MOST_FILES:
        return False
    try:
        if any(path.stat().st_size > _MOST_STORED for path in files):
            return False
        return sum(_most_bytes(pq.read_metadata(path)) for path in files) <= _MOST_BYTES
    except (OSError, pa.ArrowException):
        return False


def _most_bytes(footer: pq.FileMetaData) -> int:
    """Return the most bytes that a file's rows can have: each value of a column as long as all that
    is stored of the column, where equal values are stored once.
    """
    groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
    columns = [group.column(number) for group in groups for number in range(group.num_columns)]
    return sum(column.num_values * column.total_uncompressed_size for column in columns)
