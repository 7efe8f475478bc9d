"""The transferbox: a local tree of folders, `<root>/<entity>/<export>/`, which every installation
has.

A file first gets a temporary name beside its target, and is made durable. Then a hard link gives it
its name: a link never replaces an existing file, and the file appears whole. The temporary name is
a hard link to the local file if both are on one file system, else a copy of it.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from uuid import uuid4

from schemas.private_files import make_folders
from sinks.locations.base import (
    Delivered,
    DeliveryError,
    DeliveryStep,
    Folder,
    OtherBytesError,
    Receipt,
)

__all__ = ["TRANSFERBOX", "Transferbox"]

TRANSFERBOX = "transferbox"
_PIECE: Final = 1024 * 1024
_FILE: Final = 0o644
_FOLDER: Final = 0o755
_PERMISSIONS: Final = 0o777
_ASIDE: Final = re.compile(r"\..+\.[0-9a-f]{32}\.part|\.check\.[0-9a-f]{32}\.renamed\.part")
"""The temporary names that this class gives to incomplete files, and to the files of `check`."""


@dataclass(frozen=True, slots=True)
class Transferbox:
    """A folder tree on a file system with hard links (all but FAT have them)."""

    root: Path
    file_mode: int | None = field(default=None, kw_only=True)
    """Permissions of its files; None: every user may read them, beside what the umask leaves."""
    folder_mode: int | None = field(default=None, kw_only=True)
    """Permissions of its new folders; None: every user may look into them, likewise."""

    @property
    def name(self) -> str:
        """See Location.name."""
        return TRANSFERBOX

    def deliver(self, local: Path, folder: Folder, name: str) -> Receipt:
        """See Location.deliver."""
        target = self._path(folder, name)
        with _explained(target):
            if not _is_there(target, local):
                self._make(target.parent)
                return self._receipt(target, self._put(local, target))
            return self._receipt(target, Delivered.BEFORE)

    def find(self, folder: Folder, name: str) -> bool:
        """See Location.find."""
        target = self._path(folder, name)
        with _explained(target):
            return os.path.lexists(target)

    def check(self) -> Iterator[DeliveryStep]:
        """See Location.check."""
        probe = self.root / f".check.{uuid4().hex}.part"
        renamed = probe.with_suffix(".renamed.part")
        with _explained(probe):
            self._make(self.root)
            probe.write_bytes(b"deltadrop\n")
            yield DeliveryStep.WRITE
        with _explained(probe, DeliveryStep.RENAME):
            renamed.hardlink_to(probe)
            yield DeliveryStep.RENAME
        with _explained(probe, DeliveryStep.DELETE):
            probe.unlink()
            renamed.unlink()
            yield DeliveryStep.DELETE

    def withdraw(self, folder: Folder, name: str) -> bool:
        """Remove a file that a revision has replaced; return whether it existed."""
        target = self._path(folder, name)
        with _explained(target):
            was_there = os.path.lexists(target)
            target.unlink(missing_ok=True)
            if was_there:
                _sync_folder(target.parent)
            return was_there

    def halves(self) -> Iterator[Path]:
        """Yield leftover temporary files of this class; others may use similar names."""
        for path in self.root.rglob(".*.part"):
            if _ASIDE.fullmatch(path.name) and _is_regular(path):
                yield path

    def files_of(self, export: str) -> Iterator[Path]:
        """Yield all that is in the folders of an export, ours or not."""
        return self.root.glob(f"*/{export}/*")

    def path_of(self, receipt: Receipt) -> Path:
        """Return where a file that was delivered is now: the root may have moved since."""
        entity, export, name = Path(receipt.address).parts[-3:]
        return self._path(Folder(entity, export), name)

    def folder_of(self, file: Path) -> Folder:
        """Return the folder that a file is in."""
        entity, export, _ = file.relative_to(self.root).parts
        return Folder(entity, export)

    def _path(self, folder: Folder, name: str) -> Path:
        return self.root / folder.entity / folder.export / name

    def _make(self, folder: Path) -> None:
        """Make a folder of the tree, and those above it."""
        try:
            folder.mkdir()
        except FileNotFoundError:
            make_above = make_folders if folder == self.root else self._make
            make_above(folder.parent)
            folder.mkdir(exist_ok=True)
        except FileExistsError:
            if not folder.is_dir():
                raise
            return
        _permit(folder, self.folder_mode, _FOLDER)

    def _put(self, local: Path, target: Path) -> Delivered:
        """Give `local` a temporary name, then link that to `target`."""
        aside = target.with_name(f".{target.name}.{uuid4().hex}.part")
        try:
            _put_durably(local, aside)
            _permit(aside, self.file_mode, _FILE)
            try:
                target.hardlink_to(aside)
            except FileExistsError:  # another closer was faster
                _is_there(target, local)
                return Delivered.BEFORE
        finally:
            aside.unlink(missing_ok=True)
        _sync_folder(target.parent)
        return Delivered.NOW

    def _receipt(self, target: Path, delivered: Delivered) -> Receipt:
        return Receipt(self.name, str(target), delivered, target.stat().st_size)


def _permit(path: Path, mode: int | None, least: int) -> None:
    """Set a mode, or if there is none, add the least one to what the umask left.

    Bits for a shared group (setgid) stay.
    """
    is_now = stat.S_IMODE(path.stat().st_mode)
    wanted = is_now | least if mode is None else mode | (is_now & ~_PERMISSIONS)
    if wanted != is_now:
        with suppress(PermissionError):  # a file system without modes, such as CIFS
            path.chmod(wanted)


def _put_durably(source: Path, aside: Path) -> None:
    try:
        aside.hardlink_to(source)
    except OSError:  # another file system, or links to other users' files are forbidden
        _copy_durably(source, aside)
        return
    with source.open("rb") as written:
        os.fsync(written.fileno())


def _is_regular(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:  # the delivery has finished meanwhile
        return False


def _copy_durably(source: Path, copy: Path) -> None:
    with source.open("rb") as read, copy.open("xb") as written:
        shutil.copyfileobj(read, written, _PIECE)
        written.flush()
        os.fsync(written.fileno())


def _sync_folder(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _is_there(target: Path, local: Path) -> bool:
    """Whether `target` exists with the bytes of `local`; OtherBytesError if it has others."""
    if not os.path.lexists(target):
        return False
    if target.is_file() and _same_bytes(target, local):
        return True
    raise OtherBytesError.at(str(target))


def _same_bytes(first: Path, other: Path) -> bool:
    if first.stat().st_size != other.stat().st_size:
        return False
    with first.open("rb") as ours, other.open("rb") as theirs:
        while piece := ours.read(_PIECE):
            if piece != theirs.read(_PIECE):
                return False
    return True


@contextmanager
def _explained(target: Path, step: DeliveryStep = DeliveryStep.WRITE) -> Iterator[None]:
    """Translate the file system's errors to DeliveryError with a hint."""
    try:
        yield
    except OSError as error:
        raise DeliveryError(
            f"can't be delivered: {error.strerror}",
            where=str(target),
            hint=f"check the folder {target.parent} and the space on its disk; then run again",
            step=step,
        ) from error
