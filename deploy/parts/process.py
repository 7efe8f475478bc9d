"""Server processes that wait until they are ready and end with this process; and commands."""

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
"""Seconds for a start. It usually takes 3 to 5 s, but took 40 s on two cores with a load of ten."""

STOP_TIMEOUT_S = 20
"""Seconds for a stop; a server that takes longer is killed."""

ARCHIVE_TIMEOUT_S = 300
"""Seconds for a stop at which Java writes a class archive, which takes 5 to 10 s."""

_TAIL_LINES = 40
_TAIL_LINES_OF_A_COMMAND = 15
_GUARD = ["sh", "-c", 'trap "" HUP INT TERM; read -r _; kill -KILL "$1"', "part-guard"]
"""A guard: it waits for the end of its standard input, then kills the server. The input ends when
the process that owns it dies, by any signal. (PR_SET_PDEATHSIG would fire when the *thread* that
started the server ends, and exists on Linux only.)"""


class ServerProcess:
    """A command that runs in the background; its output is appended to a log.

    It has a session of its own, so that Ctrl-C at a terminal doesn't stop it, and this process
    decides the order of stopping. A guard kills it if this process dies, even by SIGKILL.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        is_ready: Callable[[str], bool],
    ) -> None:
        """Describe the process; nothing runs yet.

        is_ready: called repeatedly with the log of this start so far. log: its folder is the
        command's working folder.
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
        """Start the process and wait until it is ready; do nothing if it runs already.

        Raises PartError, with the end of the log, if it ends first or isn't ready in time.
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
        """Stop the process with SIGTERM and wait; kill it if it doesn't end in time."""
        if self._process is not None and self.pid is not None:
            self._process.send_signal(signal.SIGCONT)  # a frozen process ignores SIGTERM
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout_s)
        self.kill()

    def kill(self) -> None:
        """Kill the process at once (SIGKILL), as a crash would, and wait for its end."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._release()

    def _release(self) -> None:
        if self._guard is not None and self._guard.stdin is not None:
            self._guard.kill()  # before its pipe closes: the process id may have a new owner
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
    """A server; if it was started here, it can also be stopped and started again."""

    def __init__(self, name: str, ours: str, process: ServerProcess | None = None) -> None:
        """Describe a server.

        name: what it is, and its address. ours: the function that starts one which may be stopped.
        process: None for a server that wasn't started here.
        """
        self._name = name
        self._ours = ours
        self._process = process

    @property
    def log(self) -> Path | None:
        """The server's log of all its starts; None for a server that wasn't started here."""
        return self._process.log if self._process else None

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs; None for a server that wasn't started here."""
        return self._process.pid if self._process else None

    def stop(self) -> None:
        """Stop the server as an operator would; raises PartError if it wasn't started here."""
        self._own_process().stop()

    def kill(self) -> None:
        """Kill the server (SIGKILL), as a crash would; PartError if it wasn't started here."""
        self._own_process().kill()

    def start(self) -> None:
        """Start the server again, with the same port and data, and wait until it is ready.

        Raises PartError if it wasn't started here, or doesn't become ready.
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
    """Run a command to its end and return its output.

    environment: variables in addition to those of this process. Raises PartError with ``too_slow``
    if it exceeds the time limit, with ``failed`` and the end of its output if it fails.
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
    """The path and the last lines of a log, for an error message or a test report."""
    if not log.exists():
        return f"no log at {log}"
    last = log.read_text(errors="replace").splitlines()[-lines:]
    return "\n".join([f"the end of {log}:", *last])
