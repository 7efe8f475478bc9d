"""Commands as processes of their own, forked from one that has imported deltadrop already.

Each is the command itself, to be killed, frozen and waited for like any process; its import alone
is spared, which takes two seconds of processor time. That commands start from nothing as well is
shown where they run by `subprocess` (`tests/unit/commands`, `tests/integration/test_demo.py`).
"""

from __future__ import annotations

import atexit
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any

from tests.shop.fork_server import received, send


class ForkedProcess:
    """`python -m MODULE ARGUMENTS`, as a `subprocess.Popen` of it would be."""

    def __init__(
        self,
        line: Sequence[str],
        *,
        stdout: IO[bytes] | None = None,
        stderr: IO[bytes] | int | None = None,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Start it, without standard input; where nothing is said, it writes where we do.

        ``stderr`` may be `subprocess.STDOUT`.
        """
        assert list(line[:2]) == [sys.executable, "-m"]
        self.args = line
        self.returncode: int | None = None
        content = {
            "module": line[2],
            "arguments": line[3:],
            "folder": str(cwd or Path.cwd()),
            "environment": dict(env or os.environ),
        }
        out = 1 if stdout is None else stdout.fileno()
        match stderr:
            case None:
                err = 2
            case int():
                assert stderr == subprocess.STDOUT
                err = out
            case _:
                err = stderr.fileno()
        with Path(os.devnull).open("rb") as nothing:
            streams = (nothing.fileno(), out, err)
            self.pid: int = _fork_server().answer(content, streams)

    def poll(self) -> int | None:
        """How it ended; None while it runs."""
        if self.returncode is None:
            self.returncode = _fork_server().answer({"ended": self.pid})
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, at most so many seconds; raises `subprocess.TimeoutExpired`."""
        began, pause = time.monotonic(), 0.001
        while (code := self.poll()) is None:
            if timeout is not None and time.monotonic() - began > timeout:
                raise subprocess.TimeoutExpired(self.args, timeout)
            time.sleep(pause)
            pause = min(2 * pause, 0.05)
        return code

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class _ForkServer:
    """The process that is forked; it ends when its socket is closed, as it is at our end."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        self._lock = threading.Lock()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.shop.fork_server", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                # A thread of its own would be missing in a fork.
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            )

    def answer(self, content: object, streams: tuple[int, ...] = ()) -> Any:
        with self._lock:
            send(self._socket, content, streams)
            answer = received(self._socket)
        assert answer is not None, "the fork server has ended"
        return answer[0]

    def close(self) -> None:
        self._socket.close()
        self._process.wait()


@cache
def _fork_server() -> _ForkServer:
    server = _ForkServer()
    atexit.register(server.close)
    return server
