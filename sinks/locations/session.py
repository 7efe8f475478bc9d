"""What a server with folders must do, once a login is there."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

__all__ = ["Session"]


class Session(Protocol):
    """A logged-in connection to a server. All methods raise PassingError or DeliveryError."""

    def size(self, path: str) -> int | None:
        """The size of a file in bytes; None if the file doesn't exist."""

    def begins(self, path: str, local: Path) -> bool:
        """Whether the server's file is the beginning of a local file."""

    def holds(self, path: str, start: int, expected: bytes) -> bool:
        """Whether a file has the expected bytes (at least one) from byte `start` on."""

    def make_folder(self, path: str) -> None:
        """Make a folder. A refusal raises no error, as the folder may exist without being visible;
        if it doesn't exist, `write` fails.
        """

    def write(self, local: Path, path: str, start: int) -> None:
        """Send a local file from byte `start` on, and append it to the server's file of that size;
        0 creates or replaces the server's file.
        """

    def rename(self, source: str, target: str) -> None:
        """Rename a file; the caller has just checked that `target` doesn't exist."""

    def remove(self, path: str) -> None:
        """Remove a file, if it exists."""
