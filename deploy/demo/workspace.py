"""A folder with all that deltadrop needs; its commands run there as processes."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, Protocol

import yaml

COMMAND = (sys.executable, "-m", "deltadrop")
LEAVE_SECONDS = 30
"""How long a worker may take to finish its batch and stop."""


class Process(Protocol):
    """What is needed of a `subprocess.Popen`."""

    def poll(self) -> int | None:
        """Give its exit code, None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its exit code; raises subprocess.TimeoutExpired after so many seconds."""

    def send_signal(self, sig: int, /) -> None:
        """Send a signal to it while it runs."""

    def kill(self) -> None:
        """End it at once."""


class CommandError(Exception):
    """A command of deltadrop or a worker failed."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """A folder with settings, table and export definitions. Workers and closes write there, too."""

    folder: Path
    start: Callable[..., Process] = subprocess.Popen
    """Starts a command, with arguments as `subprocess.Popen` has them."""

    @classmethod
    def create(
        cls,
        folder: Path,
        definitions: Path,
        settings: dict[str, Any],
        start: Callable[..., Process] = subprocess.Popen,
    ) -> "Workspace":
        """Replace the folder by a new one, with the tables and exports of `definitions`."""
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(definitions / "tables", folder / "tables")
        shutil.copytree(definitions / "exports", folder / "exports")
        text = yaml.safe_dump({"root": ".", **settings}, sort_keys=False)
        (folder / "deltadrop.yaml").write_text(text, encoding="utf-8")
        (folder / "logs").mkdir()
        return cls(folder, start)

    @property
    def config(self) -> Path:
        """The settings file."""
        return self.folder / "deltadrop.yaml"

    @property
    def transferbox(self) -> Path:
        """The folder of the drops."""
        return self.folder / "transferbox"

    def add(self, **sections: dict[str, Any]) -> None:
        """Add sections to the settings."""
        settings = yaml.safe_load(self.config.read_text(encoding="utf-8"))
        text = yaml.safe_dump({**settings, **sections}, sort_keys=False)
        self.config.write_text(text, encoding="utf-8")

    def deliver(self, export: str, locations: Sequence[str]) -> None:
        """Change an export's definition, so that it is delivered to these locations."""
        file = self.folder / "exports" / f"{export}.yaml"
        text = re.sub(r"^deliver:.*\n", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
        file.write_text(f"{text}deliver: [{', '.join(locations)}]\n", encoding="utf-8")

    def add_seconds_to_drop_names(self) -> None:
        """Add the time to the names of all drops, as several windows close on one day here."""
        for file in (self.folder / "exports").glob("*.yaml"):
            text = file.read_text(encoding="utf-8")
            named = re.sub(r'^suffix: "([^"]*)"', r'suffix: "\1-HHmmss"', text, flags=re.MULTILINE)
            file.write_text(named, encoding="utf-8")

    def run(self, *arguments: str) -> str:
        """Run a command to its end and return its output; raises CommandError if it fails."""
        code, output, errors = self.ended(*arguments)
        if code:
            line = " ".join(("deltadrop", *arguments, "--config", str(self.config)))
            raise CommandError(f"{line} ended with {code}: {(errors or output).strip()}")
        return output

    def ended(self, *arguments: str) -> tuple[int, str, str]:
        """Run a command to its end; return its exit code, its output and its errors."""
        with TemporaryFile() as out, TemporaryFile() as err:
            line = (*COMMAND, *arguments, "--config", str(self.config))
            code = self.start(line, stdout=out, stderr=err).wait()
            return code, _text_of(out), _text_of(err)

    @contextmanager
    def workers(self, count: int) -> Iterator[None]:
        """Run `count` workers; at the end of the context they finish their batches and stop."""
        with ExitStack() as running:
            for number in range(1, count + 1):
                running.enter_context(self._worker(self.folder / "logs" / f"worker-{number}.log"))
            yield

    @contextmanager
    def _worker(self, log: Path) -> Iterator[None]:
        with log.open("wb") as out:
            process = self.start(
                (*COMMAND, "worker", "--config", str(self.config)),
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        try:
            yield
            if process.poll() is not None:
                raise CommandError(f"a worker ended by itself; see {log}")
        finally:
            _stop(process)


class Steps:
    """A printer of steps, with the seconds since the start."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def __call__(self, what: str) -> None:
        """Print a step."""
        print(f"{time.monotonic() - self._began:6.1f} s  {what}", flush=True)


def settings_of_one_machine(
    bootstrap_servers: str, registry_url: str, prefix: str, *, batch_seconds: float, delay: float
) -> dict[str, dict[str, Any]]:
    """Settings for servers without replicas, with the batches and the close delay in seconds."""
    return {
        "kafka": {
            "bootstrap_servers": bootstrap_servers,
            "topic_prefix": prefix,
            "replication_factor": 1,
            "min_insync_replicas": 1,
        },
        "registry": {"url": registry_url},
        "worker": {"group": prefix, "batch_seconds": batch_seconds},
        "close": {"delay_seconds": delay, "wait_seconds": 120},
    }


def next_second() -> datetime:
    """Wait for the next whole second and return it, as the instant of a close."""
    now = datetime.now(UTC)
    instant = now.replace(microsecond=0) + timedelta(seconds=1)
    time.sleep((instant - now).total_seconds())
    return instant


def _text_of(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


def _stop(process: Process) -> None:
    """Stop a process with SIGTERM; kill it if it doesn't end, or after an interruption (Ctrl-C)."""
    try:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(LEAVE_SECONDS)
    except subprocess.TimeoutExpired:
        pass
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
