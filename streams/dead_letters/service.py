"""What a user can do about dead letters: list them, look at one, and replay them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from schemas.definitions.definitions import choices
from schemas.errors import Fault, WrongInputError
from schemas.registry.registry import Registry
from schemas.topics import dead_letter_topic
from streams.dead_letters.read import Letter, LetterReader, identity_of
from streams.dead_letters.replay import Replayed, Replayer
from streams.dead_letters.show import Shown, Usable
from streams.moments import moment_of
from streams.setup import Streams

__all__ = ["LetterFilter", "list_letters", "replay_letters", "show_letter"]


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """Which dead letters are meant; None lets all pass."""

    topic: str | None = None
    day: dt.date | None = None
    reason: str | None = None
    origins: tuple[str, ...] | None = None

    def of(self, letters: Iterable[Letter]) -> list[Letter]:
        """Keep those that are meant."""
        return [letter for letter in letters if self._means(letter)]

    def _means(self, letter: Letter) -> bool:
        return (
            self.topic in (None, letter.topic)
            and self.day in (None, moment_of(letter.appended_at).date())
            and (self.reason or "").casefold() in letter.reason.casefold()
            and (self.origins is None or letter.origin in self.origins)
        )


def list_letters(streams: Streams, wanted: LetterFilter) -> list[Letter]:
    """Return dead letters, by time.

    Raises WrongInputError for a topic that isn't defined, PartitionError where Kafka fails.
    """
    _refuse_topic(streams, wanted.topic)
    return wanted.of(_reader(streams).letters())


def show_letter(streams: Streams, origin: str) -> list[tuple[Letter, Shown]]:
    """Return a dead letter by where it stood, with what may be shown of it; none where there is no
    such one. Raises PartitionError where Kafka fails, RegistryError where the registry does.
    """
    reader = _reader(streams)
    found = LetterFilter(origins=(origin,)).of(reader.letters())
    by_identity = {letter.identity: letter for letter in found}
    usable = _usable(streams)
    whole = [(identity_of(event), event) for event in reader.whole(by_identity)] if found else []
    return [(by_identity[identity], usable.shown(event)) for identity, event in whole]


def replay_letters(streams: Streams, wanted: LetterFilter) -> tuple[list[Letter], Replayed]:
    """Publish dead letters again, each once; return those that were replayed before, and what was
    done now.

    Raises WrongInputError where one that is named isn't there, PartitionError where Kafka fails.
    """
    _refuse_topic(streams, wanted.topic)
    found = wanted.of(_reader(streams).letters())
    _refuse_unknown(wanted.origins or (), found)
    before = [letter for letter in found if letter.replay is not None]
    left = [letter for letter in found if letter.replay is None]
    replayer = Replayer(_topic(streams), streams.settings.kafka, _usable(streams))
    return before, replayer.replay(left) if left else Replayed()


def _refuse_topic(streams: Streams, topic: str | None) -> None:
    if topic is not None and topic not in streams.topics:
        hint = choices(topic, sorted(streams.topics))
        raise WrongInputError([Fault("--topic", f"there is no topic '{topic}'", hint)])


def _refuse_unknown(origins: Sequence[str], found: Iterable[Letter]) -> None:
    known = {letter.origin for letter in found}
    unknown = [origin for origin in origins if origin not in known]
    if unknown:
        hint = "`dead-letters list` shows what there is; nothing was replayed"
        raise WrongInputError(
            [Fault(origin, "there is no such dead letter", hint) for origin in unknown]
        )


def _topic(streams: Streams) -> str:
    return dead_letter_topic(streams.settings.kafka.topic_prefix)


def _reader(streams: Streams) -> LetterReader:
    return LetterReader(_topic(streams), streams.settings.kafka)


def _usable(streams: Streams) -> Usable:
    return Usable(Registry(streams.settings.registry), streams.topics, streams.catalog)
