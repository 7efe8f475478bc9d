"""What can go wrong at a partner's: each fault ends in a clear message, leaves nothing that could
be taken for the file, and the next try succeeds (on real servers).
"""

import contextlib
import os
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deploy.parts.certificates import Certificate, self_signed
from deploy.parts.gateway import Gateway, running_gateway
from deploy.parts.ports import free_port
from deploy.parts.process import ServerProcess
from deploy.parts.sshd import SftpServer, running_sshd
from deploy.parts.vsftpd import FtpsServer, running_vsftpd
from sinks.closing.deliveries import with_retries
from sinks.locations import DeliveryError, DeliveryStep, Location, PassingError, Terms
from tests.integration.servers import (
    cut,
    frozen,
    located,
    root_of,
    secrets,
    seen_in,
    settings_of,
    when_some_has_come,
)
from tests.location_contract import FOLDER, NAME, files_in, local

# urllib3 leaves sockets whose connection broke to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.usefixtures("no_socket_left"),
]

MIB = 1024 * 1024
DISK = 4 * MIB
Server = SftpServer | FtpsServer | Gateway
OTHER_KEY = "SHA256:" + "A" * 43


@pytest.fixture(params=["sftp", "ftps", "s3"])
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Server:
    found: Server = request.getfixturevalue(request.param)
    secrets(monkeypatch, found)
    return found


def at(server: Server, tmp_path: Path, **more: Any) -> Location:
    return located(tmp_path, settings_of(server, folder=f"in-{tmp_path.name}", **more))


def random_bytes(mebibytes: int) -> bytes:
    """Bytes that don't repeat, so that no part can stand for another."""
    return np.random.default_rng().bytes(mebibytes * MIB)


def long_content(server: Server) -> bytes:
    """More than a server takes in the time that a busy machine needs to see that some has come."""
    return random_bytes(64 if isinstance(server, SftpServer) else 256)


def files(server: Server, tmp_path: Path) -> dict[str, bytes]:
    """What a partner sees who leaves names that begin with a dot alone."""
    seen = seen_in(root_of(server) / f"in-{tmp_path.name}")(FOLDER)
    return {name: content for name, content in seen.items() if not name.startswith(".")}


def refused(location: Location, tmp_path: Path, content: bytes = b"x") -> DeliveryError:
    with pytest.raises(DeliveryError) as refusal:
        location.deliver(local(tmp_path, content), FOLDER, NAME)
    return refusal.value


def open_sockets() -> set[str]:
    """The sockets of this process."""
    found = set()
    for each in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # that of the folder itself
            found.add(str(each.readlink()))
    return {one for one in found if one.startswith("socket:")}


def delivered(server: Server, location: Location, tmp_path: Path, content: bytes = b"x") -> bool:
    location.deliver(local(tmp_path, content), FOLDER, NAME)
    return files(server, tmp_path) == {NAME: content}


# Refused before anything is sent.


def test_a_refused_login(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    location = at(server, tmp_path)
    if isinstance(server, SftpServer):
        with_password = settings_of(
            server, password_env="PARTNER_PASSWORD", folder=f"in-{tmp_path.name}"
        )
        del with_password["key_file"]
        monkeypatch.setenv("PARTNER_PASSWORD", server.jail.password)
        location = located(tmp_path, with_password)
    variable = "SECRET_KEY" if isinstance(server, Gateway) else "PARTNER_PASSWORD"
    right = os.environ[variable]
    monkeypatch.setenv(variable, "wr0ng-and-secret")

    refusal = refused(location, tmp_path)

    assert refusal.step is DeliveryStep.LOGIN
    assert not isinstance(refusal, PassingError), "trying again would lock the account"
    assert "wr0ng-and-secret" not in str(refusal)
    assert "refused" in str(refusal)
    assert "check" in refusal.hint
    assert files(server, tmp_path) == {}
    monkeypatch.setenv(variable, right)
    assert delivered(server, location, tmp_path)


def test_a_secret_that_isnt_there(
    ftps: FtpsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PARTNER_PASSWORD", raising=False)

    refusal = refused(at(ftps, tmp_path), tmp_path)

    assert str(refusal) == (
        "location 'partner': the environment variable PARTNER_PASSWORD (the password) isn't set; "
        "secrets come from the variable or the file that the location's settings name"
    )


def test_another_servers_host_key(sftp: SftpServer, tmp_path: Path) -> None:
    refusal = refused(at(sftp, tmp_path, fingerprint=OTHER_KEY), tmp_path)

    assert refusal.step is DeliveryStep.TRUST
    assert not isinstance(refusal, PassingError)
    assert str(refusal) == (
        f"sftp://partner@127.0.0.1:{sftp.port}: the server's host key is {sftp.fingerprint} "
        f"(ssh-ed25519), not {OTHER_KEY}; it may be another server, and nothing was sent; ask its "
        "owner about the key"
    )
    assert delivered(sftp, at(sftp, tmp_path), tmp_path)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("[127.0.0.1]:{port} {other}", "the server's host key is {fingerprint} (ssh-ed25519), not"),
        ("[127.0.0.1]:1 {own}", "(known_hosts) has no key of [127.0.0.1]:{port}"),
    ],
)
def test_a_host_key_that_known_hosts_doesnt_have(
    sftp: SftpServer, tmp_path: Path, line: str, expected: str
) -> None:
    other, own = (
        file.with_name(f"{file.name}.pub").read_text().split(" ", 2)
        for file in (sftp.key, sftp.key.with_name("host_key"))
    )
    known_hosts = tmp_path / "known_hosts"
    values = {"port": sftp.port, "fingerprint": sftp.fingerprint}
    known_hosts.write_text(
        line.format(other=" ".join(other[:2]), own=" ".join(own[:2]), **values) + "\n"
    )
    wrong = settings_of(sftp, known_hosts=known_hosts)
    del wrong["fingerprint"]

    before = open_sockets()
    refusal = refused(located(tmp_path, wrong), tmp_path)

    assert open_sockets() <= before
    assert refusal.step is DeliveryStep.TRUST
    assert expected.format(**values) in str(refusal)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        ({"days": -1}, "certificate has expired"),
        ({"address": "127.0.0.2"}, "127.0.0.1"),
        ({}, "self-signed certificate"),
    ],
    ids=["expired", "of another host", "that nobody vouches for"],
)
@pytest.mark.parametrize("kind", ["ftps", "s3"])
def test_a_certificate(
    kind: str,
    made: dict[str, Any],
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wrong = self_signed(tmp_path / "wrong", **made)
    vouched_for = wrong if made else self_signed(tmp_path / "another")
    with (
        running_vsftpd(tmp_path / kind, wrong)
        if kind == "ftps"
        else running_gateway(tmp_path / kind, certificate=wrong.certificate, key=wrong.key)
    ) as server:
        secrets(monkeypatch, server)
        location = at(server, tmp_path, ca_file=vouched_for.certificate)

        refusal = refused(location, tmp_path)

        assert refusal.step is DeliveryStep.TRUST
        assert not isinstance(refusal, PassingError)
        assert expected in str(refusal).replace("self signed", "self-signed")
        assert files(server, tmp_path) == {}


def test_nobody_there(tmp_path: Path, server: Server) -> None:
    nobody = free_port()
    where = (
        {"endpoint": f"http://127.0.0.1:{nobody}"}
        if isinstance(server, Gateway)
        else {"port": nobody}
    )

    refusal = refused(at(server, tmp_path, **where), tmp_path)

    assert isinstance(refusal, PassingError)
    assert refusal.step is DeliveryStep.CONNECT
    assert str(nobody) in str(refusal)


# Refused while writing.


@pytest.mark.parametrize("kind", ["sftp", "ftps"])
def test_a_read_only_folder(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server: SftpServer | FtpsServer = request.getfixturevalue(kind)
    secrets(monkeypatch, server)
    folder = server.home / f"in-{tmp_path.name}"
    folder.mkdir()  # root's, who starts the servers

    location = at(server, tmp_path)
    refusal = refused(location, tmp_path)

    assert refusal.step is DeliveryStep.WRITE
    assert "check that the login may write there" in str(refusal)
    os.chown(folder, server.home.stat().st_uid, -1)
    assert delivered(server, location, tmp_path)


@pytest.mark.parametrize("kind", ["sftp", "ftps"])
def test_a_full_disk(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        running_sshd(tmp_path / kind, disk_bytes=DISK)
        if kind == "sftp"
        else running_vsftpd(tmp_path / kind, self_signed(tmp_path / "certificate"), disk_bytes=DISK)
    ) as server:
        secrets(monkeypatch, server)
        filler = server.home / "filler"
        filler.write_bytes(bytes(DISK - MIB))
        content = os.urandom(2 * MIB)
        location = at(server, tmp_path)

        refusal = refused(location, tmp_path, content)

        assert "disk" in str(refusal)
        assert files(server, tmp_path) == {}
        filler.unlink()
        assert delivered(server, location, tmp_path, content)


# Cut, or held up, while the file is on its way.


@pytest.mark.parametrize("kind", ["sftp", "ftps"])
def test_a_connection_that_is_cut_in_mid_file_goes_on_from_there(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server: SftpServer | FtpsServer = request.getfixturevalue(kind)
    secrets(monkeypatch, server)
    location, content = at(server, tmp_path), long_content(server)
    root = server.home / f"in-{tmp_path.name}"

    watch = when_some_has_come(server.process, lambda: cut(server.process))
    refusal = refused(location, tmp_path, content)
    watch.join()

    assert isinstance(refusal, PassingError)
    assert "the connection was cut" in str(refusal)
    assert files(server, tmp_path) == {}, "a half-sent one never counts"
    (part,) = (root / str(FOLDER)).iterdir()
    assert MIB < part.stat().st_size < len(content)
    inode = part.stat().st_ino
    monkeypatch.setattr(socket, "gethostname", lambda: "the-next-container")
    location = at(server, tmp_path)
    assert delivered(server, location, tmp_path, content)
    assert (root / str(FOLDER) / NAME).stat().st_ino == inode, "it's the file that was begun"
    assert list(files_in(root / str(FOLDER))) == [NAME]


def test_what_an_earlier_attempt_left_is_used_only_if_its_the_beginning(
    sftp: SftpServer, tmp_path: Path
) -> None:
    location, content = at(sftp, tmp_path), long_content(sftp)
    root = sftp.home / f"in-{tmp_path.name}"
    watch = when_some_has_come(sftp.process, lambda: cut(sftp.process))
    refused(location, tmp_path, content)
    watch.join()
    (part,) = (root / str(FOLDER)).iterdir()
    with part.open("r+b") as file:
        file.write(b"as a crash of the server may leave it")

    assert delivered(sftp, location, tmp_path, content)


@pytest.mark.parametrize("parts", [{}, {"part_bytes": 5 * MIB}], ids=["one PUT", "parts"])
def test_an_endpoint_that_dies_in_mid_file(
    parts: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_gateway(tmp_path / "s3") as server:
        secrets(monkeypatch, server)
        location, content = at(server, tmp_path, **parts), long_content(server)

        watch = when_some_has_come(server.process, server.process.kill)
        refusal = refused(location, tmp_path, content)
        watch.join()

        assert isinstance(refusal, PassingError)
        assert files(server, tmp_path) == {}, "a half-sent one never counts"
        server.process.start()
        assert delivered(server, location, tmp_path, content)


def test_a_server_that_hangs(tmp_path: Path, server: Server) -> None:
    location = at(server, tmp_path, timeout_seconds=1)
    process: ServerProcess = server.process

    with frozen(process):
        refusal = refused(location, tmp_path)

    assert isinstance(refusal, PassingError)
    assert files(server, tmp_path) == {}
    assert delivered(server, at(server, tmp_path), tmp_path)


def test_a_server_that_hangs_in_mid_file(tmp_path: Path, server: Server) -> None:
    location, content = at(server, tmp_path, timeout_seconds=1), long_content(server)
    held = threading.Event()

    def hold() -> None:
        with frozen(server.process):
            held.wait(60)

    watch = when_some_has_come(server.process, hold)
    try:
        refusal = refused(location, tmp_path, content)
    finally:
        held.set()
        watch.join()

    assert isinstance(refusal, PassingError)
    assert "hang" in str(refusal) or "hasn't answered within 1 s" in str(refusal)
    assert files(server, tmp_path) == {}
    # vsftpd's old login may be stuck, and hold the file that was begun.
    again = at(server, tmp_path, timeout_seconds=5)
    terms = Terms(attempts=3, retry_seconds=0.1)
    assert with_retries(terms, lambda: delivered(server, again, tmp_path, content))


def silent_ftps(certificate: Certificate, listening: socket.socket, **more: bytes) -> None:
    """Be an FTPS server for one login, which takes data connections and never says a word there.

    more: other answers to commands.
    """
    connection, _ = listening.accept()
    with connection:
        connection.sendall(b"220 ready\r\n")
        connection.recv(100)
        connection.sendall(b"234 go on\r\n")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.certificate, certificate.key)
        answers = {"USER": b"331 -", "PASS": b"230 -", "PWD": b'257 "/"', "SIZE": b"550 -"} | more
        with (
            context.wrap_socket(connection, server_side=True) as control,
            socket.create_server(("127.0.0.1", 0)) as data,
        ):
            answers["EPSV"] = b"229 - (|||%d|)" % data.getsockname()[1]
            while line := control.recv(1000):
                command = line.split()[0].decode()
                answer = b"150 -" if command == "STOR" else answers.get(command, b"200 -")
                control.sendall(answer + b"\r\n")


def refused_by_a_silent_ftps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **answers: bytes
) -> DeliveryError:
    monkeypatch.setenv("PARTNER_PASSWORD", "x")
    certificate = self_signed(tmp_path / "certificate")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = threading.Thread(target=silent_ftps, args=(certificate, listening), kwargs=answers)
        server.start()
        told = {"kind": "ftps", "host": "127.0.0.1", "port": listening.getsockname()[1]}
        told |= {"username": "us", "password_env": "PARTNER_PASSWORD", "timeout_seconds": 1}

        location = located(tmp_path, told | {"ca_file": certificate.certificate})
        refusal = refused(location, tmp_path)
        server.join()
    return refusal


def test_a_server_that_doesnt_tell_whether_a_file_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FTP's rename overwrites: a file could be lost that isn't known to be there."""
    refusal = refused_by_a_silent_ftps(tmp_path, monkeypatch, SIZE=b"502 -")

    assert not isinstance(refusal, PassingError)
    assert "doesn't tell whether a file is there" in str(refusal)


def test_a_server_that_hangs_as_a_data_connection_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """libcurl alone would wait for ever."""
    refusal = refused_by_a_silent_ftps(tmp_path, monkeypatch)

    assert isinstance(refusal, PassingError)
    assert "the server hangs" in str(refusal)
