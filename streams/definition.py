"""Streams that users define: filters in YAML files, and entry points of `deltadrop.streams`.

```yaml
stream: shop.clicks-by-api        # its name, and the name of the folder of its files
topic: shop.email-activity        # without the common prefix of all topics
event_types: [CLICKED]            # default: all
sources: [API, EXTERNAL]          # single sources or groups; default: all
```

An entry point is a Stream, or a function without arguments that returns a Stream or several.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, StringConstraints

from schemas.definitions.definitions import Faults, Loaded, choices, load_yaml_models
from schemas.definitions.patterns import FOLDER_PATTERN
from schemas.errors import DefinitionError, Fault
from schemas.events import KINDS, SOURCE_GROUPS, EventType, Source, SourceGroup
from schemas.topics import Topic
from streams.storage.stream import Stream, builtin_streams

__all__ = ["StreamDefinition", "user_streams"]

ENTRY_POINTS: Final = "deltadrop.streams"


class StreamDefinition(BaseModel):
    """A stream as a YAML file defines it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stream: Annotated[str, StringConstraints(pattern=FOLDER_PATTERN, max_length=100)]
    topic: str
    event_types: tuple[EventType, ...] = ()
    sources: tuple[Source | SourceGroup, ...] = ()

    def of(self, topic: Topic) -> Stream:
        """The stream that this defines; topic: the topic that `self.topic` names."""
        return Stream(
            self.stream,
            topic.name,
            frozenset(event_type.value for event_type in self.event_types),
            frozenset(member.value for source in self.sources for member in _members(source)),
        )


def _members(source: Source | SourceGroup) -> frozenset[Source]:
    return SOURCE_GROUPS[source] if isinstance(source, SourceGroup) else frozenset({source})


def user_streams(folder: Path, topics: Iterable[Topic]) -> Mapping[str, Sequence[Stream]]:
    """Load users' streams by topic name, from a folder of YAML files and from entry points.

    The folder needn't exist. Raises DefinitionError: first with the faults of all files; then with
    all wrong names, topics and event types. An entry point that can't be loaded is raised alone.
    """
    by_local = {topic.local: topic for topic in topics}
    taken = {stream.name: "a built-in stream" for stream in builtin_streams(by_local.values())}
    faults = Faults()
    found: dict[str, list[Stream]] = {topic.name: [] for topic in by_local.values()}
    loaded = load_yaml_models(folder, StreamDefinition, "stream") if folder.exists() else ()
    made = [*_of_files(loaded, by_local, faults), *_of_entry_points(found, faults)]
    for stream, where in made:
        if stream.name in taken:
            faults.add(where, f"stream '{stream.name}': the name is taken by {taken[stream.name]}")
        taken[stream.name] = where
        found[stream.topic].append(stream)
    faults.raise_if_any()
    return found


def _of_files(
    loaded: Iterable[Loaded[StreamDefinition]], topics: Mapping[str, Topic], faults: Faults
) -> Iterable[tuple[Stream, str]]:
    for document in loaded:
        definition = document.model
        topic = topics.get(definition.topic)
        if topic is None:
            faults.add(
                document.where("topic"),
                f"field 'topic': there is no topic '{definition.topic}'",
                choices(definition.topic, sorted(topics)),
            )
            continue
        valid = KINDS[topic.kind].event_types
        for event_type in definition.event_types:
            if event_type not in valid:
                faults.add(
                    document.where("event_types"),
                    f"field 'event_types': {topic.kind} has no {event_type}",
                    choices(event_type, list(valid)),
                )
        yield definition.of(topic), document.where("stream")


def _of_entry_points(topics: Iterable[str], faults: Faults) -> Iterable[tuple[Stream, str]]:
    for point in entry_points(group=ENTRY_POINTS):
        where = f"entry point '{point.name}' of {ENTRY_POINTS}"
        try:
            given = point.load()
            made = given() if callable(given) else given
        except Exception as error:
            raise DefinitionError(
                [Fault(where, f"{point.value} can't be loaded: {error!r}")]
            ) from error
        for stream in [made] if isinstance(made, Stream) else made:
            if stream.topic in topics:
                yield stream, where
            else:
                faults.add(where, f"stream '{stream.name}': there is no topic '{stream.topic}'")
