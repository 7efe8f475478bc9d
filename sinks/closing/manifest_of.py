"""The manifest of a drop, from what its close decided, selected and rendered (SPEC §7)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from sinks.closing.losses import PassedSpan, lost_of_intent
from sinks.closing.selection import Selected
from sinks.drops.manifest import (
    Balance,
    LostEntry,
    Manifest,
    OffsetsEntry,
    Released,
    Window,
    columns_of,
    dialect_of,
    export_of,
    file_of,
)
from sinks.exports.export import Export
from sinks.ledger.ledger import Intent, Revision
from sinks.rendering.render import Rendered
from sinks.wording import counted

__all__ = ["manifest_of"]

_SHOWN: Final = 3
"""Rows that a warning names."""


def manifest_of(
    export: Export,
    intent: Intent,
    name: str,
    selected: Selected,
    rendered: Rendered,
    revision: Revision | None,
    released: Released | None,
) -> Manifest:
    """Tell what a drop holds. name: its file's; revision: the one that it is, if any."""
    outcomes = {outcome.label: number for outcome, number in selected.outcomes.items()}
    number = revision.number if revision else 0
    skipped = rendered.rows == 0 and export.definition.when_empty == "skip"
    compression = export.definition.file.compression
    return Manifest(
        drop=intent.drop_id,
        previous_drop=intent.previous_drop,
        export=export_of(export),
        window=Window.of(
            None if intent.initial else intent.window_start, intent.instant, export.zone_name
        ),
        file=None if skipped else file_of(name, number, rendered, compression),
        dialect=dialect_of(export),
        columns=columns_of(export),
        offsets=_offsets(intent),
        balance=Balance(input=selected.input, outcomes=outcomes),
        late_rows=selected.late,
        warnings=(
            *rendered.warnings,
            *selected.warnings,
            *_of_what_was_read(intent),
            *map(_passed_over, selected.passed_over),
            *_rows_taken_out(intent),
        ),
        reason=revision.reason if revision else None,
        released=released,
        lost=_lost(intent, selected.passed_over),
    )


def _lost(intent: Intent, passed_over: Sequence[PassedSpan]) -> LostEntry | None:
    """Tell what was lost: what a person let the drop go without, and what of its window was passed
    over.
    """
    lost = list(lost_of_intent(intent)) if intent.loss else []
    over = [one for one in passed_over if one.in_window]
    lost += [one.span for one in over]
    if not lost:
        return None
    offsets = tuple(
        OffsetsEntry(
            topic=span.partition.topic,
            topic_id=str(span.partition.topic_id),
            partition=span.partition.partition,
            first=span.first,
            next=span.next,
        )
        for span in lost
    )
    reasons = [*([intent.loss] if intent.loss else []), *(one.why.reason for one in over)]
    return LostEntry(offsets=offsets, reason="; ".join(dict.fromkeys(reasons)))


def _passed_over(one: PassedSpan) -> str:
    """Warn of offsets that were passed over."""
    span = one.span
    offsets = f"offsets {span.first} to {span.next}"
    where = f"{span.partition.topic}/{span.partition.partition}"
    if one.in_window:
        return f"{offsets} of {where} are in the window, and were passed over: {one.why.reason}"
    return f"the state is without {offsets} of {where}, which were passed over: {one.why.reason}"


def _of_what_was_read(intent: Intent) -> Iterator[str]:
    """Warn of what was known when the drop was decided, and of offsets that an earlier window lost
    and that this one's state would have read.
    """
    yield from intent.warnings
    for span in () if intent.loss else lost_of_intent(intent):
        where = f"{span.partition.topic}/{span.partition.partition}"
        yield f"the state is without offsets {span.first} to {span.next} of {where}, which are lost"


def _rows_taken_out(intent: Intent) -> Iterator[str]:
    """Warn of rows of the window that a person has taken out, as they can't be read (SPEC §6)."""
    bounds = intent.window
    places = [
        f"offset {one.offset} of {one.partition.topic}/{one.partition.partition}"
        for one in intent.taken_out
        if (within := bounds.get(one.partition.topic, {}).get(one.partition.partition))
        and within[0] <= one.offset < within[1]
    ]
    if places:
        few = ", ".join(places[:_SHOWN])
        named = few if len(places) <= _SHOWN else f"{few} and {len(places) - _SHOWN:,} more"
        one, many = "row that can't be read was", "rows that can't be read were"
        yield f"{counted(len(places), one, many)} taken out: {named}"


def _offsets(intent: Intent) -> tuple[OffsetsEntry, ...]:
    topic_ids = {choice.partition.topic: choice.partition.topic_id for choice in intent.choices}
    return tuple(
        OffsetsEntry(
            topic=topic,
            topic_id=str(topic_ids[topic]),
            partition=partition,
            first=first,
            next=end,
        )
        for topic, partitions in intent.window.items()
        for partition, (first, end) in sorted(partitions.items())
    )
