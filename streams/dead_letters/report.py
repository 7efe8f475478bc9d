"""What the commands `dead-letters` print with `--json`."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.json_result import JsonResult
from streams.dead_letters.read import Letter
from streams.dead_letters.replay import Replayed
from streams.dead_letters.show import Shown
from streams.moments import moment_text

__all__ = [
    "LetterEntry",
    "LetterList",
    "LetterReplays",
    "ReplayEntry",
    "ShownLetter",
    "ShownLetters",
]


@dataclass(frozen=True, slots=True)
class ReplayEntry(JsonResult):
    """A replay of a dead letter."""

    at: str
    """When."""
    partition: int
    """The partition where the event stands now."""
    offset: int
    """Its offset there."""


@dataclass(frozen=True, slots=True)
class LetterEntry(JsonResult):
    """A dead letter without its value."""

    topic: str
    """The topic in which the event stood."""
    partition: int
    """The partition."""
    offset: int
    """The offset."""
    appended_at: str
    """When it came to Kafka."""
    reason: str
    """Why it was refused."""
    size: int
    """Bytes of the value."""
    replay: ReplayEntry | None
    """Its replay; null where there was none."""
    is_part: bool
    """Whether the letter has only a part of the value."""
    origin: str
    """Where it stood: TOPIC/PARTITION/OFFSET."""

    @classmethod
    def of(cls, letter: Letter) -> LetterEntry:
        """Take over a letter."""
        replay = letter.replay
        return cls(
            letter.topic,
            letter.partition,
            letter.offset,
            moment_text(letter.appended_at),
            letter.reason,
            letter.size,
            ReplayEntry(moment_text(replay.at), replay.partition, replay.offset)
            if replay
            else None,
            letter.is_part,
            letter.origin,
        )


@dataclass(frozen=True, slots=True)
class LetterList(JsonResult):
    """Dead letters."""

    dead_letters: tuple[LetterEntry, ...]
    """The dead letters, by the time of their append."""


@dataclass(frozen=True, slots=True)
class ShownLetter(JsonResult):
    """A dead letter with what may be shown of its value."""

    letter: LetterEntry
    """The letter."""
    content: Shown
    """What may be shown of its value."""

    JSON_INLINE = ("letter", "content")


@dataclass(frozen=True, slots=True)
class ShownLetters(JsonResult):
    """Dead letters of one origin."""

    dead_letters: tuple[ShownLetter, ...]
    """None where there is no such dead letter; several where the topic was created again."""


@dataclass(frozen=True, slots=True)
class LetterReplays(JsonResult):
    """What a replay has done."""

    replayed_before: tuple[str, ...]
    """Those that were replayed before, by origin."""
    replayed: Replayed
    """Where the others stand now, and why some are left."""

    JSON_INLINE = ("replayed",)
