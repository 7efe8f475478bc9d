"""Scratch folders: what a run makes on its way. Each is locked while its run lives, so that nobody
takes it for what a killed run has left (flock(2): the lock goes with its process, however it ends).
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

__all__ = ["is_in_use", "scratch_folder"]


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """An empty folder below `parent`, which goes when the context ends."""
    parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=parent) as folder, _opened(Path(folder)) as opened:
        with suppress(OSError):  # a file system without locks: its age must do
            fcntl.flock(opened, fcntl.LOCK_SH)  # shared: NFS has no other for what is only read
        yield Path(folder)


def is_in_use(folder: Path) -> bool:
    """Whether a run that lives has a scratch folder."""
    try:
        with _opened(folder) as opened:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, FileNotFoundError):  # its owner is there, or has just removed it
        return True
    except OSError:  # a file system without locks: its age must do
        return False
    return False


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield opened
    finally:
        os.close(opened)
