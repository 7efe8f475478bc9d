"""What a trace prints with `--json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from schemas.json_result import JsonResult

__all__ = [
    "ExportTrace",
    "PassedOverTrace",
    "TraceReport",
    "TracedEvent",
    "TracedLetter",
    "TracedRecord",
    "TracedTakeOut",
]


@dataclass(frozen=True, slots=True)
class TracedTakeOut(JsonResult):
    """That a row was taken out, as it can't be read."""

    reason: str
    """Why."""
    taken_out_at: str
    """When."""
    columns: tuple[str, ...]
    """The columns that can't be read."""


@dataclass(frozen=True, slots=True)
class ExportTrace(JsonResult):
    """What came of an event in an export that it feeds."""

    export: str
    """The export."""
    outcome: str
    """An outcome of the balance, or why there is none yet."""
    begin: str | None
    """Where the window begins that the event is in."""
    end: str | None
    """Where it ends; where it isn't closed, then at the earliest."""
    close: str | None
    """The close that judged it last."""
    drop: str | None
    """The id of the drop of that close."""
    file: str | None
    """The file that has its line."""
    line: int | None
    """The line in the file, the header being 1; only where it was counted."""
    rule: str | None
    """The rule of the specification that gives the outcome, by its name there."""
    why: str | None
    """What the rule found."""
    by: str | None
    """The topic, partition and offset of the record that the rule speaks of."""


@dataclass(frozen=True, slots=True)
class TracedEvent(JsonResult):
    """A stored event."""

    event_id: str
    """The event's id."""
    topic: str
    """The topic."""
    topic_id: str
    """The topic's id: another where it was created again."""
    partition: int
    """The partition."""
    offset: int
    """The offset."""
    appended_at: str
    """When it came to Kafka."""
    event_type: str
    """Its event type."""
    source: str
    """Its source."""
    occurred_at: str | None
    """When it occurred; null where that can't be read."""
    ids: Mapping[str, int]
    """The ids that it names, each under the name of its field, as profileId."""
    files: tuple[str, ...]
    """The files that hold it, relative to the root."""
    taken_out: TracedTakeOut | None
    """That its row was taken out, if so."""
    exports: tuple[ExportTrace, ...]
    """What came of it in each export that it feeds."""

    JSON_INLINE = ("ids",)


@dataclass(frozen=True, slots=True)
class TracedLetter(JsonResult):
    """A dead letter that carries the event's id."""

    origin: str
    """Where it stood: topic, partition and offset."""
    appended_at: str
    """When it came to Kafka."""
    reason: str
    """Why it was refused."""
    rule: str
    """The rule of the specification that made a dead letter of it."""
    replayed_at: str | None
    """When it was replayed; null where it wasn't."""


@dataclass(frozen=True, slots=True)
class TracedRecord(JsonResult):
    """A record of Kafka that carries the event's id."""

    topic: str
    """The topic."""
    partition: int
    """The partition."""
    offset: int
    """The offset."""
    appended_at: str
    """When it came to Kafka."""


@dataclass(frozen=True, slots=True)
class PassedOverTrace(JsonResult):
    """Such a record that was passed over."""

    record: TracedRecord
    """The record."""
    reason: str
    """Why it was passed over."""
    by: str
    """Who did."""
    at: str
    """When."""
    rule: str
    """The rule of the specification that allows it."""

    JSON_INLINE = ("record",)


@dataclass(frozen=True, slots=True)
class TraceReport(JsonResult):
    """Where events went."""

    events: tuple[TracedEvent, ...]
    """The stored events, by time of append."""
    dead_letters: tuple[TracedLetter, ...]
    """Dead letters that carry the event's id, where it isn't stored."""
    not_stored: tuple[TracedRecord, ...]
    """Records that workers haven't stored yet."""
    passed_over: tuple[PassedOverTrace, ...]
    """Records that were passed over."""
    remarks: tuple[str, ...]
    """Where it wasn't looked, and why not."""
