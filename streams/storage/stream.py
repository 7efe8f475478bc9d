"""Streams: named filters of one topic's events, by event type and source.

Built-in streams, one for each topic and event type, store every event. Users add streams in YAML or
as entry points of the group `deltadrop.streams`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from schemas.events import KINDS
from schemas.topics import Topic
from streams.storage.coverage import Fingerprint

if TYPE_CHECKING:
    import pyarrow as pa

Transform: TypeAlias = "Callable[[pa.RecordBatch], pa.RecordBatch]"
"""A function of an entry point that gets rows and returns rows. Columns may change, but
`_partition`, `_offset` and `_appended_at` must stay.
"""


@dataclass(frozen=True, slots=True)
class Stream:
    """A named filter: `topic`'s events of these types from these sources (empty: all).

    transform: applied to the rows that pass. version: that of the transform. It is part of the
    fingerprint, as functions can't be compared.
    """

    name: str
    topic: str
    event_types: frozenset[str] = frozenset()
    sources: frozenset[str] = frozenset()
    transform: Transform | None = None
    version: str = ""

    @property
    def fingerprint(self) -> Fingerprint:
        """Hash of all that decides which rows the stream holds."""
        function = (
            f"{self.transform.__module__}.{self.transform.__qualname__}" if self.transform else ""
        )
        definition = [
            self.name,
            self.topic,
            sorted(self.event_types),
            sorted(self.sources),
            function,
            self.version,
        ]
        return hashlib.sha256(json.dumps(definition).encode()).hexdigest()[:16]


def builtin_name(topic: Topic, event_type: str) -> str:
    """Return the name of the built-in stream of an event type: `shop.email-activity.OPENED`."""
    return f"{topic.local}.{event_type}"


def builtin_streams(topics: Iterable[Topic]) -> tuple[Stream, ...]:
    """Return the built-in streams of these topics; each event is in exactly one of them."""
    return tuple(
        Stream(builtin_name(topic, event_type), topic.name, frozenset({event_type}))
        for topic in topics
        for event_type in KINDS[topic.kind].event_types
    )
