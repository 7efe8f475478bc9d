"""What is done to a close at one of its steps, in its own process: it is killed (SIGKILL) before,
during or after the step, its disk is filled there, or a server is taken away.
"""

from __future__ import annotations

import http.client
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import sinks.closing.drop
from sinks.closing.cut import Cuts
from sinks.ledger.ledger import Ledger
from sinks.ledger.receipts import Receipts
from sinks.locations import Transferbox
from sinks.locations.ftps import Ftps, FtpsSession
from sinks.locations.s3 import S3
from sinks.locations.sftp import Sftp, SftpSession
from streams.recovery.range_reader import RangeReader
from streams.storage.folder import FolderStore
from streams.storage.partitions import Partitions
from tests.faults.disk import fill

_GONE_SECONDS: Final = 10
_DROP: Final = ".csv"
"""How the name of a drop ends."""


@dataclass(frozen=True)
class Running:
    """A server that may be taken away."""

    pid: int
    address: str  # host:port

    def take_away(self) -> None:
        """Kill it, as a crash would, and wait until nobody answers in its place."""
        os.kill(self.pid, signal.SIGKILL)
        deadline = time.monotonic() + _GONE_SECONDS
        while self._answers():
            assert time.monotonic() < deadline, "it doesn't go"
            time.sleep(0.01)

    def _answers(self) -> bool:
        host, _, port = self.address.rpartition(":")
        try:
            with socket.create_connection((host, int(port)), timeout=1):
                return True
        except OSError:
            return False


@dataclass(frozen=True)
class Fault:
    """What happens at which step; disk: what is filled; server: what is taken away."""

    step: str
    what: str
    disk: Path | None = None
    server: Running | None = None

    @property
    def address(self) -> str:
        """Where the server is that is taken away."""
        return self.server.address if self.server else ""


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)  # it comes before this thread goes on


# Where a step is in the code: what is called for it, and when a call is of it.

_Owner = tuple[Any, str, Callable[..., bool]]


def _always(*_: Any, **__: Any) -> bool:
    return True


_STEPS: Final[Mapping[str, _Owner]] = {
    "cut": (Cuts, "take", _always),
    "mend": (RangeReader, "read", _always),
    "intent": (Ledger, "record_intent", _always),
    "drop": (sinks.closing.drop, "render", _always),
    "transferbox": (Transferbox, "deliver", _always),
    "s3": (S3, "deliver", _always),
    "sftp": (Sftp, "deliver", _always),
    "ftps": (Ftps, "deliver", _always),
    "receipt": (Receipts, "record", lambda self, drop, location, receipts: location == "s3"),
    "waiting": (FolderStore, "write", lambda self, name, fill: "/waiting" in name),
    "outcome": (Ledger, "record_outcome", _always),
}


def inject(fault: Fault) -> None:
    """Let a fault happen when this process comes to its step."""
    owner, name, is_it = _STEPS[fault.step]
    original = getattr(owner, name)
    if fault.what == "killed during":
        _DURING[fault.step]()
        return

    def instead(*args: Any, **options: Any) -> Any:
        if not is_it(*args, **options):
            return original(*args, **options)
        if fault.what == "killed before":
            _die()
        if fault.disk is not None:
            fill(fault.disk)
        if fault.server is not None:
            fault.server.take_away()
        result = original(*args, **options)
        if fault.what == "killed after":
            _die()
        return result

    setattr(owner, name, instead)


def _as_it_gets_its_name(owner: Any, function: str, ending: str) -> Callable[[], None]:
    """Kill when a file is written aside, and before it has its name (the last argument, or the
    first of Path.hardlink_to).
    """

    def inject() -> None:
        original = getattr(owner, function)

        def instead(*args: Any) -> Any:
            named = args[0] if function == "hardlink_to" else args[-1]
            if str(named).endswith(ending):
                _die()
            return original(*args)

        setattr(owner, function, instead)

    return inject


def _half_rendered() -> None:
    original = sinks.closing.drop.render

    class Half:
        def __init__(self, out: BinaryIO) -> None:
            self._out = out

        def write(self, piece: bytes) -> int:
            self._out.write(bytes(piece)[: len(piece) // 2])
            self._out.flush()
            _die()
            return 0

    def instead(batches: Any, layout: Any, out: BinaryIO, **options: Any) -> Any:
        return original(batches, layout, Half(out), **options)  # type: ignore[arg-type]

    sinks.closing.drop.render = instead  # type: ignore[assignment]


def _half_sent_in_one_put() -> None:
    original = http.client.HTTPConnection.send

    def instead(self: Any, data: Any) -> None:
        sent = self.__dict__.get("sent", 0)
        original(self, data)
        self.__dict__["sent"] = sent + len(data)
        if sent > 1024 * 1024:
            _die()

    http.client.HTTPConnection.send = instead  # type: ignore[method-assign,assignment]


class _HalfRead:
    """A local file that kills as soon as half of it was read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO

    def open(self, mode: str) -> _HalfRead:
        self._file = self._path.open("rb")
        return self

    def stat(self) -> os.stat_result:
        return self._path.stat()

    def __enter__(self) -> _HalfRead:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def seek(self, to: int) -> int:
        return self._file.seek(to)

    def read(self, size: int) -> bytes:
        if self._file.tell() > self.stat().st_size // 2:
            time.sleep(0.2)  # what was read is on its way
            _die()
        return self._file.read(size)


def _half_sent(session: Any) -> Callable[[], None]:
    def inject() -> None:
        original = session.write

        def instead(self: Any, local: Path, path: str, start: int) -> None:
            original(self, _HalfRead(local), path, start)

        session.write = instead

    return inject


def _files_without_a_record() -> None:
    Partitions.write_coverage = lambda *_: _die()  # type: ignore[method-assign,assignment]


_DURING: Final[Mapping[str, Callable[[], None]]] = {
    "cut": _as_it_gets_its_name(os, "link", ".email-activity.json"),
    "mend": _files_without_a_record,
    "intent": _as_it_gets_its_name(os, "link", "/intent.json"),
    "drop": _half_rendered,
    "transferbox": _as_it_gets_its_name(Path, "hardlink_to", _DROP),
    "s3": _half_sent_in_one_put,
    "sftp": _half_sent(SftpSession),
    "ftps": _half_sent(FtpsSession),
    "receipt": _as_it_gets_its_name(os, "link", "/at.s3.json"),
    "waiting": _as_it_gets_its_name(Path, "rename", "/waiting.parquet"),
    "outcome": _as_it_gets_its_name(os, "link", "/outcome.json"),
}
