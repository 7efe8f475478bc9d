"""The command `worker`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import structlog
import typer

from schemas.settings.settings import load_settings
from streams.reading.gather import Limits
from streams.serving import served
from streams.setup import Streams
from streams.worker import Worker, WorkerOptions

__all__ = ["worker"]

log = structlog.get_logger(__name__)


def worker(
    config: Annotated[Path | None, typer.Option(help="The settings' file.")] = None,
) -> None:
    """Store events from Kafka in daily partitions, until SIGTERM.

    The log goes to stderr: as JSON lines, or as text on a terminal. Exits with 0 after SIGTERM,
    1 if it can't go on (nothing is lost), 2 for wrong definitions. Serves metrics and health if
    `observe.worker_port` is set.
    """
    settings = load_settings(config)
    if open_folders := settings.warning_of_root:
        log.warning("folders open to all", why=open_folders)
    streams = Streams.of(settings)
    own = settings.worker
    options = WorkerOptions(
        settings.kafka,
        own.group,
        Limits(own.batch_bytes, own.batch_seconds, own.max_bytes_in_flight),
        own.session_timeout_seconds,
    )
    storing = Worker(options, streams.writers, streams.kafka)
    observe = settings.observe
    with served(storing.metrics, observe.host, observe.worker_port, "observe.worker_port"):
        storing.run()
