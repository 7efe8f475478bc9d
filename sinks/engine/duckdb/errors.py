"""Translate DuckDB's errors into an engine's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import duckdb
import pyarrow as pa

from sinks.engine.engine import EngineError, EngineFileError, EngineMemoryError

__all__ = ["translated", "translated_batches"]

_NO_MEMORY: Final = "Out of Memory Error"
"""Beginning of the message of DuckDB's OutOfMemoryException."""


@contextmanager
def translated() -> Iterator[None]:
    """Raise an EngineError for each DuckDB error within the context."""
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise EngineMemoryError(str(error)) from error
    except duckdb.IOException as error:
        raise EngineFileError(str(error)) from error
    except duckdb.Error as error:
        raise EngineError(str(error)) from error


def translated_batches(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    """Yield the batches of a query; raise an EngineError if DuckDB fails.

    Arrow's stream raises the same error for all of DuckDB's; only the message tells them apart.
    """
    while True:
        try:
            batch = reader.read_next_batch()
        except StopIteration:
            return
        except (pa.ArrowException, OSError) as error:
            kind = EngineMemoryError if str(error).startswith(_NO_MEMORY) else EngineError
            raise kind(str(error)) from error
        yield batch
