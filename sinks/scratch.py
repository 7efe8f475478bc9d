"""Scratch folders for a run's temporary files.

Each folder is locked while its run lives. So a sweep can distinguish it from the leftovers of a
killed run. The lock ends with its process, however that ends (flock(2)).
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from schemas.private_files import make_folders

__all__ = ["is_in_use", "scratch_folder"]


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """Make an empty, locked folder below `parent`; it is removed when the context ends."""
    make_folders(parent)
    with TemporaryDirectory(dir=parent) as folder, _opened(Path(folder)) as opened:
        with suppress(OSError):  # on a file system without locks, only the folder's age counts
            fcntl.flock(opened, fcntl.LOCK_SH)  # shared: NFS has no other lock for read-only files
        yield Path(folder)


def is_in_use(folder: Path) -> bool:
    """Whether a living run uses a scratch folder; False on a file system without locks."""
    try:
        with _opened(folder) as opened:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, FileNotFoundError):  # its owner lives, or has just removed it
        return True
    except OSError:  # on a file system without locks, only the folder's age counts
        return False
    return False


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield opened
    finally:
        os.close(opened)
