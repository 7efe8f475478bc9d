"""What erase passes have done with: no file is looked through again for the same deletions.

A name (of a batch, a base's table, a file of waiting facts, a drop) is settled once every tombstone
up to a number was applied to it and nothing in it can become gone but by a newer one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar, Final

import pyarrow as pa
import pyarrow.parquet as pq

from streams.erasure.tombstones import Tombstones
from streams.storage.paths import StoredPath
from streams.storage.store import Store

__all__ = ["Progress", "Settled", "SettledFiles", "SettledPath"]

_NUMBER: Final = b"deltadrop.number"


@dataclass(frozen=True, slots=True, order=True)
class SettledPath(StoredPath):
    """Name of the file that lists what is settled in the database of a profile topic."""

    TEMPLATE: ClassVar = "erasure/settled/{topic}.parquet"
    WHAT: ClassVar = "a list of settled files"

    topic: str


@dataclass(frozen=True, slots=True)
class Settled:
    """The names that are settled, up to the tombstones of a number."""

    number: int = 0
    names: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one pass is with a database: what is still to be applied, and what it has settled.

    silent_until: append time (UTC ms) up to which all events of profiles are known.
    """

    tombstones: Tombstones
    settled: Settled
    silent_until: int | None
    names: set[str] = field(default_factory=set)

    def to_apply(self, name: str) -> Tombstones:
        """The tombstones that weren't applied to a file before; it is settled if there are none."""
        known = name in self.settled.names
        tombstones = self.tombstones.since(self.settled.number) if known else self.tombstones
        if not tombstones:
            self.names.add(name)
        return tombstones

    def applied(self, name: str, last_appended: int) -> None:
        """Say that all were applied to a file whose latest row was appended then (UTC ms).

        Later a row may turn out to be of a profile of which nothing was recorded since.
        """
        if self.silent_until is not None and last_appended < self.silent_until:
            self.names.add(name)


class SettledFiles:
    """What is settled, in a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def read(self, topic: str) -> Settled:
        """Return what is settled in the database of a profile topic."""
        try:
            content = self._store.read(str(SettledPath(topic)))
        except FileNotFoundError:
            return Settled()
        rows = pq.read_table(pa.BufferReader(content))
        number = int((rows.schema.metadata or {})[_NUMBER])
        return Settled(number, frozenset(rows["name"].to_pylist()))

    def write(self, topic: str, number: int, names: Iterable[str]) -> None:
        """Replace what is settled."""
        schema = pa.schema([("name", pa.string())], {_NUMBER: str(number).encode()})
        rows = pa.table({"name": pa.array(sorted(names), pa.string())}, schema=schema)
        self._store.write(
            str(SettledPath(topic)), partial(pq.write_table, rows, compression="zstd")
        )
