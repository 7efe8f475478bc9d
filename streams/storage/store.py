"""The interface of a store of durable files. It asks no more than an object store can give.

Other modules say what to store; an implementation makes it durable. A store isn't a file system: no
folders are made, nothing is appended or renamed, and a reader sees all of a file or none of it. The
guarantees are tests in `tests/store_contract.py`, which every implementation passes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

__all__ = ["Store", "StoredFile", "age_of", "is_stored"]


@dataclass(frozen=True, slots=True)
class StoredFile:
    """What a store knows of a file without reading it.

    size: in bytes. written_at: seconds since 1970, by the store's clock. version: another one after
    each write of the file.
    """

    size: int
    written_at: float
    version: str


class Store(Protocol):
    """Durable named files; names have `/` between folders.

    Methods raise PartitionError if a file can't be written or listed. If an implementation may lose
    answers, it repeats the request itself, and no other module does. If it gives up, the file is
    there completely, as before, or not at all; calling again is safe.
    """

    def create(self, name: str, content: bytes) -> bool:
        """Write a complete file durably unless its name exists; return False if it does.

        Of several calls at once exactly one returns True. False may also mean that an earlier call
        of the same caller created the file before it raised. To know what is recorded, read it.
        """

    def write(self, name: str, fill: Callable[[BinaryIO], object]) -> int:
        """Write a complete file durably, replacing one of the same name; return its bytes.

        fill: writes the content; it may be called again.
        """

    def read(self, name: str) -> bytes:
        """Read a whole file; raises FileNotFoundError."""

    def read_range(self, name: str, start: int, length: int) -> bytes:
        """Read up to `length` bytes of a file from `start` on; raises FileNotFoundError."""

    def stat(self, name: str) -> StoredFile:
        """Return what is known of a file without reading it; raises FileNotFoundError."""

    def names(self, folder: str, after: str = "") -> Iterator[str]:
        """Yield the names of all files below a folder, in order; nothing if the folder doesn't
        exist.

        after: only names behind this one. Files written or removed meanwhile may be listed or not.
        To look up a single file, use `is_stored`.
        """

    def remove(self, name: str) -> None:
        """Remove a file; nothing happens if it doesn't exist."""

    def local(self, names: Sequence[str]) -> list[Path]:
        """Return paths of files on this machine, for an engine that opens them itself.

        An object store fetches the files, many at once. A path stays valid as long as the store
        object lives. Its content is the file's as of this call or later: such files change only
        when personal data is erased in them. If a file doesn't exist, neither does its path.
        Callers never write there.
        """

    def address(self, name: str) -> str:
        """Return where a person finds a file, for messages."""

    def remove_unfinished(self, folder: str, older_than: float) -> int:
        """Remove files below a folder that crashes left half-written more than `older_than` seconds
        ago.

        Returns how many files were removed.
        """


def is_stored(store: Store, name: str) -> bool:
    """Return whether a file exists."""
    try:
        store.stat(name)
    except FileNotFoundError:
        return False
    return True


def age_of(store: Store, name: str) -> float:
    """Return the seconds since a file was written; 0 where it doesn't exist."""
    try:
        return time.time() - store.stat(name).written_at
    except FileNotFoundError:
        return 0.0
