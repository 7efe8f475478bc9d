"""A terminal of a given width, as a person has: what is written to it, and what is left to see."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import termios
import threading
from typing import Self, TextIO


class Terminal:
    """A pseudo-terminal; `stream` writes to it."""

    def __init__(self, columns: int = 100) -> None:
        self._read, self.write = pty.openpty()
        fcntl.ioctl(self.write, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        self.stream: TextIO = os.fdopen(self.write, "w", encoding="utf-8")
        self._written = bytearray()
        self._reader = threading.Thread(target=self._collect, daemon=True)

    def __enter__(self) -> Self:
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the writing; everything that was written is then known."""
        if not self.stream.closed:
            self.stream.close()
            self._reader.join(10)

    @property
    def written(self) -> str:
        """All bytes, as text."""
        self.close()
        return self._written.decode()

    @property
    def seen(self) -> list[str]:
        """The lines as they stand at the end: what was written over isn't there any more."""
        lines = self.written.replace("\r\n", "\n").split("\n")
        plain = [line.rpartition("\r\x1b[K")[2] for line in lines]
        return [line.replace("\x1b[1m", "").replace("\x1b[0m", "") for line in plain if line]

    def _collect(self) -> None:
        while True:
            try:
                some = os.read(self._read, 65536)
            except OSError:  # no writer is left (Linux: EIO)
                break
            if not some:
                break
            self._written += some
        os.close(self._read)
