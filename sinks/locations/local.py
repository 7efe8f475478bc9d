"""Local files of a delivery: the file to send, and files of deltadrop's own, such as locks."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from schemas.full_disk import FREE_SOME, what_is_full
from sinks.locations.base import DeliveryError

__all__ = ["Comparison", "content_of", "ends_of", "own_file"]

_END_BYTES: Final = 64 * 1024
"""Bytes at each end of a file that are read back, if only its ends are."""

_OWNER: Final = (
    "it must belong to the user that the scheduler runs as: change its owner (chown), "
    "and run every command as that user"
)


def content_of(local: Path, where: str) -> tuple[int, str]:
    """Return (bytes, SHA-256 in hex) of a file; raises DeliveryError if it can't be read."""
    try:
        with local.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return file.tell(), digest
    except OSError as error:
        raise DeliveryError(f"can't be delivered: {error.strerror}", where=where) from error


class Comparison(contextlib.AbstractContextManager["Comparison"]):
    """Comparison of a local file with bytes from elsewhere, piece by piece."""

    def __init__(self, local: Path) -> None:
        self._local = local
        self._file: BinaryIO

    def __enter__(self) -> Comparison:
        self._file = self._local.open("rb")
        return self

    def goes_on(self, piece: bytes) -> bool:
        """Read on in the file; return whether it continues with these bytes."""
        return self._file.read(len(piece)) == piece

    def is_over(self) -> bool:
        """Whether the whole file was compared."""
        return not self._file.read(1)

    def __exit__(self, *_: object) -> None:
        self._file.close()


def ends_of(local: Path) -> list[tuple[int, bytes]]:
    """Return (offset, bytes) of the beginning and the end of a file; one pair for a small file."""
    size = local.stat().st_size
    ends = []
    with local.open("rb") as file:
        for start in sorted({0, max(0, size - _END_BYTES)}):
            file.seek(start)
            ends.append((start, file.read(_END_BYTES)))
    return ends


@contextlib.contextmanager
def own_file(path: Path) -> Iterator[None]:
    """Translate errors about a file of deltadrop's own, such as a lock, to DeliveryError with a
    hint.
    """
    try:
        yield
    except OSError as error:
        hint = "check it, its folder and their disk; then run again"
        if isinstance(error, PermissionError):
            hint = _OWNER
        elif what_is_full(error) is not None:
            hint = FREE_SOME
        where = str(error.filename or path)
        raise DeliveryError(f"can't be used: {error.strerror}", where=where, hint=hint) from error
