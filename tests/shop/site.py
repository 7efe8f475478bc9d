"""An installation for a test: its own topics on the session's servers, and batches of a moment."""

from datetime import UTC, datetime
from typing import Any

from deploy.parts import KafkaBroker, SchemaRegistry


def own_prefix(name: str) -> str:
    """A prefix for the topics of one test."""
    return f"{name}-{datetime.now(UTC):%H%M%S%f}"


def site_settings(
    kafka: KafkaBroker, registry: SchemaRegistry, prefix: str, partitions: int = 1, **worker: Any
) -> dict[str, Any]:
    """Settings as a file has them; `worker` adds to the worker's."""
    return {
        "kafka": {
            "bootstrap_servers": kafka.bootstrap_servers,
            "topic_prefix": prefix,
            "partitions": partitions,
            "replication_factor": 1,
            "min_insync_replicas": 1,
        },
        "registry": {"url": registry.url},
        "worker": {"group": prefix, "batch_seconds": 0.5, **worker},
        "close": {"delay_seconds": 0.5, "wait_seconds": 90},
    }
