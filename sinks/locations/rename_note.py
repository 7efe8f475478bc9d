"""What is known here of a rename at a write-only location, where nothing can be looked at.

A note is a file of this machine, one for each file and its bytes. A run that is killed, or whose
connection breaks, after the server has renamed leaves the note to the next one.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from schemas.private_files import make_folders
from sinks.locations.local import own_file

__all__ = ["RenameNote", "Renaming"]

_RETAINED_SECONDS: Final = 90 * 86_400
"""A drop is delivered for days at most; later nobody asks for its note."""


class Renaming(StrEnum):
    """How far a rename has got."""

    BEGUN = "begun"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class RenameNote:
    """The note of a file with certain bytes. All methods raise DeliveryError where the disk says
    no.
    """

    path: Path

    @classmethod
    def of(cls, folder: Path, location: str, target: str, digest: str) -> RenameNote:
        """folder: this machine's own. target: the file's path there; digest: of its bytes."""
        mark = hashlib.sha256(f"{location} {target} {digest}".encode()).hexdigest()
        return cls(folder / f"{location}~{mark[:32]}.renaming")

    def read(self) -> Renaming | None:
        """How far it has got; None where no rename was begun."""
        with own_file(self.path):
            try:
                return Renaming(self.path.read_text(encoding="utf-8"))
            except FileNotFoundError:
                return None
            except ValueError:  # killed while it was written
                return Renaming.BEGUN

    def write(self, state: Renaming) -> None:
        """Note how far it has got; once it is done, forget the location's old notes, too."""
        with own_file(self.path):
            make_folders(self.path.parent)
            self.path.write_text(state, encoding="utf-8")
        if state is Renaming.DONE:
            self._forget_old()

    def _forget_old(self) -> None:
        location = self.path.name.partition("~")[0]
        for note in self.path.parent.glob(f"{location}~*.renaming"):
            with contextlib.suppress(OSError):
                if note.stat().st_mtime < time.time() - _RETAINED_SECONDS:
                    note.unlink()

    def forget(self) -> None:
        """Remove the note: the server has refused."""
        with own_file(self.path):
            self.path.unlink(missing_ok=True)
