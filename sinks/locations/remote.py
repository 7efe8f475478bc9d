"""Delivery to servers with folders: a file is sent under a temporary name, then renamed.

The temporary name depends on the content's checksum. So a later attempt finds the bytes that an
earlier one sent, compares them, and continues there. If the server forbids renaming, a file grows
under its own name, and the ready file shows that it is complete. Bytes are then only appended, and
only if the server's file is the beginning of the local file.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import time
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Final, assert_never
from uuid import uuid4

from schemas.private_files import make_folders
from schemas.settings.receivers import CHECKSUM_ENDING
from sinks.locations.base import (
    Delivered,
    DeliveryError,
    DeliveryStep,
    Folder,
    OtherBytesError,
    PassingError,
    Receipt,
)
from sinks.locations.limits import Limit
from sinks.locations.local import content_of, ends_of, own_file
from sinks.locations.rename_note import RenameNote, Renaming
from sinks.locations.session import Session
from sinks.locations.settings import UNSEEN, RemoteSettings

__all__ = ["RemoteLocation"]

_BEFORE_WRITE: Final = (DeliveryStep.CONNECT, DeliveryStep.TRUST, DeliveryStep.LOGIN)
_LOCK_PAUSE_SECONDS: Final = 0.1
_OTHER_REFUSALS: Final = (PermissionError, FileNotFoundError)
"""What a rename may be refused for beside a name that exists (which has no code in SFTP 3)."""
_CHECKED: Final = bytes(range(256)) * 1024
"""The content of a check's file: several packets with every byte value, line ends included."""


@dataclass(frozen=True)
class _Sending:
    """A file that is being sent; sender: the id of the installation that sends it."""

    sender: str
    local: Path
    size: int
    digest: str
    folder: str
    name: str

    @property
    def target(self) -> str:
        return _joined(self.folder, self.name)

    @property
    def aside(self) -> str:
        """The path of the file while it isn't complete; it differs between installations."""
        mark = hashlib.sha256(f"{self.digest} {self.sender}".encode()).hexdigest()[:16]
        return _joined(self.folder, f".{self.name}.{mark}.part")


@dataclass(frozen=True)
class RemoteLocation:
    """A server with folders.

    locks: a local folder for locks, so that two closers on one machine don't send the same file at
    the same time.
    """

    name: str
    locks: Path
    settings: RemoteSettings

    @property
    @abstractmethod
    def server(self) -> str:
        """The server's address without folders, such as sftp://user@host:port."""

    @abstractmethod
    def connect(self) -> AbstractContextManager[Session]:
        """Log in; raises DeliveryError with the step that failed."""

    def deliver(self, local: Path, folder: Folder, name: str) -> Receipt:
        """See Location.deliver."""
        place = _joined(self.settings.folder, str(folder))
        address = self.address(_joined(place, name))
        size, digest = content_of(local, address)
        sending = _Sending(_sender(self.locks), local, size, digest, place, name)
        with self._alone(folder), self.connect() as session:
            there = session.size(sending.target) if self.settings.shows_files else None
            if there is not None and self._is_whole(session, sending, there):
                return Receipt(self.name, address, Delivered.BEFORE, size)
            for path in _folders(place):
                session.make_folder(path)
            if not self.settings.shows_files:
                delivered = self._send_unseen(session, sending)
            elif self.settings.rename:
                delivered = self._send_aside(session, sending)
            else:
                delivered = self._send(session, sending, sending.target, there)
        return Receipt(self.name, address, delivered, size)

    def find(self, folder: Folder, name: str) -> bool:
        """See Location.find; a write-only location can't be asked."""
        if not self.settings.shows_files:
            raise DeliveryError(
                "a write-only location shows no files",
                where=self.address(_joined(self.settings.folder, str(folder))),
            )
        with self.connect() as session:
            path = _joined(_joined(self.settings.folder, str(folder)), name)
            return session.size(path) is not None

    def check(self) -> Iterator[DeliveryStep]:
        """See Location.check."""
        with contextlib.ExitStack() as stack:
            try:
                session = stack.enter_context(self.connect())
            except DeliveryError as error:
                yield from _BEFORE_WRITE[: _BEFORE_WRITE.index(error.step)]
                raise
            yield from _BEFORE_WRITE
            local = Path(stack.enter_context(TemporaryDirectory())) / "check"
            local.write_bytes(_CHECKED)
            yield from self._try(session, local)

    def address(self, path: str) -> str:
        """The full address of a file, for people."""
        return f"{self.server}/{path.lstrip('/')}"

    def _try(self, session: Session, local: Path) -> Iterator[DeliveryStep]:
        """Deliver a file as `deliver` does, read it back, and remove it."""
        name, settings = f".deltadrop-check-{uuid4().hex}", self.settings
        size, digest = content_of(local, name)
        sending = _Sending(_sender(self.locks), local, size, digest, settings.folder, name)
        for path in _folders(settings.folder) if settings.folder else ():
            session.make_folder(path)
        try:
            if not settings.shows_files:
                self._send_unseen(session, sending)
                self._refuses_to_overwrite(session, sending)
                RenameNote.of(self.locks, self.name, sending.target, sending.digest).forget()
            elif settings.rename:
                self._send(session, sending, sending.aside, self._begun(session, sending))
            else:
                self._send(session, sending, sending.target, session.size(sending.target))
            yield DeliveryStep.WRITE
            if settings.rename:
                if settings.shows_files:
                    self._settle(session, sending)
                yield DeliveryStep.RENAME
            if settings.shows_files and not session.begins(sending.target, local):
                raise self._changed(sending.target)
        except DeliveryError:
            for path in (sending.aside, sending.target):
                with contextlib.suppress(DeliveryError):
                    session.remove(path)
            raise
        if not settings.shows_files:
            with contextlib.suppress(DeliveryError):  # few such servers allow removing files
                session.remove(sending.target)
            return
        session.remove(sending.target)
        yield DeliveryStep.DELETE

    def _is_whole(self, session: Session, sending: _Sending, there: int) -> bool:
        """Whether the target is complete; False if it is a part that may be appended to.

        Raises OtherBytesError if it has other bytes.
        """
        is_whole = there == sending.size
        may_grow = not is_whole and self._may_grow(session, sending, there)
        if (is_whole or may_grow) and session.begins(sending.target, sending.local):
            return is_whole
        raise OtherBytesError.at(self.address(sending.target))

    def _may_grow(self, session: Session, sending: _Sending, there: int) -> bool:
        """Whether a shorter file may be the part that an earlier attempt sent under this name."""
        ready = self.settings.ready_file
        if self.settings.rename or ready is None or there > sending.size:
            return False
        drop = sending.target.removesuffix(".manifest.json").removesuffix(CHECKSUM_ENDING)
        return session.size(f"{drop}{ready}") is None

    def _send_aside(self, session: Session, sending: _Sending) -> Delivered:
        try:
            self._send(session, sending, sending.aside, self._begun(session, sending))
            return self._settle(session, sending)
        except PassingError:
            raise  # the sent bytes stay for the next attempt
        except DeliveryError:
            with contextlib.suppress(DeliveryError):
                session.remove(sending.aside)
            raise

    def _begun(self, session: Session, sending: _Sending) -> int | None:
        """The number of bytes that an earlier attempt sent under the temporary name; None if none.

        A file that can't be used is removed. After a broken connection, a server may lock the file
        for minutes; the removal lets the next attempt make a new file of the same name.
        """
        before = session.size(sending.aside)
        if before is None:
            return None
        try:
            if before <= sending.size and session.begins(sending.aside, sending.local):
                return before
        except PassingError:
            with contextlib.suppress(DeliveryError), self.connect() as another:
                another.remove(sending.aside)
            raise
        session.remove(sending.aside)
        return None

    def _send(
        self, session: Session, sending: _Sending, path: str, before: int | None
    ) -> Delivered:
        if before is None or before < sending.size:
            session.write(sending.local, path, before or 0)
        arrived = session.size(path)
        if arrived != sending.size:
            raise PassingError(
                f"the server has {arrived or 0} of {sending.size} bytes",
                where=self.address(path),
                hint=f"its disk may be full; {UNSEEN}",
            )
        if not self._reads_back(session, sending, path):
            raise self._changed(path)
        return Delivered.NOW

    def _reads_back(self, session: Session, sending: _Sending, path: str) -> bool:
        """Whether the server has the sent bytes, as far as the settings require a check."""
        match self.settings.read_back:
            case None:
                return True
            case "whole":
                return session.begins(path, sending.local)
            case "ends":
                ends = ends_of(sending.local)
                return all(session.holds(path, start, end) for start, end in ends if end)
            case other:
                assert_never(other)

    def _changed(self, path: str) -> DeliveryError:
        return DeliveryError(
            "what the server has isn't what was sent",
            where=self.address(path),
            hint="it changes what it stores, as line ends: ask its owner to take files as they are",
        )

    def _send_unseen(self, session: Session, sending: _Sending) -> Delivered:
        """Send a file to a write-only location; each attempt starts at the file's beginning.

        Whether the server has a file of that name can't be known, nor can the files be compared.
        If the rename is refused as for a name that exists, and an earlier attempt had begun to
        rename the same bytes, then that attempt has succeeded.
        """
        note = RenameNote.of(self.locks, self.name, sending.target, sending.digest)
        known = note.read()
        if known is Renaming.DONE:
            return Delivered.BEFORE
        session.write(sending.local, sending.aside, 0)
        note.write(Renaming.BEGUN)
        try:
            session.rename(sending.aside, sending.target)
        except PassingError:
            raise  # the result of the rename is unknown, so the note stays for the next attempt
        except DeliveryError as error:
            with contextlib.suppress(DeliveryError):
                session.remove(sending.aside)
            if known is Renaming.BEGUN and not isinstance(error.__cause__, _OTHER_REFUSALS):
                note.write(Renaming.DONE)
                return Delivered.BEFORE
            if known is None:
                note.forget()
            raise
        note.write(Renaming.DONE)
        return Delivered.NOW

    def _refuses_to_overwrite(self, session: Session, sending: _Sending) -> None:
        """Make sure that a rename to a name that exists is refused: nothing else protects files at
        a write-only location.
        """
        session.write(sending.local, sending.aside, 0)
        try:
            session.rename(sending.aside, sending.target)
        except PassingError:
            raise
        except DeliveryError:
            with contextlib.suppress(DeliveryError):
                session.remove(sending.aside)
            return
        raise DeliveryError(
            "a rename overwrites a file that exists",
            where=self.address(sending.target),
            hint="files could be overwritten: write_only needs a server that refuses this",
            step=DeliveryStep.RENAME,
        )

    def _settle(self, session: Session, sending: _Sending) -> Delivered:
        """Rename a complete file to its target, unless that exists by now."""
        there = session.size(sending.target)
        if there is None:
            try:
                session.rename(sending.aside, sending.target)
            except PassingError:
                raise
            except DeliveryError:
                there = session.size(sending.target)
                if there is None:
                    raise
            else:
                return Delivered.NOW
        self._is_whole(session, sending, there)
        session.remove(sending.aside)
        return Delivered.BEFORE

    @contextmanager
    def _alone(self, folder: Folder) -> Iterator[None]:
        lock = self.locks / f"{self.name}~{folder.entity}~{folder.export}.lock"
        limit = Limit(self.settings.attempt_seconds, f"{lock} (another closer has it)")
        with contextlib.ExitStack() as opened:
            with own_file(lock):
                make_folders(self.locks)
                file = opened.enter_context(lock.open("w"))
                while not _locked(file):
                    time.sleep(min(_LOCK_PAUSE_SECONDS, limit.left()))
            yield


def _sender(folder: Path) -> str:
    """The installation's id, made once and stored in `folder`.

    A host name would change with each container. Then no attempt could continue what another
    container began to send.
    """
    file = folder / "sender"
    with own_file(file):
        if not file.exists():
            make_folders(folder)
            aside = folder / f"sender.{uuid4().hex}"
            aside.write_text(uuid4().hex, encoding="utf-8")
            with contextlib.suppress(FileExistsError):
                file.hardlink_to(aside)
            aside.unlink()
        return file.read_text(encoding="utf-8")


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _joined(folder: str, name: str) -> str:
    return f"{folder.rstrip('/')}/{name}" if folder.rstrip("/") else f"{folder}{name}"


def _folders(path: str) -> Iterator[str]:
    """Yield a folder and its parents, the outermost first."""
    root = "/" if path.startswith("/") else ""
    parts = path.strip("/").split("/")
    for end in range(1, len(parts) + 1):
        yield root + "/".join(parts[:end])
