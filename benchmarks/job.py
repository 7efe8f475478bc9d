"""The job of every system: e-mail activities from Kafka, filtered, into Parquet files."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from schemas.events import EventType, Kind, Source
from schemas.topics import Topic

TOPIC: Final = Topic(Kind.EMAIL_ACTIVITY, "shop", prefix="bench")
EVENT_TYPES: Final = frozenset({EventType.OPENED.value, EventType.CLICKED.value})
SOURCES: Final = frozenset({Source.AUTOMATION.value, Source.API.value})
PARTITIONS: Final = 6  # deltadrop's own default for a topic


@dataclass(frozen=True, slots=True)
class Job:
    """What one run of one system does.

    events: the clock stops when so many events are in finished files (or filtered out before them).
    batch_events: events that make a file; batch_bytes: the same in bytes of records.
    output: folder of the files; result: the file to write the outcome to.
    """

    bootstrap_servers: str
    registry_url: str
    group: str
    events: int
    batch_events: int
    batch_bytes: int
    output: Path
    result: Path

    def to_json(self) -> str:
        """Serialise for the command line of a run."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> Job:
        """Read back what `to_json` wrote."""
        fields = json.loads(text)
        paths = {name: Path(fields[name]) for name in ("output", "result")}
        return cls(**{**fields, **paths})
