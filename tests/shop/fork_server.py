"""A process that has imported deltadrop, and forks itself for each command that a test starts.

`python -m tests.shop.fork_server FD` serves the requests of `tests.shop.forked` at a socket until
its other end is closed. To import takes a command as long as all else that it does.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import socket
import struct
import sys
import traceback
from importlib import import_module
from typing import Any, NoReturn

from deltadrop import COMMANDS

HEADER = struct.Struct("!I")
"""How many bytes of JSON follow."""

IMPORTED = (
    *(command.place.partition(":")[0] for command in COMMANDS.values()),
    # What commands import when they come to it.
    "boto3",
    "httpcore",
    "paramiko",
    "pyarrow.dataset",
    "pycurl",
    "typer._click.decorators",
    "tests.faults.injected",
    "tests.faults.raw_worker",
    "tests.shop.offline",
)


def main(descriptor: int) -> None:
    for name in IMPORTED:
        import_module(name)
    with socket.socket(fileno=descriptor) as requests:
        while request := received(requests):
            content, streams = request
            if "ended" in content:
                send(requests, exit_code_of(content["ended"]))
                continue
            pid = os.fork()
            if not pid:
                requests.close()
                become(content, streams)
            for stream in streams:
                os.close(stream)
            send(requests, pid)


def become(content: dict[str, Any], streams: list[int]) -> NoReturn:
    """Be, in a fork, the command that was asked for: `python -m MODULE ARGUMENTS`."""
    code = 1
    try:
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.chdir(content["folder"])
        os.environ.clear()
        os.environ.update(content["environment"])
        sys.argv = ["-m", *content["arguments"]]
        runpy.run_module(content["module"], run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else int(left.code is not None)
        if isinstance(left.code, str):
            print(left.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def exit_code_of(pid: int) -> int | None:
    """How a process ended, as `subprocess` has it; None while it runs."""
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def send(to: socket.socket, content: object, streams: tuple[int, ...] = ()) -> None:
    text = json.dumps(content).encode()
    socket.send_fds(to, [HEADER.pack(len(text))], streams)
    to.sendall(text)


def received(of: socket.socket) -> tuple[Any, list[int]] | None:
    """What was sent, and the streams that came along; None at the end."""
    header, streams, _, _ = socket.recv_fds(of, HEADER.size, 3)
    if not header:
        return None
    (left,) = HEADER.unpack(header)
    text = b""
    while len(text) < left:
        text += of.recv(left - len(text))
    return json.loads(text), streams


if __name__ == "__main__":
    main(int(sys.argv[1]))
