"""Where durable files live: one small interface, with what an object store can give too.

Every other module says what to store; an implementation says how it becomes durable. It isn't a
file system: there are no folders to be made, nothing is appended to or renamed, and a file is seen
whole or not at all. The promises are written as tests in `tests/store_contract.py`, which every
implementation passes.
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
    """What a store knows of a file without reading it: its bytes, and when it was written (seconds
    since 1970, by the store's clock). version: another each time that the file is written.
    """

    size: int
    written_at: float
    version: str


class Store(Protocol):
    """Durable named files; names have `/` between folders.

    Methods raise PartitionError where a file can't be written or listed. An implementation that
    loses answers repeats the request itself, here and nowhere else; where it gives up, the file is
    there whole, as it was, or not at all, and doing it again is safe.
    """

    def create(self, name: str, content: bytes) -> bool:
        """Write a file whole and durably unless the name is taken; False where it is.

        Of many calls at once exactly one returns True. False may also mean that an earlier call of
        the same caller, which raised, created the file: to know what is recorded, read it.
        """

    def write(self, name: str, fill: Callable[[BinaryIO], object]) -> int:
        """Write a file whole and durably, replacing one of the same name; return its bytes. fill
        may be called again.
        """

    def read(self, name: str) -> bytes:
        """Read a file; raises FileNotFoundError."""

    def read_range(self, name: str, start: int, length: int) -> bytes:
        """Read some bytes of a file, fewer where it ends before; raises FileNotFoundError."""

    def stat(self, name: str) -> StoredFile:
        """Tell what is known of a file; raises FileNotFoundError."""

    def names(self, folder: str, after: str = "") -> Iterator[str]:
        """Names of all files below a folder, in order; none where there are none. after: only those
        behind a name. Files that are written or removed meanwhile may be among them or not.

        Ask for a file that is known by name instead (`is_stored`).
        """

    def remove(self, name: str) -> None:
        """Remove a file; removing one that doesn't exist is no error."""

    def local(self, names: Sequence[str]) -> list[Path]:
        """Give paths of some files on this machine, for an engine that opens them itself; an object
        store fetches the files, many at once.

        A path stays as long as the store does. It has a file's content as of this call or later:
        these files don't change, but that personal data in them is erased. Where a file doesn't
        exist, nothing is at its path. Nobody writes there.
        """

    def address(self, name: str) -> str:
        """Where a person finds a file, for messages."""

    def remove_unfinished(self, folder: str, older_than: float) -> int:
        """Remove what crashes have left half written below a folder more than so many seconds ago;
        return how many files.
        """


def is_stored(store: Store, name: str) -> bool:
    """Tell whether a file exists."""
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
