"""What happens to a partition or topic in Kafka beside its clients: a wrong setting, a disk that
fails, a topic that is created again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from tests.faults.rig import create_topic, delete_topic

__all__ = ["create_again", "damage_on_disk", "producers_time"]

_SECONDS_UNTIL_GONE: Final = 1


@contextmanager
def producers_time(bootstrap_servers: str, topic: str) -> Iterator[None]:
    """Let a topic's records carry their producer's time meanwhile."""
    _set_time(bootstrap_servers, topic, "CreateTime")
    try:
        yield
    finally:
        _set_time(bootstrap_servers, topic, "LogAppendTime")


def _set_time(bootstrap_servers: str, topic: str, kind: str) -> None:
    entry = ConfigEntry("message.timestamp.type", kind, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    for changed in admin.incremental_alter_configs([resource]).values():
        changed.result()


def damage_on_disk(home: Path, topic: str, partition: int, content: bytes) -> None:
    """Change a bit of what a broker has of a partition, where `content` stands; home: its folder.

    A broker checks what is sent to it, not what it has.
    """
    (segment,) = home.rglob(f"{topic}-{partition}/00000000000000000000.log")
    place = segment.read_bytes().index(content)
    with segment.open("r+b") as file:
        file.seek(place)
        file.write(bytes([content[0] ^ 1]))


def create_again(bootstrap_servers: str, topic: str, partitions: int) -> None:
    """Delete a topic, and create it again."""
    delete_topic(bootstrap_servers, topic)
    time.sleep(_SECONDS_UNTIL_GONE)
    create_topic(bootstrap_servers, topic, partitions)
