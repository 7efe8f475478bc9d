"""Files and folders that other users of the machine can't read.

What is new gets no permission for others, and for the group what the umask leaves: files 0640 and
folders 0750 under the usual umask of 022, 0660 and 0770 under 002, where the users of a group share
an installation. What exists keeps its mode.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Final

__all__ = ["make_folders", "opened_new", "readable_by_all"]

_FILE: Final = 0o660
_FOLDER: Final = 0o770


def make_folders(folder: Path) -> None:
    """Make a folder and those above it that are missing; raises OSError."""
    try:
        folder.mkdir(_FOLDER)
    except FileNotFoundError:
        make_folders(folder.parent)
        folder.mkdir(_FOLDER, exist_ok=True)
    except FileExistsError:
        if not folder.is_dir():
            raise


def opened_new(file: Path) -> BinaryIO:
    """Create a file and open it for writing; raises FileExistsError, or another OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    return os.fdopen(os.open(file, flags, _FILE), "wb")


def readable_by_all(folders: Sequence[Path]) -> str:
    """Return a warning of folders that every user of the machine can look into.

    Earlier releases made such folders. Empty if there are none. folders: those of one root; some
    may be missing.
    """
    found = [folder for folder in folders if _is_open(folder)]
    if not found:
        return ""
    names, root = ", ".join(folder.name for folder in found), found[0].parent
    return (
        f"every user of this machine may look into {names} in {root}, as an earlier"
        f" release made them; to change that: chmod -R o= {' '.join(map(str, found))}"
    )


def _is_open(folder: Path) -> bool:
    try:
        is_reached = folder.parent.stat().st_mode & stat.S_IXOTH
        return bool(is_reached and folder.stat().st_mode & stat.S_IRWXO)
    except OSError:  # it isn't there, or can't be looked at, which others tell
        return False
