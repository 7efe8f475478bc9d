"""Ten lines of an export as they would come out now (SPEC §4 "Preview"); nothing is recorded.

A preview is decided like a close, but from stored data only (`stored`): neither Kafka nor the
registry is needed. The window begins at the export's last finished close, or else a day before now.
It ends where coverage ends, at the first hole.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from schemas.json_result import JsonResult
from schemas.one_line import joined
from sinks.authoring.stored import AsCovered, StoredCuts
from sinks.closing.completeness import Lag
from sinks.closing.running import foreseen
from sinks.exports.export import Export
from sinks.ledger.chain import read_chain
from sinks.ledger.intent import Intent
from sinks.rendering.excerpt import LINES, excerpt
from sinks.rendering.zones import zone
from sinks.rules.outcome import Outcome
from sinks.setup import Sinks
from streams.moments import moment_of
from streams.storage.layout import TopicPartition
from streams.storage.partitions import Partitions

__all__ = ["LINES", "LookedAtSpan", "Preview", "preview_of"]


@dataclass(frozen=True, slots=True)
class LookedAtSpan(JsonResult):
    """Offsets `[first, next)` of the export's own topic that the preview read."""

    topic: str
    """The topic."""
    partition: int
    """The partition."""
    first: int
    """Where the window begins."""
    next: int
    """Where the window ends: the preview read the partition up to here."""


@dataclass(frozen=True, slots=True)
class Preview(JsonResult):
    """The lines that would come out now."""

    export: str
    """The export."""
    window_start: str
    """Where the window begins, in the time zone of the export."""
    instant: str
    """Where the window would end: now."""
    stored_until: str | None
    """When the last record that the preview read came to Kafka; null without one."""
    text: str
    """The header and the first lines, as they would be written."""
    shown: int
    """How many lines are shown."""
    lines: int
    """How many lines there would be."""
    looked_at: tuple[LookedAtSpan, ...]
    """The offsets that the preview read."""
    remarks: tuple[str, ...]
    """What isn't stored, and warnings that a receiver would get."""

    @property
    def notes(self) -> str:
        """The remarks beside the lines, for people."""
        since = f"since {self.window_start}"
        if self.stored_until is None:
            return joined([f"nothing is stored {since}", *self.remarks])
        shown = f"{self.shown:,} of {self.lines:,} lines" if self.lines else "no line"
        until = f"as far as stored: until {self.stored_until}"
        return joined([f"{shown} {since}, {until}", *self.remarks])


def preview_of(sinks: Sinks, export: Export, now: dt.datetime) -> Preview:
    """Return an export's preview at a moment; nothing is changed.

    Raises HeldError if the topic was created again since the last close, or if stored data can't be
    read.
    """
    with foreseen(export.name, now):
        return _preview_of(sinks, export, now)


def _preview_of(sinks: Sinks, export: Export, now: dt.datetime) -> Preview:
    instant = now.replace(microsecond=now.microsecond // 1000 * 1000)
    closer, coverage = sinks.closer, AsCovered(sinks.streams)
    cuts = StoredCuts(sinks, instant)
    intentions = replace(
        closer.intentions,
        planner=replace(closer.intentions.planner, cuts=cuts),
        completeness=coverage,
    )
    chain = read_chain(sinks.ledger, export).finished()
    intent = intentions.decide(chain.link(instant), _nothing)
    with closer.maker.selection.select(intent, export) as selected:
        text, rendered = excerpt(selected.lines, export.layout)
        remarks = [
            *cuts.remarks,
            *coverage.remarks,
            *intent.warnings,
            *rendered.warnings,
            *selected.warnings,
        ]
        exported = selected.outcomes.get(Outcome.EXPORTED, 0)
    return Preview(
        export=export.name,
        window_start=_local(intent.window_start, export),
        instant=_local(instant, export),
        stored_until=_stored_until(sinks.streams.partitions, intent, export),
        text=text,
        shown=rendered.rows,
        lines=exported,
        looked_at=tuple(_looked_at(intent)),
        remarks=tuple(dict.fromkeys(remarks)),
    )


def _looked_at(intent: Intent) -> Iterator[LookedAtSpan]:
    for topic, partitions in intent.window.items():
        for partition, (first, end) in sorted(partitions.items()):
            yield LookedAtSpan(topic, partition, first, end)


def _stored_until(partitions: Partitions, intent: Intent, export: Export) -> str | None:
    """Return when the last record of the window came to Kafka, as far as coverage records show."""
    times = [
        appended[1]
        for choice in intent.choices
        for piece in choice.tiling.tiles
        for first, end in [_bounds(intent, choice.partition)]
        if piece.first < end and piece.next > first
        if (appended := partitions.record(piece.record).appended)
    ]
    if not times:
        return None
    return _local(moment_of(max(times)), export)


def _bounds(intent: Intent, owner: TopicPartition) -> tuple[int, int]:
    """Return a partition's offsets in the window; none if its topic only feeds the state."""
    return intent.window.get(owner.topic, {}).get(owner.partition, (0, 0))


def _local(moment: dt.datetime, export: Export) -> str:
    return moment.astimezone(zone(export.zone_name)).isoformat(sep=" ", timespec="seconds")


def _nothing(_: Sequence[Lag]) -> None:
    """Ignore lags: a preview doesn't wait."""
