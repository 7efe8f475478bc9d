"""The command `worker`."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated

import structlog
import typer

from schemas.settings import load_settings
from streams.gather import Limits
from streams.setup import Streams
from streams.worker import Worker, WorkerOptions

__all__ = ["worker"]


def worker(
    config: Annotated[Path | None, typer.Option(help="The settings' file.")] = None,
) -> None:
    """Store events from Kafka in daily partitions, until SIGTERM.

    What it does goes to stderr: as JSON lines, or as text on a terminal. Exits with 0 after
    SIGTERM, 1 if something kept it from going on (nothing is lost), 2 for wrong definitions.
    """
    settings = load_settings(config)
    streams = Streams.of(settings)
    own = settings.worker
    options = WorkerOptions(
        settings.kafka.bootstrap_servers,
        own.group,
        Limits(own.batch_bytes, own.batch_seconds, own.max_bytes_in_flight),
        own.session_timeout_seconds,
    )
    log_to_stderr()
    Worker(options, streams.writers, streams.kafka).run()


def log_to_stderr() -> None:
    """Send our log and that of the libraries to stderr, a line an event."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer()]
        if sys.stderr.isatty()
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[remove, *last])
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
