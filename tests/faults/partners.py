"""The four places that a close of the fault matrix delivers to, and a reader who looks into them
all the while.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from deploy.parts.certificates import self_signed
from deploy.parts.gateway import Gateway, running_gateway
from deploy.parts.sshd import SftpServer, running_sshd
from deploy.parts.vsftpd import FtpsServer, running_vsftpd
from tests.integration.servers import settings_of

PLACES: Final = ("transferbox", "s3", "sftp", "ftps")
Server = Gateway | SftpServer | FtpsServer
Held = Mapping[str, Mapping[str, Path]]
"""The files that each place has, by name."""


@contextmanager
def running_servers(temporary: pytest.TempPathFactory) -> Iterator[dict[str, Server]]:
    """Run those of all places but the transferbox."""
    certificate = self_signed(temporary.mktemp("certificate"))
    with (
        running_gateway(temporary.mktemp("s3")) as s3,
        running_sshd(temporary.mktemp("sftp")) as sftp,
        running_vsftpd(temporary.mktemp("ftps"), certificate) as ftps,
    ):
        yield {"s3": s3, "sftp": sftp, "ftps": ftps}


def secrets_of(servers: Mapping[str, Server]) -> dict[str, str]:
    """The variables that the settings of the locations name."""
    s3, ftps = servers["s3"], servers["ftps"]
    assert isinstance(s3, Gateway)
    assert isinstance(ftps, FtpsServer)
    keys = {"ACCESS_KEY": s3.access_key, "SECRET_KEY": s3.secret_key}
    return keys | {"PARTNER_PASSWORD": ftps.jail.password}


def located(servers: Mapping[str, Server], own: str) -> dict[str, dict[str, Any]]:
    """Settings of the locations, for a folder of one's own at each, as a file has them."""
    more = {"folder": own, "attempts": 3, "retry_seconds": 0.2, "timeout_seconds": 10}
    return {
        name: {key: _plain(value) for key, value in (settings_of(server) | more).items()}
        for name, server in servers.items()
    }


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def held(places: Mapping[str, Path]) -> dict[str, dict[str, Path]]:
    """What each place has under names that a partner takes."""
    return {name: {file.name: file for file in _visible(folder)} for name, folder in places.items()}


def _visible(folder: Path) -> list[Path]:
    try:
        return sorted(file for file in folder.iterdir() if not file.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _entries(folder: str) -> list[os.DirEntry[str]]:
    """The same, as quickly as can be: a reader looks a thousand times a second."""
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        return []


@dataclass
class Reader:
    """Looks into the partner's folders all the while."""

    folders: Callable[[], Mapping[str, Path]]
    expected: Mapping[str, bytes]
    wrong: list[str] = field(default_factory=list)
    looks: int = 0
    right: set[tuple[str, int, int, int]] = field(default_factory=set)  # as they were read

    @contextmanager
    def looking(self) -> Iterator[None]:
        done = threading.Event()
        thread = threading.Thread(target=self._look, args=(done,))
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _look(self, done: threading.Event) -> None:
        folders = {place: os.fspath(folder) for place, folder in self.folders().items()}
        while not done.is_set():
            for place, folder in folders.items():
                for file in _entries(folder):
                    self._judge(place, file)
            self.looks += 1
            time.sleep(0.001)

    def _judge(self, place: str, file: os.DirEntry[str]) -> None:
        try:
            known = file.stat()
            as_it_is = (file.path, known.st_ino, known.st_size, known.st_mtime_ns)
            if as_it_is in self.right:
                return
            content = Path(file.path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            self.wrong.append(f"{place}: {file.name} was there, and went")
            return
        if content == self.expected.get(file.name):
            self.right.add(as_it_is)
        else:
            self.wrong.append(f"{place}: {file.name}, {len(content)} bytes")
