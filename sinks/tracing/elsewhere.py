"""Where an event is that isn't stored: among the dead letters, or in Kafka and not stored yet.

What can't be decoded is searched for the event's id as text, which is how Avro carries it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar
from uuid import UUID

from schemas.errors import DeltadropError
from sinks.setup import Sinks
from streams.coverage import tile
from streams.dead_letters_read import Letter, LetterReader, identity_of
from streams.layout import TopicPartition
from streams.records import moment_text

__all__ = ["NOWHERE", "Elsewhere", "Unstored", "look_elsewhere"]

_Found = TypeVar("_Found")

BAD_INPUT: Final = "SPEC §6, Bad input"
"""The rule that makes a dead letter of an event."""


@dataclass(frozen=True, slots=True)
class Unstored:
    """A record that no worker has stored yet; appended_at: UTC milliseconds."""

    topic: str
    partition: int
    offset: int
    appended_at: int


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Dead letters and records that carry an event's id. remarks: where it wasn't looked, and why
    not.
    """

    dead_letters: tuple[Letter, ...] = ()
    not_stored: tuple[Unstored, ...] = ()
    remarks: tuple[str, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """Its fields, for scripts."""
        letters = [
            {
                "origin": one.origin,
                "appended_at": moment_text(one.appended_at),
                "reason": one.reason,
                "rule": BAD_INPUT,
                "replayed_at": moment_text(one.replay.at) if one.replay else None,
            }
            for one in self.dead_letters
        ]
        unstored = [
            {
                "topic": one.topic,
                "partition": one.partition,
                "offset": one.offset,
                "appended_at": moment_text(one.appended_at),
            }
            for one in self.not_stored
        ]
        return {"dead_letters": letters, "not_stored": unstored, "remarks": list(self.remarks)}

    def __str__(self) -> str:
        """For people."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        for letter in self.dead_letters:
            again = f", replayed {moment_text(letter.replay.at)}" if letter.replay else ""
            yield f"dead letter: {letter.origin}, appended {moment_text(letter.appended_at)}{again}"
            yield f"  {letter.reason}; `deltadrop dead-letters show {letter.origin}`"
            yield f"  counts as a dead letter in every export of its topic ({BAD_INPUT})"
        for one in self.not_stored:
            place = f"{one.topic}/{one.partition}, offset {one.offset}"
            yield f"not stored yet: {place}, appended {moment_text(one.appended_at)}"
            yield "  workers are behind: `deltadrop status`"
        yield from self.remarks


NOWHERE = Elsewhere()


def look_elsewhere(sinks: Sinks, event_id: UUID, letters: LetterReader) -> Elsewhere:
    """Look for an event in the dead letters, and in what no worker has stored."""
    texts = (str(event_id), str(event_id).upper())
    remarks: list[str] = []
    dead = _tried("dead letters", lambda: _dead_letters(letters, texts), remarks)
    behind = _tried("what isn't stored", lambda: list(_unstored(sinks, texts)), remarks)
    return Elsewhere(tuple(dead), tuple(behind), tuple(remarks))


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
    return [one for one in letters.letters() if one.identity in held] if held else []


def _unstored(sinks: Sinks, texts: Sequence[str]) -> Iterator[Unstored]:
    streams = sinks.streams
    for name, identity in sorted(streams.kafka.identities(streams.topics).items()):
        for number, end in enumerate(sinks.offsets.ends(name, identity.partitions)):
            owner = TopicPartition(name, identity.topic_id, number)
            holes = tile(streams.partitions.coverage(owner), 0, end).holes
            if not holes:
                continue
            start = sinks.offsets.start(name, number)
            for hole in (one for one in holes if one.next > start):
                first = max(hole.first, start)
                for offset, appended_at in streams.range_reader.find(
                    owner, first, hole.next, texts
                ):
                    yield Unstored(name, number, offset, appended_at)
