"""Rows and their lives at a cut (SPEC §3, *Rows*); a profile is a row of its database."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from tests.model.history import Cut, Event, History, Recorded, by_entity, milliseconds


@dataclass(frozen=True)
class Row:
    """One row as its events before a cut leave it.

    `life` holds the events of the life that goes on at the cut, in order of appending: none if
    there is no such life. `deletion` is the latest one: the one that occurred last, of those that
    occurred together the one appended last. `births_of_the_living`: where the id was created though
    it lived.
    """

    life: tuple[Recorded, ...]
    deletion: Recorded | None
    births_of_the_living: frozenset[tuple[int, int]] = frozenset()

    @property
    def is_live(self) -> bool:
        return bool(self.life)

    @property
    def values(self) -> Event:
        """The whole row: every event says all of it, so the last one does."""
        return self.life[-1].body

    @property
    def creation_moment(self) -> int | None:
        """When the life began, if that was seen or a snapshot told it."""
        return self._moment_of_first("CREATED", "creationMoment")

    @property
    def update_moment(self) -> int | None:
        changes = [event for event in self.life if event.type in ("CREATED", "UPDATED")]
        if changes:
            return changes[-1].occurred_at
        return self._moment_of_first("CREATED", "updateMoment")

    def _moment_of_first(self, event_type: str, told_as: str) -> int | None:
        first = self.life[0]
        if first.type == event_type:
            return first.occurred_at
        told = first.body.get(told_as) if first.type == "SNAPSHOT" else None
        return None if told is None else milliseconds(told)

    def is_of_ended_life(self, event: Recorded) -> bool:
        """Whether the event occurred at or before the row's latest deletion."""
        return self.dead_until is not None and event.occurred_at <= self.dead_until

    def is_ended_by(self, occurred_at: int) -> bool:
        """Whether one more deletion, that occurred then, ends the life that goes on."""
        is_latest = self.dead_until is None or occurred_at >= self.dead_until
        return is_latest and not _began_after(occurred_at, self.life)

    @property
    def dead_until(self) -> int | None:
        """When the latest deletion occurred (UTC milliseconds)."""
        return None if self.deletion is None else self.deletion.occurred_at


def row_of(events: Iterable[Recorded]) -> Row:
    """Read one row's events, in the order in which they were appended."""
    latest: Recorded | None = None
    life: list[Recorded] = []
    births: list[tuple[int, int]] = []
    for event in events:
        if event.type == "DELETED":
            if latest is None or event.occurred_at >= latest.occurred_at:
                latest = event
                if not _began_after(event.occurred_at, life):
                    life = []
        elif latest is None or event.occurred_at > latest.occurred_at:
            if event.type == "CREATED" and life:
                births.append(event.position)
                life = []
            life.append(event)
    return Row(life=tuple(life), deletion=latest, births_of_the_living=frozenset(births))


def _began_after(deleted: int, life: Sequence[Recorded]) -> bool:
    """Whether a life that is known when a deletion is recorded goes on: the deletion occurred in an
    earlier one. That is sure only of a life whose creation was recorded, and of which all occurred
    after the deletion.
    """
    if not life or life[0].type != "CREATED":
        return False
    return all(event.occurred_at > deleted for event in life)


@lru_cache(maxsize=64)
def rows_at(history: History, topic: str, cut: Cut) -> Mapping[int, Row]:
    """Every row of a topic that was ever heard of before the cut, by id."""
    return {
        entity: row_of(events) for entity, events in by_entity(history.facts(topic, cut)).items()
    }
