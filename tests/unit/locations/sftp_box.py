"""An SFTP server that misbehaves as some partners' do: what OpenSSH can't be made to show."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

import paramiko


@dataclass
class Box:
    """root: what the server has. hidden: folders that may be passed through, not looked at.
    write_only: nothing may be looked at, read or removed. stores: what becomes of written bytes.
    is_fetched: a file is gone once it has its name.
    """

    root: Path
    hidden: frozenset[str] = frozenset()
    write_only: bool = False
    stores: Callable[[bytes], bytes] = bytes
    is_fetched: bool = False
    cuts_after_rename: bool = False
    denies_rename: bool = False
    overwrites: bool = False
    key: paramiko.PKey = field(default_factory=paramiko.ECDSAKey.generate)
    port: int = 0
    transports: list[paramiko.Transport] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator[Box]:
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        thread = Thread(target=self._serve, args=(listener,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
            thread.join()
            for transport in self.transports:
                transport.close()

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            transport = paramiko.Transport(connection)
            self.transports.append(transport)
            transport.add_server_key(self.key)
            transport.set_subsystem_handler("sftp", paramiko.SFTPServer, _Files, box=self)
            transport.start_server(server=_Login())


class _Login(paramiko.ServerInterface):
    def check_auth_password(self, username: str, password: str) -> int:
        return paramiko.AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED


class _Written(paramiko.SFTPHandle):
    def __init__(self, box: Box, path: Path, flags: int) -> None:
        super().__init__(flags)
        self._box, self._path = box, path

    def write(self, offset: int, data: bytes) -> int:
        with self._path.open("r+b") as file:
            file.seek(offset)
            file.write(self._box.stores(data))
        return paramiko.SFTP_OK

    def read(self, offset: int, length: int) -> bytes | int:
        if self._box.write_only:
            return paramiko.SFTP_PERMISSION_DENIED
        with self._path.open("rb") as file:
            file.seek(offset)
            return file.read(length) or paramiko.SFTP_EOF

    def stat(self) -> Any:
        return paramiko.SFTPAttributes.from_stat(self._path.stat())


class _Files(paramiko.SFTPServerInterface):
    def __init__(self, server: paramiko.ServerInterface, box: Box) -> None:
        super().__init__(server)
        self._box = box

    def _path(self, path: str) -> Path:
        return self._box.root / path.strip("/")

    def _denied(self, path: str) -> bool:
        return self._box.write_only or path.strip("/") in self._box.hidden

    def stat(self, path: str) -> Any:
        if self._denied(path):
            return paramiko.SFTP_PERMISSION_DENIED
        try:
            return paramiko.SFTPAttributes.from_stat(self._path(path).stat())
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno or errno.EIO)

    lstat = stat

    def open(self, path: str, flags: int, attr: object) -> Any:
        if self._box.write_only and not flags & (os.O_WRONLY | os.O_RDWR):
            return paramiko.SFTP_PERMISSION_DENIED
        try:
            os.close(os.open(self._path(path), flags, 0o644))
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno or errno.EIO)
        return _Written(self._box, self._path(path), flags)

    def mkdir(self, path: str, attr: object) -> int:
        if path.strip("/") in self._box.hidden:
            return paramiko.SFTP_PERMISSION_DENIED
        try:
            self._path(path).mkdir()
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno or errno.EIO)
        return paramiko.SFTP_OK

    def remove(self, path: str) -> int:
        if self._denied(path):
            return paramiko.SFTP_PERMISSION_DENIED
        try:
            self._path(path).unlink()
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno or errno.EIO)
        return paramiko.SFTP_OK

    def rename(self, oldpath: str, newpath: str) -> int:
        if self._box.denies_rename:
            return paramiko.SFTP_PERMISSION_DENIED
        if self._path(newpath).exists() and not self._box.overwrites:
            return paramiko.SFTP_FAILURE
        self._path(oldpath).rename(self._path(newpath))
        if self._box.is_fetched:
            self._path(newpath).unlink()
        if self._box.cuts_after_rename:
            self._box.cuts_after_rename = False
            for transport in self._box.transports:
                transport.close()
        return paramiko.SFTP_OK
