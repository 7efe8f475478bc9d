"""The job of every system: e-mail activities from Kafka, filtered, into Parquet files."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from schemas.events import EventType, Kind, Source
from schemas.topics import Topic

DATABASE: Final = "shop"
EVENT_TYPES: Final = frozenset({EventType.OPENED.value, EventType.CLICKED.value})
SOURCES: Final = frozenset({Source.AUTOMATION.value, Source.API.value})
PARTITIONS: Final = 6  # deltadrop's own default for a topic


def activities(prefix: str) -> Topic:
    """The topic of the shop's e-mail activities under a prefix: one for each command."""
    return Topic(Kind.EMAIL_ACTIVITY, DATABASE, prefix=prefix)


@dataclass(frozen=True, slots=True)
class Job:
    """What one run of one system does.

    topic_prefix: that of the topic, which is the same for all systems.
    events: the clock stops when so many events are in finished files (or filtered out before them).
    batch_events: events that make a file; batch_bytes: the same in bytes of records.
    output: folder of the files; result: the file to write the outcome to.
    """

    topic_prefix: str
    bootstrap_servers: str
    registry_url: str
    group: str
    events: int
    batch_events: int
    batch_bytes: int
    output: Path
    result: Path

    @property
    def topic(self) -> Topic:
        """The topic to read."""
        return activities(self.topic_prefix)

    def to_json(self) -> str:
        """Serialise for the command line of a run."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> Job:
        """Read back what `to_json` wrote."""
        fields = json.loads(text)
        paths = {name: Path(fields[name]) for name in ("output", "result")}
        return cls(**{**fields, **paths})
