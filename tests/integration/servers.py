"""Locations on real servers, for tests: their settings as a user writes them, and the servers'
processes to be cut, frozen and ended.
"""

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest

from deploy.parts.gateway import Gateway
from deploy.parts.process import ServerProcess
from deploy.parts.sshd import SftpServer
from deploy.parts.vsftpd import FtpsServer
from schemas.settings.settings import load_settings
from sinks.locations import Folder, Location, Locations, load_locations
from tests.location_contract import Seen, files_in

BUCKET = "drops"
MIB = 1024 * 1024
HOST = "127.0.0.1"
Server = SftpServer | FtpsServer | Gateway


def located(tmp_path: Path, told: dict[str, Any], name: str = "partner") -> Location:
    """The location that these settings make."""
    return locations(tmp_path, {name: told})[name].location


def locations(tmp_path: Path, told: dict[str, dict[str, Any]]) -> Locations:
    file = tmp_path / "deltadrop.yaml"
    lines = ["root: var", "locations:"]
    for name, one in told.items():
        lines += [f"  {name}:", *(f"    {key}: {value!s}" for key, value in one.items())]
    file.write_text("\n".join(lines) + "\n")
    return load_locations(load_settings(file))


def sftp_settings(server: SftpServer, **more: Any) -> dict[str, Any]:
    told = {"kind": "sftp", "host": HOST, "port": server.port, "username": server.jail.user}
    return told | {"key_file": server.key, "fingerprint": server.fingerprint} | more


def ftps_settings(server: FtpsServer, **more: Any) -> dict[str, Any]:
    """PARTNER_PASSWORD has to be set: see `secrets`."""
    told = {"kind": "ftps", "host": HOST, "port": server.port, "username": server.jail.user}
    secret = {"password_env": "PARTNER_PASSWORD", "ca_file": server.certificate.certificate}
    return told | secret | more


def s3_settings(server: Gateway, **more: Any) -> dict[str, Any]:
    """ACCESS_KEY and SECRET_KEY have to be set: see `secrets`."""
    (server.directory / BUCKET).mkdir(exist_ok=True)
    told = {"kind": "s3", "bucket": BUCKET, "endpoint": server.url}
    return told | {"access_key_env": "ACCESS_KEY", "secret_key_env": "SECRET_KEY"} | more


def settings_of(server: Server, **more: Any) -> dict[str, Any]:
    """Those of its kind."""
    if isinstance(server, SftpServer):
        return sftp_settings(server, **more)
    return (
        ftps_settings(server, **more)
        if isinstance(server, FtpsServer)
        else s3_settings(server, **more)
    )


def secrets(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    """Set the variables that the settings name."""
    if isinstance(server, Gateway):
        monkeypatch.setenv("ACCESS_KEY", server.access_key)
        monkeypatch.setenv("SECRET_KEY", server.secret_key)
    else:
        monkeypatch.setenv("PARTNER_PASSWORD", server.jail.password)


def root_of(server: Server) -> Path:
    """The folder that a location without one of its own begins at."""
    return server.directory / BUCKET if isinstance(server, Gateway) else server.home


def seen_in(root: Path) -> Seen:
    def seen(folder: Folder) -> dict[str, bytes]:
        return files_in(root / folder.entity / folder.export)

    return seen


def fresh_folder() -> str:
    return f"in-{uuid4().hex[:8]}"


@contextmanager
def frozen(process: ServerProcess) -> Iterator[None]:
    """Let a server, with all its logins, do nothing for a while."""
    assert process.pid is not None
    parent = psutil.Process(process.pid)
    held = [parent, *parent.children(recursive=True)]
    for one in held:
        one.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for one in held:
            if one.is_running():
                one.send_signal(signal.SIGCONT)


def cut(process: ServerProcess) -> None:
    """End a server's logins, as a network does that goes away; the server itself stays."""
    assert process.pid is not None
    for one in psutil.Process(process.pid).children(recursive=True):
        try:
            one.kill()
        except psutil.NoSuchProcess:
            continue


def read_by(process: ServerProcess) -> int:
    """The bytes that a server and its logins have read, from networks and files.

    Straight from /proc (proc(5)): psutil looks at all processes of the machine to find children,
    which takes longer than the megabytes that a test waits for.
    """
    assert process.pid is not None
    family, read = [process.pid], 0
    for pid in family:
        with contextlib.suppress(OSError):  # it has ended
            family += _children_of(pid)
            read += int(Path(f"/proc/{pid}/io").read_text().split()[1])  # rchar
    return read


def _children_of(pid: int) -> list[int]:
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # it has ended
            found += map(int, (thread / "children").read_text().split())
    return found


def when_some_has_come(
    process: ServerProcess, do: Callable[[], object], after: int = 8 * MIB
) -> threading.Thread:
    """Do something as soon as a server has read some megabytes."""
    start = read_by(process)

    def watch() -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if read_by(process) - start > after:
                do()
                return
            time.sleep(0.002)

    thread = threading.Thread(target=watch)
    thread.start()
    return thread
