"""A folder with everything that deltadrop needs, and its commands run there as processes."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

COMMAND = (sys.executable, "-m", "deltadrop")
LEAVE_SECONDS = 30
"""How long a worker may take to finish its batch and leave."""


class CommandError(Exception):
    """A command of deltadrop failed, or a worker did."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """Settings, table and export definitions in a folder; what workers and closes write goes there
    too.
    """

    folder: Path

    @classmethod
    def create(cls, folder: Path, definitions: Path, settings: dict[str, Any]) -> "Workspace":
        """Make the folder anew, with the tables and exports of `definitions`."""
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(definitions / "tables", folder / "tables")
        shutil.copytree(definitions / "exports", folder / "exports")
        text = yaml.safe_dump({"root": ".", **settings}, sort_keys=False)
        (folder / "deltadrop.yaml").write_text(text, encoding="utf-8")
        (folder / "logs").mkdir()
        return cls(folder)

    @property
    def config(self) -> Path:
        """The settings file."""
        return self.folder / "deltadrop.yaml"

    @property
    def transferbox(self) -> Path:
        """Where the drops are."""
        return self.folder / "transferbox"

    def add(self, **sections: dict[str, Any]) -> None:
        """Add sections to the settings."""
        settings = yaml.safe_load(self.config.read_text(encoding="utf-8"))
        text = yaml.safe_dump({**settings, **sections}, sort_keys=False)
        self.config.write_text(text, encoding="utf-8")

    def deliver(self, export: str, locations: Sequence[str]) -> None:
        """Let an export go to these locations."""
        file = self.folder / "exports" / f"{export}.yaml"
        text = re.sub(r"^deliver:.*\n", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
        file.write_text(f"{text}deliver: [{', '.join(locations)}]\n", encoding="utf-8")

    def add_seconds_to_drop_names(self) -> None:
        """Add the time to the names of all drops: here several windows close on one day."""
        for file in (self.folder / "exports").glob("*.yaml"):
            text = file.read_text(encoding="utf-8")
            named = re.sub(r'^suffix: "([^"]*)"', r'suffix: "\1-HHmmss"', text, flags=re.MULTILINE)
            file.write_text(named, encoding="utf-8")

    def run(self, *arguments: str) -> str:
        """Run a command to its end and give what it printed; raises CommandError if it fails."""
        return command(*arguments, "--config", str(self.config))

    @contextmanager
    def workers(self, count: int) -> Iterator[None]:
        """Let so many workers run; at the end they finish their batches and leave."""
        with ExitStack() as running:
            for number in range(1, count + 1):
                running.enter_context(self._worker(self.folder / "logs" / f"worker-{number}.log"))
            yield

    @contextmanager
    def _worker(self, log: Path) -> Iterator[None]:
        with log.open("wb") as out:
            process = subprocess.Popen(
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


def command(*arguments: str) -> str:
    """Run a command of deltadrop and give what it printed; raises CommandError if it fails."""
    done = subprocess.run((*COMMAND, *arguments), capture_output=True, text=True, check=False)
    if done.returncode:
        line, output = " ".join(("deltadrop", *arguments)), (done.stderr or done.stdout).strip()
        raise CommandError(f"{line} ended with {done.returncode}: {output}")
    return done.stdout


class Steps:
    """Says what was done, and how many seconds after the start."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def __call__(self, what: str) -> None:
        """Say it."""
        print(f"{time.monotonic() - self._began:6.1f} s  {what}", flush=True)


def settings_of_one_machine(
    bootstrap_servers: str, registry_url: str, prefix: str, *, batch_seconds: float, delay: float
) -> dict[str, dict[str, Any]]:
    """Settings for servers without replicas, and batches and a delay (seconds) of a moment."""
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
    """Wait for the next whole second and give it: a good instant to cut a window at."""
    now = datetime.now(UTC)
    instant = now.replace(microsecond=0) + timedelta(seconds=1)
    time.sleep((instant - now).total_seconds())
    return instant


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask it to leave; whatever happens while it does (a second Ctrl-C, say), it isn't left."""
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
