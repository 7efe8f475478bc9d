"""A small disk, which can be filled: a file system in memory that no other process sees."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.parts.process import ServerProcess

_MOUNT = 'mount -t tmpfs -o "size=$0" tmpfs /mnt && echo mounted && exec sleep infinity'
FILLER = "filler"


@contextmanager
def small_disk(logs: Path, size: int) -> Iterator[Path]:
    """Give the folder of a disk with `size` bytes, which goes when the context ends."""
    command = ["unshare", "--mount", "sh", "-c", _MOUNT, str(size)]
    holder = ServerProcess("small-disk", command, logs / "disk.log", lambda log: "mounted" in log)
    holder.start()
    try:
        yield Path(f"/proc/{holder.pid}/root/mnt")
    finally:
        holder.stop()


def fill(disk: Path, leave: int = 0) -> None:
    """Write until the disk is full, or has only `leave` bytes."""
    with (disk / FILLER).open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12):
            try:
                while True:
                    file.write(bytes(size))
            except OSError as error:
                assert error.errno == errno.ENOSPC
        file.truncate(file.tell() - leave)
