"""A close in a process of its own, over an installation without Kafka, which is killed (SIGKILL)
before, during or after one of its steps, or whose disk is filled there.
"""

from __future__ import annotations

import http.client
import multiprocessing
import os
import pickle
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import sinks.closing.close
from schemas.errors import DeltadropError
from sinks.closing.running import attempt
from sinks.ledger.ledger import Ledger
from sinks.ledger.receipts import Receipts
from sinks.locations import Transferbox
from sinks.locations.ftps import Ftps, FtpsSession
from sinks.locations.s3 import S3
from sinks.locations.sftp import Sftp, SftpSession
from sinks.setup import Sinks
from streams.store import LocalStore
from tests.faults.disk import fill
from tests.shop.offline import OfflineShop, at
from tests.shop.scheduling import LOG

EXPORT: Final = "sent"
INSTANT: Final = at(6)
NAME: Final = "sent_20260327_0600.csv"

_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload([__name__, "boto3", "paramiko", "pycurl", "duckdb"])


@dataclass(frozen=True)
class Fault:
    """What happens at which step; disk: what is filled."""

    step: str
    what: str
    disk: Path | None = None


@dataclass(frozen=True)
class Ended:
    """How a close ended: its process's exit code, and what it said if it failed."""

    code: int
    said: str


def close(
    folder: Path, said: Path, environment: Mapping[str, str], fault: Fault | None = None
) -> Ended:
    """Run a close in the installation of a folder, and wait for its end.

    said: a file that doesn't lie on a disk which is filled.
    """
    said.write_text("")
    process = _PROCESSES.Process(target=_main, args=(folder, dict(environment), fault, said))
    process.start()
    process.join(120)
    assert process.exitcode is not None, "it hangs"
    return Ended(process.exitcode, said.read_text())


def _main(folder: Path, environment: dict[str, str], fault: Fault | None, said: Path) -> None:
    os.environ.update(environment)
    log = pickle.loads((folder / LOG).read_bytes())
    shop = OfflineShop(folder, log, definitions={})
    parts = shop.sinks if fault is None or fault.what != "broker down" else Sinks.of(shop.settings)
    (export,) = (one for one in parts.exports if one.name == EXPORT)
    if fault is not None:
        _inject(fault)
    try:
        attempt(parts.closer, export, INSTANT, lambda lags: None)
    except DeltadropError as error:
        said.write_text(str(error))
        sys.exit(1)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)  # it comes before this thread goes on


# Where a step is in the code: what is called for it, and when a call is of it.

_Owner = tuple[Any, str, Callable[..., bool]]


def _always(*_: Any, **__: Any) -> bool:
    return True


_STEPS: Final[Mapping[str, _Owner]] = {
    "intent": (Ledger, "record_intent", _always),
    "drop": (sinks.closing.close, "render", _always),
    "transferbox": (Transferbox, "deliver", _always),
    "s3": (S3, "deliver", _always),
    "sftp": (Sftp, "deliver", _always),
    "ftps": (Ftps, "deliver", _always),
    "receipt": (Receipts, "record", lambda self, drop, location, receipts: location == "s3"),
    "waiting": (LocalStore, "write", lambda self, name, fill: "/waiting" in name),
    "outcome": (Ledger, "record_outcome", _always),
}


def _inject(fault: Fault) -> None:
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
        if fault.what == "disk full" and fault.disk is not None:
            fill(fault.disk)
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
    original = sinks.closing.close.render

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

    sinks.closing.close.render = instead  # type: ignore[assignment]


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


_DURING: Final[Mapping[str, Callable[[], None]]] = {
    "intent": _as_it_gets_its_name(os, "link", "/intent.json"),
    "drop": _half_rendered,
    "transferbox": _as_it_gets_its_name(Path, "hardlink_to", f"/{NAME}"),
    "s3": _half_sent_in_one_put,
    "sftp": _half_sent(SftpSession),
    "ftps": _half_sent(FtpsSession),
    "receipt": _as_it_gets_its_name(os, "link", "/at.s3.json"),
    "waiting": _as_it_gets_its_name(Path, "rename", "/waiting.parquet"),
    "outcome": _as_it_gets_its_name(os, "link", "/outcome.json"),
}
