"""Search for an event that isn't stored: among dead letters, in Kafka beyond what workers have
stored, and among offsets that were passed over.

Records that can't be decoded are searched for the event's id as text, since Avro carries it so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar
from uuid import UUID

from schemas.errors import DeltadropError
from schemas.one_line import joined
from sinks.setup import Sinks
from sinks.tracing.report import PassedOverTrace, TracedLetter, TracedRecord
from streams.dead_letters.read import Letter, LetterReader, identity_of
from streams.moments import moment_text
from streams.storage.coverage import PassedOver, tile
from streams.storage.layout import TopicPartition

__all__ = [
    "NOWHERE",
    "Elsewhere",
    "PassedOverRecord",
    "Unstored",
    "look_elsewhere",
    "traced_record",
]

_Found = TypeVar("_Found")

BAD_INPUT: Final = "SPEC §6, Bad input"
ONE_PLACE: Final = "SPEC §6, One trouble, one place"
"""SPEC's rules for dead letters (`BAD_INPUT`) and offsets that were passed over (`ONE_PLACE`)."""


@dataclass(frozen=True, slots=True)
class Unstored:
    """A record that no worker has stored yet; appended_at: UTC milliseconds."""

    topic: str
    partition: int
    offset: int
    appended_at: int


@dataclass(frozen=True, slots=True)
class PassedOverRecord:
    """A record that was passed over; `why` has the reason, the person and the time."""

    record: Unstored
    why: PassedOver


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Dead letters and records that carry an event's id. remarks: places that couldn't be searched,
    and why.
    """

    dead_letters: tuple[Letter, ...] = ()
    not_stored: tuple[Unstored, ...] = ()
    passed_over: tuple[PassedOverRecord, ...] = ()
    remarks: tuple[str, ...] = field(default=())

    @property
    def letters(self) -> tuple[TracedLetter, ...]:
        """Return the dead letters for `--json`."""
        return tuple(
            TracedLetter(
                record.origin,
                moment_text(record.appended_at),
                record.reason,
                BAD_INPUT,
                moment_text(record.replay.at) if record.replay else None,
            )
            for record in self.dead_letters
        )

    @property
    def passed_over_records(self) -> tuple[PassedOverTrace, ...]:
        """Return the records that were passed over for `--json`."""
        return tuple(
            PassedOverTrace(
                traced_record(lost.record), lost.why.reason, lost.why.by, lost.why.at, ONE_PLACE
            )
            for lost in self.passed_over
        )

    def __str__(self) -> str:
        """Return the text for people."""
        return joined(self._lines())

    def _lines(self) -> Iterator[str]:
        for letter in self.dead_letters:
            again = f", replayed {moment_text(letter.replay.at)}" if letter.replay else ""
            yield f"dead letter: {letter.origin}, appended {moment_text(letter.appended_at)}{again}"
            yield f"  {letter.reason}; `deltadrop dead-letters show {letter.origin}`"
            yield f"  counts as a dead letter in every export of its topic ({BAD_INPUT})"
        for record in self.not_stored:
            yield f"not stored yet: {_place(record)}"
            yield "  workers are behind: `deltadrop status`"
        for lost in self.passed_over:
            yield f"passed over: {_place(lost.record)}"
            yield f"  {_passed_over_text(lost.why)}; it is in no drop ({ONE_PLACE})"
        yield from self.remarks


NOWHERE = Elsewhere()


def _place(record: Unstored) -> str:
    place = f"{record.topic}/{record.partition}, offset {record.offset}"
    return f"{place}, appended {moment_text(record.appended_at)}"


def _passed_over_text(why: PassedOver) -> str:
    return f"at {why.at} by {why.by}: {why.reason}"


def traced_record(record: Unstored) -> TracedRecord:
    """Return a record for `--json`."""
    return TracedRecord(
        record.topic, record.partition, record.offset, moment_text(record.appended_at)
    )


def look_elsewhere(sinks: Sinks, event_id: UUID, letters: LetterReader) -> Elsewhere:
    """Search for an event in the dead letters, and in records that no worker has stored."""
    texts = (str(event_id), str(event_id).upper())
    remarks: list[str] = []
    dead = _tried("dead letters", lambda: _dead_letters(letters, texts), remarks)
    behind = _tried("what isn't stored", lambda: list(_unstored(sinks, texts)), remarks)
    over = _tried(
        "what was passed over", lambda: list(_passed_over(sinks, texts, remarks)), remarks
    )
    return Elsewhere(tuple(dead), tuple(behind), tuple(over), tuple(remarks))


def _tried(what: str, look: Callable[[], Sequence[_Found]], remarks: list[str]) -> Sequence[_Found]:
    """Search one place; if a server doesn't answer, add a remark."""
    try:
        return look()
    except DeltadropError as error:
        remarks.append(f"{what} can't be looked through now: {error}")
        return ()


def _dead_letters(letters: LetterReader, texts: Sequence[str]) -> list[Letter]:
    wanted = [text.encode() for text in texts]
    held = {
        identity_of(event)
        for event in letters.whole()
        if any(text in (event.value or b"") for text in wanted)
    }
    return [letter for letter in letters.letters() if letter.identity in held] if held else []


def _unstored(sinks: Sinks, texts: Sequence[str]) -> Iterator[Unstored]:
    for owner, end in _owners(sinks):
        for hole in tile(sinks.streams.partitions.coverage(owner), 0, end).holes:
            yield from _found(sinks, owner, hole.first, hole.next, texts)


def _passed_over(
    sinks: Sinks, texts: Sequence[str], remarks: list[str]
) -> Iterator[PassedOverRecord]:
    """Find records among offsets that were passed over; add a remark if a search fails."""
    partitions = sinks.streams.partitions
    for owner, _ in _owners(sinks):
        for path in partitions.coverage(owner):
            why = partitions.record(path).passed_over if path.is_passed_over else None
            if why is None:
                continue
            try:
                for record in _found(sinks, owner, path.first, path.next, texts):
                    yield PassedOverRecord(record, why)
            except DeltadropError as error:
                where = f"{owner.topic}/{owner.partition}"
                offsets = f"offsets {path.first} to {path.next} of {where}"
                remarks.append(
                    f"{offsets} were passed over {_passed_over_text(why)}; it may be among them,"
                    f" which can't be looked through: {error.reason(described=where)}"
                )


def _owners(sinks: Sinks) -> Iterator[tuple[TopicPartition, int]]:
    """Yield the existing partitions, with the last stable offset of each."""
    for name, identity in sorted(sinks.streams.kafka.existing(sinks.streams.topics).items()):
        for number, end in enumerate(sinks.offsets.ends(name, identity.partitions)):
            yield TopicPartition(name, identity.topic_id, number), end


def _found(
    sinks: Sinks, owner: TopicPartition, first: int, end: int, texts: Sequence[str]
) -> Iterator[Unstored]:
    """Find records in Kafka, as far as it still has them."""
    first = max(first, sinks.offsets.start(owner.topic, owner.partition))
    if first < end:
        for offset, appended_at in sinks.streams.range_reader.find(owner, first, end, texts):
            yield Unstored(owner.topic, owner.partition, offset, appended_at)
