"""A server process of ours, up when it says so and gone when we are; commands run to their end."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from deploy.parts.errors import PartError

START_TIMEOUT_S = 180
"""A start takes 3 to 5 s, and was seen to take 40 s on two cores with a load of ten."""

STOP_TIMEOUT_S = 20
"""A server that takes longer to stop is killed."""

_TAIL_LINES = 40
_TAIL_LINES_OF_A_COMMAND = 15
_GUARD = ["sh", "-c", 'trap "" HUP INT TERM; read -r _; kill -KILL "$1"', "part-guard"]
"""Waits for the end of its standard input, which comes when the process that owns it dies, by
whatever signal; then kills the server. (PR_SET_PDEATHSIG would fire when the *thread* that
started the server ends, and exists on Linux only.)"""


class ServerProcess:
    """A command that runs in the background, its output appended to a log.

    It has a session of its own, so that Ctrl-C at a terminal leaves the order of stopping to us,
    and a guard that kills it when this process dies, SIGKILL included.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        is_ready: Callable[[str], bool],
    ) -> None:
        """Describe the process; nothing runs yet.

        ``is_ready`` is asked again and again, with what this start has logged so far. The folder
        of ``log`` is the command's working folder.
        """
        self.name = name
        self.log = log
        self._command = list(command)
        self._is_ready = is_ready
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id while it runs, else None."""
        running = self._process is not None and self._process.poll() is None
        return self._process.pid if self._process is not None and running else None

    def start(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Start it and wait until it's ready; a running one is left as it is.

        Raises PartError, with the end of the log, where it dies first or isn't ready in time.
        """
        if self.pid is not None:
            return
        self._release()
        logged_before = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                cwd=self.log.parent,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._guard = subprocess.Popen(
                [*_GUARD, str(self._process.pid)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            self._wait(logged_before, timeout_s)
        except BaseException:
            self.kill()
            raise

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Ask it to stop (SIGTERM) and wait; kill it where it doesn't."""
        if self._process is not None and self.pid is not None:
            self._process.send_signal(signal.SIGCONT)  # a frozen one can't hear
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout_s)
        self.kill()

    def kill(self) -> None:
        """End it at once (SIGKILL), as a crash would, and wait until it's gone."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._release()

    def _release(self) -> None:
        if self._guard is not None and self._guard.stdin is not None:
            self._guard.kill()  # before its pipe closes: it must not kill a stranger
            self._guard.wait()
            self._guard.stdin.close()
        self._guard = None

    def _wait(self, logged_before: int, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while True:
            ready = self._is_ready(self._logged_since(logged_before))
            if self.pid is None:
                raise PartError(f"{self.name} ended as it started; {tail(self.log)}")
            if ready:
                return
            if time.monotonic() > deadline:
                raise PartError(f"{self.name} wasn't up in {timeout_s:g} s; {tail(self.log)}")
            time.sleep(0.05)

    def _logged_since(self, position: int) -> str:
        with self.log.open("rb") as file:
            file.seek(position)
            return file.read().decode(errors="replace")


class Server:
    """A server to talk to; one that we run can also go away and come back."""

    def __init__(self, name: str, ours: str, process: ServerProcess | None = None) -> None:
        """``name`` is what and where it is, ``ours`` gives one that may be stopped.

        ``process`` is None for a server that isn't ours.
        """
        self._name = name
        self._ours = ours
        self._process = process

    @property
    def log(self) -> Path | None:
        """The server's log, over all its starts; None for a server that isn't ours."""
        return self._process.log if self._process else None

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs; None for a server that isn't ours."""
        return self._process.pid if self._process else None

    def stop(self) -> None:
        """Shut it down as an operator would. Raises PartError where it isn't ours to stop."""
        self._own_process().stop()

    def kill(self) -> None:
        """End it as a crash would (SIGKILL). Raises PartError where it isn't ours to stop."""
        self._own_process().kill()

    def start(self) -> None:
        """Start it again, on the same port and data, and wait until it's up.

        Raises PartError where it isn't ours, or doesn't come up.
        """
        self._own_process().start()

    def _own_process(self) -> ServerProcess:
        if self._process is None:
            raise PartError(f"{self._name} isn't ours to stop: use {self._ours} for one that is")
        return self._process


def output_of(
    command: Sequence[str],
    timeout_s: float,
    *,
    too_slow: str,
    failed: str,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Run a command to its end and give what it printed.

    Raises PartError: ``too_slow`` where it takes longer, ``failed`` and the end of what it printed
    where it fails. ``environment`` is added to ours.
    """
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired as error:
        raise PartError(too_slow) from error
    if done.returncode != 0:
        last = "\n".join(done.stdout.splitlines()[-_TAIL_LINES_OF_A_COMMAND:])
        raise PartError(f"{failed}:\n{last}")
    return done.stdout


def tail(log: Path, lines: int = _TAIL_LINES) -> str:
    """Give the last lines of a log under its path, for an error message or a test report."""
    if not log.exists():
        return f"no log at {log}"
    last = log.read_text(errors="replace").splitlines()[-lines:]
    return "\n".join([f"the end of {log}:", *last])
