"""The schema registry: Apicurio, with its Confluent-compatible API.

The id from a registration is also the id for look-ups. It belongs to the schema's content: a schema
under two subjects has one id, as with Confluent's registry.
"""

import json
import os
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from deploy.parts.archives import ClassArchive
from deploy.parts.containers import daemon_answers, registry_container
from deploy.parts.downloads import Download
from deploy.parts.java import find_java
from deploy.parts.ports import HOST, free_port
from deploy.parts.process import ARCHIVE_TIMEOUT_S, Server, ServerProcess

URL_VARIABLE = "SCHEMA_REGISTRY_URL"
REGISTRY_DOWNLOAD = Download("apicurio-registry-3.3.3")

_API_PATH = "/apis/ccompat/v7"
_DEFAULT_COMPATIBILITY = "BACKWARD"
"""The default of Confluent's registry; Apicurio has none."""


class SchemaRegistry(Server):
    """A schema registry; if it was started here on Java, it can be stopped and started again."""

    def __init__(self, url: str, process: ServerProcess | None = None) -> None:
        """Describe a registry; ``process`` is None for a registry that wasn't started here."""
        super().__init__(f"the schema registry at {url}", "registry_on_java()", process)
        self.url = url
        """The root of the Confluent-compatible API, without a slash at the end."""


@contextmanager
def running_registry(directory: Path | None = None) -> Iterator[SchemaRegistry]:
    """Provide a schema registry: that of the environment, else by Docker (untested), else on Java.

    directory: for log and schemas, on Java; by default a temporary folder that is removed at the
    end. The registry refuses schemas that aren't BACKWARD compatible, unless the subject has
    another rule. A registry of the environment keeps its own rule.

    Raises PartError if no registry is available.
    """
    if given := os.environ.get(URL_VARIABLE):
        yield SchemaRegistry(given.rstrip("/"))
    elif daemon_answers():
        with registry_container() as root:
            _set_default_compatibility(root + _API_PATH)
            yield SchemaRegistry(root + _API_PATH)
    else:
        with registry_on_java(directory) as registry:
            yield registry


@contextmanager
def registry_on_java(directory: Path | None = None) -> Iterator[SchemaRegistry]:
    """Run a registry on Java, whatever the environment says.

    Arguments as for ``running_registry``. The registry ends with the context, and also if this
    process is killed.
    """
    with tempfile.TemporaryDirectory(prefix="deltadrop-registry-") as temporary:
        home = directory or Path(temporary)
        home.mkdir(parents=True, exist_ok=True)
        port = free_port()
        process = _registry_process(home.resolve(), port, _archive().options())
        url = f"http://{HOST}:{port}{_API_PATH}"
        try:
            process.start()
            _set_default_compatibility(url)
            yield SchemaRegistry(url, process)
        finally:
            process.stop()


def make_registry_archive() -> Path | None:
    """Make the registry's class archive if it is missing; None if this Java can't."""
    return _archive().make(_start_and_stop)


def _archive() -> ClassArchive:
    return ClassArchive(REGISTRY_DOWNLOAD, find_java())


def _start_and_stop(options: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="deltadrop-registry-") as temporary:
        process = _registry_process(Path(temporary).resolve(), free_port(), options)
        process.start()
        process.stop(ARCHIVE_TIMEOUT_S)


def _registry_process(home: Path, port: int, jvm_options: Sequence[str]) -> ServerProcess:
    temporary = home / "tmp"
    temporary.mkdir(exist_ok=True)
    command = [
        str(find_java()),
        "-Xmx512m",
        *jvm_options,
        f"-Djava.io.tmpdir={temporary}",
        f"-Dquarkus.http.host={HOST}",
        f"-Dquarkus.http.port={port}",
        f"-Dquarkus.management.host={HOST}",
        f"-Dquarkus.management.port={free_port()}",
        # Written to disk at once, so that a killed registry still has everything it acknowledged.
        f"-Dapicurio.datasource.url=jdbc:h2:file:{home / 'schemas'};WRITE_DELAY=0",
        "-jar",
        str(REGISTRY_DOWNLOAD.directory() / "quarkus-run.jar"),
    ]
    return ServerProcess(
        "schema registry",
        command,
        home / "registry.log",
        lambda logged: f"Listening on: http://{HOST}:{port}" in logged,
    )


def _set_default_compatibility(url: str) -> None:
    request = urllib.request.Request(
        f"{url}/config",
        method="PUT",
        data=json.dumps({"compatibility": _DEFAULT_COMPATIBILITY}).encode(),
        headers={"Content-Type": "application/vnd.schemaregistry.v1+json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        answer.read()
