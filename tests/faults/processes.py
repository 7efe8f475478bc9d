"""The product's own commands as processes that a test may kill, freeze and start again."""

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random

from deploy.demo.workspace import COMMAND, Workspace
from tests.shop.forked import ForkedProcess

STARTED = (b"worker started", b"scheduler started")
"""What a log says when its process has begun to listen to signals."""

_NUMBERS = count(1)
_LOGS: dict[int, Path] = {}


def start(workspace: Workspace, *arguments: str) -> ForkedProcess:
    """Start a command; its output goes to a log of its own."""
    log = workspace.folder / "logs" / f"{next(_NUMBERS):03d}-{arguments[0]}.log"
    with log.open("wb") as out:
        process = ForkedProcess(
            [*COMMAND, *arguments, "--config", str(workspace.config)],
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    _LOGS[process.pid] = log
    return process


def log_of(process: ForkedProcess) -> Path:
    """Where the output of a process that was started here goes."""
    return _LOGS[process.pid]


@dataclass
class Workers:
    """Some workers, or schedulers, tormented: killed, replaced, frozen and woken; all from one
    seed.
    """

    workspace: Workspace
    random: Random
    session_timeout: float  # seconds; of schedulers, how long their lease lasts
    command: str = "worker"
    running: list[ForkedProcess] = field(default_factory=list)
    kills: int = 0
    freezes: int = 0
    rebalances: int = 0

    def add(self) -> None:
        self.running.append(start(self.workspace, self.command))
        self.rebalances += 1

    def kill_one(self) -> None:
        """SIGKILL a worker at a random moment, and start another in its place."""
        victim = self.running.pop(self.random.randrange(len(self.running)))
        victim.kill()
        victim.wait()
        self.kills += 1
        self.add()

    def leave_one(self) -> None:
        """SIGTERM a worker, as a deployment would; once it runs, it must end well."""
        leaver = self.running.pop(self.random.randrange(len(self.running)))
        log = log_of(leaver).read_bytes()
        runs = any(words in log for words in STARTED)
        leaver.send_signal(signal.SIGTERM)
        code = leaver.wait(timeout=60)
        assert code == 0 or not runs, f"a {self.command} that was told to stop ended with {code}"
        self.rebalances += 1

    def freeze_one(self) -> None:
        """SIGSTOP a worker past its session time-out and wake it: a zombie."""
        zombie = self.random.choice(self.running)
        zombie.send_signal(signal.SIGSTOP)
        time.sleep(self.session_timeout * 1.5)
        zombie.send_signal(signal.SIGCONT)
        self.freezes += 1

    def replace_dead(self) -> None:
        """Start another for each that ended by itself (a zombie that lost its group may)."""
        ended = [worker for worker in self.running if worker.poll() is not None]
        for worker in ended:
            self.running.remove(worker)
            self.add()

    def stop(self) -> None:
        for worker in self.running:
            worker.send_signal(signal.SIGCONT)
            worker.send_signal(signal.SIGTERM)
        for worker in self.running:
            try:
                worker.wait(timeout=60)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
        self.running.clear()


@contextmanager
def tormented_workers(
    workspace: Workspace, random: Random, session_timeout: float, command: str = "worker"
) -> Iterator[Workers]:
    crew = Workers(workspace, random, session_timeout, command)
    try:
        yield crew
    finally:
        crew.stop()
