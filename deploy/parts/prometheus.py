"""Prometheus from Debian's package, with a given configuration."""

import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.parts.errors import PartError
from deploy.parts.ports import HOST, free_port
from deploy.parts.process import ServerProcess

__all__ = ["promtool", "running_prometheus"]


def promtool() -> str:
    """The path of promtool; raises PartError if it is missing."""
    return _program("promtool")


@contextmanager
def running_prometheus(directory: Path, configuration: Path) -> Iterator[str]:
    """Run Prometheus with its data in a folder; yields its URL. PartError if it is missing."""
    directory.mkdir(parents=True, exist_ok=True)
    port = free_port()
    url = f"http://{HOST}:{port}"
    command = [
        _program("prometheus"),
        f"--config.file={configuration}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address={HOST}:{port}",
    ]
    log = directory / "prometheus.log"
    process = ServerProcess("Prometheus", command, log, lambda logged: _is_ready(url))
    process.start()
    try:
        yield url
    finally:
        process.stop()


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise PartError(f"{name} is missing: apt-get install prometheus (deploy/setup does it)")
    return found


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=1) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False
