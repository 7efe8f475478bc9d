"""Where an event is that isn't stored: among the dead letters, in Kafka and not stored yet, or
among what was passed over.

What can't be decoded is searched for the event's id as text, which is how Avro carries it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar
from uuid import UUID

from schemas.errors import DeltadropError
from sinks.setup import Sinks
from sinks.tracing.report import PassedOverTrace, TracedLetter, TracedRecord
from streams.dead_letters.read import Letter, LetterReader, identity_of
from streams.reading.records import moment_text
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
"""The rule that makes a dead letter of an event."""


@dataclass(frozen=True, slots=True)
class Unstored:
    """A record that no worker has stored yet; appended_at: UTC milliseconds."""

    topic: str
    partition: int
    offset: int
    appended_at: int


@dataclass(frozen=True, slots=True)
class PassedOverRecord:
    """A record that was passed over, why, by whom and when."""

    record: Unstored
    why: PassedOver


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Dead letters and records that carry an event's id. remarks: where it wasn't looked, and why
    not.
    """

    dead_letters: tuple[Letter, ...] = ()
    not_stored: tuple[Unstored, ...] = ()
    passed_over: tuple[PassedOverRecord, ...] = ()
    remarks: tuple[str, ...] = field(default=())

    @property
    def letters(self) -> tuple[TracedLetter, ...]:
        """The dead letters, for scripts."""
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
        """What was passed over, for scripts."""
        return tuple(
            PassedOverTrace(
                traced_record(lost.record), lost.why.reason, lost.why.by, lost.why.at, ONE_PLACE
            )
            for lost in self.passed_over
        )

    def __str__(self) -> str:
        """For people."""
        return "\n".join(self._lines())

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
    """Return a record as scripts get it."""
    return TracedRecord(
        record.topic, record.partition, record.offset, moment_text(record.appended_at)
    )


def look_elsewhere(sinks: Sinks, event_id: UUID, letters: LetterReader) -> Elsewhere:
    """Look for an event in the dead letters, and in what no worker has stored."""
    texts = (str(event_id), str(event_id).upper())
    remarks: list[str] = []
    dead = _tried("dead letters", lambda: _dead_letters(letters, texts), remarks)
    behind = _tried("what isn't stored", lambda: list(_unstored(sinks, texts)), remarks)
    over = _tried(
        "what was passed over", lambda: list(_passed_over(sinks, texts, remarks)), remarks
    )
    return Elsewhere(tuple(dead), tuple(behind), tuple(over), tuple(remarks))


def _tried(what: str, look: Callable[[], Sequence[_Found]], remarks: list[str]) -> Sequence[_Found]:
    """Look somewhere; where a server doesn't answer, remark it."""
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
    """Find records among what was passed over; remark where it may be and can't be looked for."""
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
    """The partitions that there are, with the last stable offset of each."""
    for name, identity in sorted(sinks.streams.kafka.existing(sinks.streams.topics).items()):
        for number, end in enumerate(sinks.offsets.ends(name, identity.partitions)):
            yield TopicPartition(name, identity.topic_id, number), end


def _found(
    sinks: Sinks, owner: TopicPartition, first: int, end: int, texts: Sequence[str]
) -> Iterator[Unstored]:
    """Find records in Kafka, as far as it has them still."""
    first = max(first, sinks.offsets.start(owner.topic, owner.partition))
    if first < end:
        for offset, appended_at in sinks.streams.range_reader.find(owner, first, end, texts):
            yield Unstored(owner.topic, owner.partition, offset, appended_at)
