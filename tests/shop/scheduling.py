"""Schedulers over an installation without servers, each a process of its own that can be killed."""

from __future__ import annotations

import json
import os
import pickle
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from schemas.logs import configure_logs
from schemas.settings.settings import load_settings
from sinks.commands.schedule import serve
from tests.shop.forked import ForkedProcess
from tests.shop.offline import OfflineShop

LOG = "log.pickle"


@dataclass(frozen=True)
class Clock:
    """A clock that says `shown` at the moment `real` of the machine's, and goes on from there."""

    shown: float
    real: float

    @classmethod
    def at(cls, shown: datetime) -> Clock:
        return cls(shown.timestamp(), time.time())

    def now(self) -> datetime:
        shown = datetime.fromtimestamp(self.shown, UTC)
        return shown + timedelta(seconds=time.time() - self.real)


def keep_log(shop: OfflineShop) -> None:
    """Keep what was published, so that other processes see it."""
    (shop.folder / LOG).write_bytes(pickle.dumps(shop.log))


class SchedulerProcess:
    """`deltadrop schedule` over an offline installation; its log lines are JSON."""

    def __init__(
        self, folder: Path, clock: Clock, name: str, environment: Mapping[str, str] | None = None
    ) -> None:
        self.logged = folder / f"{name}-{time.monotonic_ns()}.log"
        with self.logged.open("wb") as log:
            self.process = ForkedProcess(
                [
                    sys.executable,
                    "-m",
                    "tests.shop.scheduling",
                    str(folder),
                    str(clock.shown),
                    str(clock.real),
                ],
                stdout=log,
                stderr=log,
                env={**os.environ, **(environment or {})},
            )

    def lines(self, event: str) -> list[dict[str, Any]]:
        """What it logged of an event so far."""
        text = self.logged.read_text(encoding="utf-8")
        told = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        return [line for line in told if line["event"] == event]

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self, seconds: float = 60) -> int:
        return self.process.wait(seconds)


def _main(folder: Path, clock: Clock) -> None:
    log = pickle.loads((folder / LOG).read_bytes())
    shop = OfflineShop(folder, log, definitions={})
    configure_logs()
    serve(load_settings(folder / "deltadrop.yaml"), shop.sinks_of, clock.now)


if __name__ == "__main__":
    _main(Path(sys.argv[1]), Clock(float(sys.argv[2]), float(sys.argv[3])))
