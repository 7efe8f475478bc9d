"""The local file of a delivery: its checksum, and whether another place has the same bytes."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from typing import BinaryIO

from sinks.locations.base import DeliveryError

__all__ = ["Comparison", "content_of"]


def content_of(local: Path, where: str) -> tuple[int, str]:
    """Return the bytes and the SHA-256 of a file; raises DeliveryError where it can't be read."""
    try:
        with local.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return file.tell(), digest
    except OSError as error:
        raise DeliveryError(f"can't be delivered: {error.strerror}", where=where) from error


class Comparison(contextlib.AbstractContextManager["Comparison"]):
    """Compares a file with what comes from elsewhere, piece by piece."""

    def __init__(self, local: Path) -> None:
        self._local = local
        self._file: BinaryIO

    def __enter__(self) -> Comparison:
        self._file = self._local.open("rb")
        return self

    def goes_on(self, piece: bytes) -> bool:
        """Whether the file goes on with these bytes."""
        return self._file.read(len(piece)) == piece

    def __exit__(self, *_: object) -> None:
        self._file.close()
