"""Start Kafka and the schema registry, print their addresses, and wait for Ctrl-C.

``python -m deploy.parts`` runs them; ``python -m deploy.parts --download`` only downloads what they
need, and makes their class archives, so that later starts are quick.
"""

import argparse
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TypeVar

from deploy.parts.containers import daemon_answers
from deploy.parts.errors import PartError
from deploy.parts.gateway import gateway_binary
from deploy.parts.kafka import BOOTSTRAP_VARIABLE, KAFKA_DOWNLOAD, make_kafka_archive, running_kafka
from deploy.parts.process import Server
from deploy.parts.registry import (
    REGISTRY_DOWNLOAD,
    URL_VARIABLE,
    make_registry_archive,
    running_registry,
)

_Part = TypeVar("_Part", bound=Server)


def main() -> int:
    """Run the command; return 1, and print the reason, if a part isn't available."""
    parser = argparse.ArgumentParser(prog="python -m deploy.parts", description=__doc__)
    parser.add_argument("--download", action="store_true", help="only fetch and prepare the jars")
    parser.add_argument("--download-gateway", action="store_true", help="only build the S3 gateway")
    parser.add_argument("--directory", type=Path, help="keep logs and data in this folder")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if arguments.download:
            _download()
        elif arguments.download_gateway:
            print(f"versitygw: {gateway_binary()}")
        else:
            _run(arguments.directory)
    except PartError as error:
        print(f"deploy.parts: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
    return 0


def _download() -> None:
    if daemon_answers():
        return
    for download in (KAFKA_DOWNLOAD, REGISTRY_DOWNLOAD):
        print(f"{download.name}: {download.directory()}")
    for make_archive in (make_kafka_archive, make_registry_archive):
        try:
            print(f"class archive: {make_archive() or 'none; this Java makes none'}")
        except PartError as error:
            print(f"deploy.parts: starts will be slower: {error}", file=sys.stderr)


@contextmanager
def _started(name: str, part: AbstractContextManager[_Part]) -> Iterator[_Part]:
    """Say on stderr that a part starts, and when it is up."""
    print(f"starting {name}; this may take 40 s", file=sys.stderr, flush=True)
    began = time.monotonic()
    with part as running:
        log = f"; its log: {running.log}" if running.log else ""
        print(f"{name} is up after {time.monotonic() - began:.0f} s{log}", file=sys.stderr)
        yield running


def _run(directory: Path | None) -> None:
    kafka_home = directory / "kafka" if directory else None
    registry_home = directory / "registry" if directory else None
    with (
        _started("Kafka", running_kafka(kafka_home)) as kafka,
        _started("the schema registry", running_registry(registry_home)) as registry,
    ):
        print(f"export {BOOTSTRAP_VARIABLE}={kafka.bootstrap_servers}")
        print(f"export {URL_VARIABLE}={registry.url}", flush=True)
        print("Ctrl-C stops both", file=sys.stderr)
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    raise SystemExit(main())
