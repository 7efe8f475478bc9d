"""Where durable files live: a small interface, and a folder on a local disk.

Every other module says what to keep; this one says how it becomes durable: written aside under a
temporary name, flushed to the disk, then given its name at once, so that a reader sees a file
whole or not at all.
"""

from __future__ import annotations

import errno
import os
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from schemas.errors import PartitionError

_ASIDE: Final = ".aside-"


class Store(Protocol):
    """Durable named files under one root; names are relative, with `/` between folders."""

    def write(self, name: str, fill: Callable[[BinaryIO], object]) -> int:
        """Write a file whole and durably, replacing one of the same name; return its bytes."""

    def create(self, name: str, content: bytes) -> bool:
        """Write a file whole and durably unless the name exists; False where it does."""

    def read(self, name: str) -> bytes:
        """Read a file; raises FileNotFoundError."""

    def names(self, folder: str) -> Iterator[str]:
        """Names of all files below a folder, in order; none where it doesn't exist."""

    def remove(self, name: str) -> None:
        """Remove a file; removing one that doesn't exist is no error."""

    def leftovers(self, folder: str) -> Iterator[str]:
        """Names of files below a folder that a crash left half written."""

    def age(self, name: str) -> float:
        """Seconds since a file was written; 0 where it doesn't exist."""

    def location(self, name: str) -> Path:
        """Where a file can be opened by a Parquet reader."""


class LocalStore:
    """A Store in a folder of a local file system (or one that has atomic link and rename)."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, name: str, fill: Callable[[BinaryIO], object]) -> int:
        """See Store.write; raises PartitionError where the disk is full or not writable."""
        final = self.root / name
        with _Explained(final):
            aside = self._write_aside(final, fill)
            size = aside.stat().st_size
            aside.rename(final)
            _sync_folder(final.parent)
        return size

    def create(self, name: str, content: bytes) -> bool:
        """See Store.create; `link` fails where the name exists, so that one writer wins."""
        final = self.root / name
        with _Explained(final):
            if final.exists():
                return False
            aside = self._write_aside(final, lambda file: file.write(content))
            try:
                os.link(aside, final)
            except FileExistsError:
                return False
            finally:
                aside.unlink()
            _sync_folder(final.parent)
        return True

    def read(self, name: str) -> bytes:
        """See Store.read."""
        return (self.root / name).read_bytes()

    def names(self, folder: str) -> Iterator[str]:
        """See Store.names; files that are still being written aside are not among them."""
        return (name for name in self._all(folder) if not _is_aside(name))

    def remove(self, name: str) -> None:
        """See Store.remove."""
        (self.root / name).unlink(missing_ok=True)

    def leftovers(self, folder: str) -> Iterator[str]:
        """See Store.leftovers."""
        return (name for name in self._all(folder) if _is_aside(name))

    def age(self, name: str) -> float:
        """See Store.age."""
        try:
            return time.time() - (self.root / name).stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def location(self, name: str) -> Path:
        """See Store.location."""
        return self.root / name

    def _all(self, folder: str) -> Iterator[str]:
        root = str(self.root / folder)
        for parent, folders, files in os.walk(root):
            folders.sort()
            below = folder + parent[len(root) :].replace(os.sep, "/")
            yield from (f"{below}/{file}" for file in sorted(files))

    def _write_aside(self, final: Path, fill: Callable[[BinaryIO], object]) -> Path:
        final.parent.mkdir(parents=True, exist_ok=True)
        aside = final.parent / f"{_ASIDE}{secrets.token_hex(8)}"
        try:
            with aside.open("xb") as file:
                fill(file)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
        return aside


class _Explained:
    """Turn what the operating system says of a failed write into one message for an operator."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            hint = _HINTS.get(error.errno or 0, "check the disk under the root folder")
            raise PartitionError(
                what=f"can't write: {error.strerror or error}",
                where=str(self.path),
                hint=hint,
            ) from error


_HINTS: Final = {
    errno.ENOSPC: "free some space, or point `root` to a larger disk; nothing is lost",
    errno.EACCES: "let the user that runs deltadrop write there; nothing is lost",
    errno.EROFS: "mount it for writing; nothing is lost",
    errno.EEXIST: "a file is in the place of a folder: move it away; nothing is lost",
    errno.ENOTDIR: "a file is in the place of a folder: move it away; nothing is lost",
}


def _is_aside(name: str) -> bool:
    return name.rpartition("/")[2].startswith(_ASIDE)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
