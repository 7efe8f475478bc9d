"""What erase passes have finished, so that no file is looked through again for the same deletions.

A name (of a batch, a base's table, a file of waiting facts, or a drop) is settled when two things
hold. Every tombstone up to a number was applied to it, and only a newer tombstone can make anything
in it gone.
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
    """The settled names, and the number of the last tombstones that were applied to them."""

    number: int = 0
    names: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of one pass in a database: what is still to be applied, and what it has settled.

    silent_until: append time (UTC ms) up to which all profile events are known; None if unknown.
    names: settled by this pass.
    """

    tombstones: Tombstones
    settled: Settled
    silent_until: int | None
    names: set[str] = field(default_factory=set)

    def to_apply(self, name: str) -> Tombstones:
        """Return the tombstones that weren't applied to a file yet; without any, the file is
        settled.
        """
        known = name in self.settled.names
        tombstones = self.tombstones.since(self.settled.number) if known else self.tombstones
        if not tombstones:
            self.names.add(name)
        return tombstones

    def applied(self, name: str, last_appended: int) -> None:
        """Note that all tombstones were applied to a file.

        last_appended: the latest append time in it (UTC ms). The file is settled only if that is
        before `silent_until`. Otherwise a later pass may still find a row whose profile has no
        event since.
        """
        if self.silent_until is not None and last_appended < self.silent_until:
            self.names.add(name)


class SettledFiles:
    """The settled names in a store, by database."""

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
        """Replace what is settled in the database of a profile topic."""
        schema = pa.schema([("name", pa.string())], {_NUMBER: str(number).encode()})
        rows = pa.table({"name": pa.array(sorted(names), pa.string())}, schema=schema)
        self._store.write(
            str(SettledPath(topic)), partial(pq.write_table, rows, compression="zstd")
        )
