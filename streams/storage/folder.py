"""A store in a folder of a local disk. No other module knows how files are stored there.

A file is written under a temporary name and flushed to the disk. Then it gets its final name in one
step, so that a reader sees all of the file or none of it. Other users of the machine can't read it.
"""

from __future__ import annotations

import errno
import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, Final

from schemas.errors import PartitionError
from schemas.private_files import make_folders, opened_new
from streams.storage.store import StoredFile

__all__ = ["FolderStore"]

_ASIDE: Final = ".aside-"


class FolderStore:
    """A Store in a folder of a file system with atomic link and rename."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._refuse_linked = lru_cache(maxsize=4096)(self._refuse_linked_folder)

    def _refuse_linked_folder(self, folder: str) -> None:
        """Raise _LinkedError for a folder that is reached by a link; see `_own`."""
        top, _, below = folder.partition("/")
        if (self.root / folder).resolve() != (self.root / top).resolve() / below:
            raise _LinkedError

    def create(self, name: str, content: bytes) -> bool:
        """See Store.create. `link` fails if the name exists, so exactly one writer succeeds."""
        final = self._path(name)
        with _Explained(final):
            if final.is_dir():
                raise IsADirectoryError(errno.EISDIR, "a folder is in the place of a file")
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

    def write(self, name: str, fill: Callable[[BinaryIO], object]) -> int:
        """See Store.write. Raises PartitionError if the disk is full or not writable."""
        final = self._path(name)
        with _Explained(final):
            aside = self._write_aside(final, fill)
            size = aside.stat().st_size
            aside.rename(final)
            _sync_folder(final.parent)
        return size

    def read(self, name: str) -> bytes:
        """See Store.read."""
        with _ReadExplained(self._path(name)) as path:
            return path.read_bytes()

    def read_range(self, name: str, start: int, length: int) -> bytes:
        """See Store.read_range."""
        with _ReadExplained(self._path(name)) as path, path.open("rb") as file:
            file.seek(start)
            return file.read(length)

    def stat(self, name: str) -> StoredFile:
        """See Store.stat. Each write makes another file on the disk, and so another version."""
        found = self._path(name).stat()
        return StoredFile(found.st_size, found.st_mtime, f"{found.st_ino}-{found.st_mtime_ns}")

    def names(self, folder: str, after: str = "") -> Iterator[str]:
        """See Store.names. Unfinished files aren't listed."""
        return (name for name in self._below(folder, after) if not _is_aside(name))

    def remove(self, name: str) -> None:
        """See Store.remove."""
        self._path(name).unlink(missing_ok=True)

    def local(self, names: Sequence[str]) -> list[Path]:
        """See Store.local. These are the files themselves."""
        return [self._own(name) for name in names]

    def address(self, name: str) -> str:
        """See Store.address."""
        return str(self.root / name)

    def remove_unfinished(self, folder: str, older_than: float) -> int:
        """See Store.remove_unfinished."""
        old = [name for name in self._below(folder, "") if _is_aside(name)]
        old = [name for name in old if self._age(name) > older_than]
        for name in old:
            self.remove(name)
        return len(old)

    def _path(self, name: str) -> Path:
        """Return where a file is; raises PartitionError for a name that leads out of the root."""
        if name.startswith("/") or ".." in name.split("/"):
            raise PartitionError(
                what=f"{name!r} is not a name of a file in the root",
                where=str(self.root),
                hint=_LED_OUT,
            )
        return self.root / name

    def _own(self, name: str) -> Path:
        """Return where a file is; raises PartitionError if a link leads to another place.

        The root and the folders at its top may be links, so that they can be on another disk.
        """
        path = self._path(name)
        try:
            self._refuse_linked(name.rpartition("/")[0])  # what was refused is looked at anew
            is_linked = path.is_symlink()
        except _LinkedError:
            is_linked = True
        if is_linked:
            raise PartitionError(
                what="is a link to another place, or in a folder that is",
                where=str(path),
                hint=_LED_OUT,
            )
        return path

    def _age(self, name: str) -> float:
        try:
            return time.time() - self.stat(name).written_at
        except FileNotFoundError:  # it has its final name by now
            return 0.0

    def _below(self, folder: str, after: str) -> Iterator[str]:
        """Yield all files below a folder, in order of their whole names."""
        for entry in self._sorted(folder):
            name = f"{folder}/{entry}"
            if not entry.endswith("/"):
                if name > after:
                    yield name
            elif name > after or after.startswith(name):
                yield from self._below(name[:-1], after)

    def _sorted(self, folder: str) -> list[str]:
        """List the files and folders in a folder, sorted; folders end with a slash, as it counts in
        the order.
        """
        try:
            with os.scandir(self.root / folder) as entries:
                found = [
                    f"{entry.name}/" if entry.is_dir() else entry.name
                    for entry in entries
                    if not (entry.is_symlink() and entry.is_dir())
                ]
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:  # an empty listing must be certain
            raise PartitionError(
                what=f"can't be listed: {error.strerror or error}",
                where=self.address(folder),
                hint="check the disk under the root folder, and who may read it",
            ) from error
        return sorted(found)

    def _write_aside(self, final: Path, fill: Callable[[BinaryIO], object]) -> Path:
        make_folders(final.parent)
        aside = final.parent / f"{_ASIDE}{secrets.token_hex(8)}"
        try:
            with opened_new(aside) as file:
                fill(file)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
        return aside


class _LinkedError(Exception):
    """A folder is reached by a link."""


class _Explained:
    """Turns the operating system's error of a failed write into one message for an operator."""

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


class _ReadExplained:
    """Turns the operating system's error of a failed reading into one message for an operator.

    FileNotFoundError is left as it is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
            hint = _READ_HINTS.get(error.errno or 0, "check the disk under the root folder")
            raise PartitionError(
                what=f"can't be read: {error.strerror or error}", where=str(self.path), hint=hint
            ) from error


_READ_HINTS: Final = {
    errno.EACCES: "let the user that runs deltadrop read it",
    errno.EISDIR: "a folder is in the place of a file: move it away",
    errno.ENOTDIR: "a file is in the place of a folder: move it away",
}
_LED_OUT: Final = "only files under the root are read: restore what names it from a backup"
_HINTS: Final = {
    errno.ENOSPC: "free some space, or point `root` to a larger disk; nothing is lost",
    errno.EACCES: "let the user that runs deltadrop write there; nothing is lost",
    errno.EROFS: "mount it for writing; nothing is lost",
    errno.EEXIST: "a file is in the place of a folder: move it away; nothing is lost",
    errno.EISDIR: "move the folder away; nothing is lost",
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
