"""Build the manifest of a drop from what its close decided, selected and rendered (SPEC §7)."""

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
from sinks.ledger.intent import Intent
from sinks.ledger.revision import Revision
from sinks.rendering.layout import Rendered
from sinks.wording import counted

__all__ = ["manifest_of"]

_SHOWN: Final = 3
"""The most rows that a warning names."""


def manifest_of(
    export: Export,
    intent: Intent,
    name: str,
    selected: Selected,
    rendered: Rendered,
    revision: Revision | None,
    released: Released | None,
) -> Manifest:
    """Return the manifest of a drop.

    name: the name of its file. revision: the revision that the drop is; None for the drop of the
    close.
    """
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
    """Return what the drop lacks; None if nothing.

    These are offsets whose loss a person accepted, and offsets of its window that were passed over.
    """
    lost = list(lost_of_intent(intent)) if intent.loss else []
    over = [passed for passed in passed_over if passed.in_window]
    lost += [passed.span for passed in over]
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
    reasons = [*([intent.loss] if intent.loss else []), *(passed.why.reason for passed in over)]
    return LostEntry(offsets=offsets, reason="; ".join(dict.fromkeys(reasons)))


def _passed_over(passed: PassedSpan) -> str:
    """Warn of offsets that were passed over."""
    span = passed.span
    offsets = f"offsets {span.first} to {span.next}"
    where = f"{span.partition.topic}/{span.partition.partition}"
    if passed.in_window:
        return f"{offsets} of {where} are in the window, and were passed over: {passed.why.reason}"
    return f"the state is without {offsets} of {where}, which were passed over: {passed.why.reason}"


def _of_what_was_read(intent: Intent) -> Iterator[str]:
    """Warn of what was found when the drop was decided, and of lost offsets in its state.

    The latter are offsets that an earlier window lost and that this window's state should have.
    """
    yield from intent.warnings
    for span in () if intent.loss else lost_of_intent(intent):
        where = f"{span.partition.topic}/{span.partition.partition}"
        yield f"the state is without offsets {span.first} to {span.next} of {where}, which are lost"


def _rows_taken_out(intent: Intent) -> Iterator[str]:
    """Warn of rows of the window that a person has taken out, as they can't be read (SPEC §6)."""
    bounds = intent.window
    places = [
        f"offset {row.offset} of {row.partition.topic}/{row.partition.partition}"
        for row in intent.taken_out
        if (within := bounds.get(row.partition.topic, {}).get(row.partition.partition))
        and within[0] <= row.offset < within[1]
    ]
    if places:
        few = ", ".join(places[:_SHOWN])
        named = few if len(places) <= _SHOWN else f"{few} and {len(places) - _SHOWN:,} more"
        singular, plural = "row that can't be read was", "rows that can't be read were"
        yield f"{counted(len(places), singular, plural)} taken out: {named}"


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
