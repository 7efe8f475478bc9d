"""An installation for a test: its own topics on the session's servers, and batches of a moment."""

from datetime import UTC, datetime
from typing import Any

from deploy.demo.workspace import settings_of_one_machine
from deploy.parts import KafkaBroker, SchemaRegistry


def own_prefix(name: str) -> str:
    """A prefix for the topics of one test."""
    return f"{name}-{datetime.now(UTC):%H%M%S%f}"


def site_settings(
    kafka: KafkaBroker, registry: SchemaRegistry, prefix: str, partitions: int = 1, **worker: Any
) -> dict[str, Any]:
    """Settings as a file has them; `worker` adds to the worker's."""
    settings = settings_of_one_machine(
        kafka.bootstrap_servers, registry.url, prefix, batch_seconds=0.5, delay=0.5
    )
    settings["kafka"]["partitions"] = partitions
    settings["worker"] |= worker
    settings["close"]["wait_seconds"] = 90
    return settings
