"""The available engines, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, TypeAlias

from sinks.engine.duckdb.engine import DuckDBEngine
from sinks.engine.engine import QueryEngine

__all__ = ["ENGINES", "USUAL", "Opener", "open_engine"]

Opener: TypeAlias = Callable[[str, Path], AbstractContextManager[QueryEngine]]
"""Opens an engine with a memory limit; the engine spills to a new folder below the given one."""

ENGINES: Final[Mapping[str, Opener]] = {"duckdb": DuckDBEngine.opened}
USUAL: Final = "duckdb"


def open_engine(
    memory_limit: str, scratch: Path, name: str = USUAL
) -> AbstractContextManager[QueryEngine]:
    """Open an engine; the engine and its tables live as long as the context."""
    return ENGINES[name](memory_limit, scratch)
