"""A close in a process of its own, at one of whose steps a fault happens: over an installation
without Kafka, or as the command on real servers.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import deltadrop
from schemas.errors import DeltadropError
from sinks.closing.running import attempt
from tests.faults.injected import Fault, inject
from tests.shop.forked import ForkedProcess
from tests.shop.offline import OfflineShop
from tests.shop.scheduling import LOG

EXPORT: Final = "sent"
_MODULE: Final = "tests.faults.closing"
_MOST_SECONDS: Final = 120


@dataclass(frozen=True)
class Ended:
    """How a close ended: its process's exit code, and all that it said, its log too."""

    code: int
    said: str

    @property
    def message(self) -> str:
        """What it said to whoever ran it."""
        return "\n".join(line for line in self.said.splitlines() if not line.startswith("{"))

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The lines of its log of an event."""
        lines = (json.loads(line) for line in self.said.splitlines() if line.startswith("{"))
        return [line for line in lines if line["event"] == event]

    @property
    def how(self) -> str:
        """How, in the words of the page."""
        return "killed" if self.code == -signal.SIGKILL else f"exit {self.code}"

    def failed_well(self) -> None:
        """Assert that it said in one message what is wrong, and what to do."""
        assert self.code in (1, 3), self.said
        assert "Traceback" not in self.said
        assert "unforeseen" not in self.said
        assert len(self.message.splitlines()) == 1, self.said
        assert "; " in self.message, "it says what to do"


def close(
    folder: Path,
    instant: dt.datetime,
    said: Path,
    environment: Mapping[str, str],
    fault: Fault | None = None,
) -> Ended:
    """Run a close in the installation of a folder, and wait for its end.

    said: a file that doesn't lie on a disk which is filled.
    """
    asked = pickle.dumps((folder, instant, fault)).hex()
    with said.open("wb") as out:
        process = ForkedProcess(
            [sys.executable, "-m", _MODULE, asked],
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
        )
    try:
        code = process.wait(_MOST_SECONDS)
    finally:
        process.kill()
    return Ended(code, said.read_text())


def _main(folder: Path, instant: dt.datetime, fault: Fault | None) -> None:
    deltadrop.configure_logs()
    if fault is not None:
        inject(fault)
    if (folder / LOG).exists():
        _close_offline(folder, instant)
    else:
        command = ["close", EXPORT, "--at", instant.isoformat()]
        sys.argv[1:] = [*command, "--config", str(folder / "deltadrop.yaml")]
        deltadrop.main()


def _close_offline(folder: Path, instant: dt.datetime) -> None:
    log = pickle.loads((folder / LOG).read_bytes())
    shop = OfflineShop(folder, log, definitions={})
    (export,) = (one for one in shop.sinks.exports if one.name == EXPORT)
    try:
        attempt(shop.sinks.closer, export, instant, lambda lags: None)
    except DeltadropError as error:
        sys.exit(f"{error}")


if __name__ == "__main__":
    _main(*pickle.loads(bytes.fromhex(sys.argv[1])))
