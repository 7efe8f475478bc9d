"""How long a partner may hold a delivery, what is sent again of a large file, and what a server
refuses that takes part of it (on real servers; one of our own where a fault must be exact).
"""

import fcntl
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import paramiko
import pytest

from deploy.parts.certificates import self_signed
from deploy.parts.gateway import Gateway, running_gateway
from deploy.parts.sshd import SftpServer, running_sshd
from deploy.parts.vsftpd import FtpsServer, running_vsftpd
from sinks.locations import DeliveryError, DeliveryStep, Location, PassingError
from sinks.locations.sftp import fingerprint_of
from tests.integration.servers import (
    located,
    read_by,
    root_of,
    secrets,
    seen_in,
    settings_of,
    when_some_has_come,
)
from tests.location_contract import FOLDER, NAME, files_in, local

pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.usefixtures("no_socket_left"),
]

MIB = 1024 * 1024
Server = SftpServer | FtpsServer | Gateway


@pytest.fixture(params=["sftp", "ftps", "s3"])
def server(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Server]:
    running = {
        "sftp": lambda: running_sshd(tmp_path / "sftp"),
        "ftps": lambda: running_vsftpd(tmp_path / "ftps", self_signed(tmp_path / "certificate")),
        "s3": lambda: running_gateway(tmp_path / "s3"),
    }[request.param]
    with running() as server:
        secrets(monkeypatch, server)
        yield server


def at(server: Server, tmp_path: Path, **more: Any) -> Location:
    return located(tmp_path, settings_of(server, folder="in", **more))


def files(server: Server) -> dict[str, bytes]:
    seen = seen_in(root_of(server) / "in")(FOLDER)
    return {name: content for name, content in seen.items() if not name.startswith(".")}


def refused(location: Location, tmp_path: Path, content: bytes) -> DeliveryError:
    with pytest.raises(DeliveryError) as refusal:
        location.deliver(local(tmp_path, content), FOLDER, NAME)
    return refusal.value


def test_an_attempt_that_takes_too_long_is_ended_although_the_server_goes_on(
    server: Server, tmp_path: Path
) -> None:
    content = os.urandom(MIB) * 384  # more than any machine sends in that time

    refusal = refused(at(server, tmp_path, attempt_seconds=0.15), tmp_path, content)

    assert isinstance(refusal, PassingError), "what was sent may be gone on with"
    assert "took longer than 0.15 s" in str(refusal) or "the server hangs" in str(refusal)
    assert files(server) == {}
    at(server, tmp_path).deliver(local(tmp_path, content), FOLDER, NAME)
    assert files(server) == {NAME: content}


def test_a_closer_that_sends_to_the_same_folder_is_waited_for_only_so_long(
    tmp_path: Path,
) -> None:
    told = {"kind": "sftp", "host": "127.0.0.1", "username": "us", "password_env": "NONE"}
    told |= {"fingerprint": "SHA256:" + "A" * 43, "attempt_seconds": 0.2}
    location = located(tmp_path, told)
    locks = tmp_path / "var" / "locks"
    locks.mkdir(parents=True)
    with (locks / "partner~marketing~openings.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)

        refusal = refused(location, tmp_path, b"x")

    assert isinstance(refusal, PassingError)
    assert "another closer has it" in str(refusal)


def test_a_server_that_only_allows_reading_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_gateway(tmp_path / "s3", options=["--readonly"]) as server:
        secrets(monkeypatch, server)

        refusal = refused(at(server, tmp_path), tmp_path, b"x")

        assert refusal.step is DeliveryStep.WRITE
        assert not isinstance(refusal, PassingError)
        assert "check the keys of location 'partner' and what they may do" in str(refusal)
        assert files(server) == {}
    with running_gateway(tmp_path / "s3") as server:
        at(server, tmp_path).deliver(local(tmp_path, b"x"), FOLDER, NAME)
        assert files(server) == {NAME: b"x"}


def test_an_upload_in_parts_goes_on_where_it_was_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_gateway(tmp_path / "s3") as server:
        secrets(monkeypatch, server)
        location, content = (
            at(server, tmp_path, part_bytes=5 * MIB),
            np.random.default_rng().bytes(192 * MIB),
        )
        watch = when_some_has_come(server.process, server.process.kill, after=40 * MIB)
        refusal = refused(location, tmp_path, content)
        watch.join()
        assert isinstance(refusal, PassingError)
        server.process.start()
        before = read_by(server.process)

        location.deliver(local(tmp_path, content), FOLDER, NAME)

        assert files(server) == {NAME: content}
        # The endpoint of the tests reads all parts once more as it puts them together.
        assert read_by(server.process) - before < 2 * len(content) - 20 * MIB
        assert list((tmp_path / "var" / "locks").glob("*.upload")) == []


def test_an_upload_in_parts_that_is_gone_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_gateway(tmp_path / "s3") as server:
        secrets(monkeypatch, server)
        location, content = (
            at(server, tmp_path, part_bytes=5 * MIB),
            np.random.default_rng().bytes(128 * MIB),
        )
        watch = when_some_has_come(server.process, server.process.kill)
        refused(location, tmp_path, content)
        watch.join()
        server.process.start()
        (note,) = (tmp_path / "var" / "locks").glob("*.upload")
        note.write_text("an-upload-that-the-bucket's-rules-have-removed")

        location.deliver(local(tmp_path, content), FOLDER, NAME)

        assert files(server) == {NAME: content}


# A server that refuses one piece of a file, and takes those after it.


class _Login(paramiko.ServerInterface):
    def check_auth_password(self, username: str, password: str) -> int:
        return paramiko.AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED


class _File(paramiko.SFTPHandle):
    refused: int | None = None

    def write(self, offset: int, data: bytes) -> int:
        if offset == self.refused:
            return paramiko.SFTP_FAILURE
        return super().write(offset, data)


class _Files(paramiko.SFTPServerInterface):
    def __init__(self, server: Any, folder: Path, refused: list[int]) -> None:
        self.folder, self.refused = folder, refused

    def _at(self, path: str) -> Path:
        return self.folder / path.lstrip("/")

    def stat(self, path: str) -> Any:
        try:
            return paramiko.SFTPAttributes.from_stat(self._at(path).stat())
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno)

    def mkdir(self, path: str, attr: Any) -> int:
        self._at(path).mkdir()
        return paramiko.SFTP_OK

    def remove(self, path: str) -> int:
        self._at(path).unlink()
        return paramiko.SFTP_OK

    def rename(self, oldpath: str, newpath: str) -> int:
        self._at(oldpath).rename(self._at(newpath))
        return paramiko.SFTP_OK

    def open(self, path: str, flags: int, attr: Any) -> Any:
        file = os.fdopen(os.open(self._at(path), flags, 0o644), "r+b", buffering=0)
        handle = _File(flags)
        handle.writefile = handle.readfile = file  # type: ignore[attr-defined]
        handle.refused = self.refused.pop() if self.refused else None
        return handle


def fussy_sftp(listening: socket.socket, key: Any, folder: Path, refused: list[int]) -> None:
    """Be an SFTP server for two logins, which refuses a piece at this byte once."""
    for _ in range(2):
        transport = paramiko.Transport(listening.accept()[0])
        transport.add_server_key(key)
        transport.set_subsystem_handler("sftp", paramiko.SFTPServer, _Files, folder, refused)
        transport.start_server(server=_Login())
        transport.join()


def test_a_piece_that_a_server_refuses_in_mid_file_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a disk does that is full for a moment: a file of the right size would have a hole."""
    monkeypatch.setenv("PARTNER_PASSWORD", "x")
    key, folder, content = paramiko.RSAKey.generate(2048), tmp_path / "theirs", os.urandom(2 * MIB)
    folder.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        args = (listening, key, folder, [1024 * 1024])
        server = threading.Thread(target=fussy_sftp, args=args)
        server.start()
        told = {"kind": "sftp", "host": "127.0.0.1", "port": listening.getsockname()[1]}
        told |= {"username": "us", "password_env": "PARTNER_PASSWORD"}
        told |= {"fingerprint": fingerprint_of(key.asbytes())}
        location = located(tmp_path, told)

        refusal = refused(location, tmp_path, content)
        half = files_in(folder / str(FOLDER))
        location.deliver(local(tmp_path, content), FOLDER, NAME)
        server.join()

    assert "the server refused to write" in str(refusal)
    assert half == {}
    assert files_in(folder / str(FOLDER)) == {NAME: content}
