"""Whose data may still be shown (SPEC §3, *People who are gone*)."""

from collections.abc import Iterable
from dataclasses import dataclass

from tests.model.closes import Close
from tests.model.exports import Export
from tests.model.history import History, Recorded
from tests.model.rows import Row, rows_at


@dataclass(frozen=True)
class Person:
    """The profile that a line is about. `profile`: what may be shown of it, None for nothing."""

    profile: Row | None = None
    gone: bool = False
    never_seen: bool = False


NOBODY = Person()


def person_of(
    history: History,
    export: Export,
    close: Close,
    profile_id: int | None,
    facts: Iterable[Recorded],
) -> Person:
    """The person behind a line: gone if it is for one of the line's facts. A row that belongs to no
    profile has nobody behind it.
    """
    if profile_id is None:
        return NOBODY
    profile = rows_at(history, export.profile_topic, close.cut).get(profile_id)
    deleted_since = close.deleted_since.get(export.database.name, {}).get(profile_id)
    if any(is_gone(fact, profile, deleted_since) for fact in facts):
        return Person(gone=True)
    return Person(profile, never_seen=profile is None)


def is_gone(fact: Recorded, profile: Row | None, deleted_since: int | None = None) -> bool:
    """Whether a fact's person is gone.

    profile: the person's row at the cut, None if never heard of; deleted_since: when
    a deletion of it occurred that was recorded after the cut, before the drop was written. If that
    is its latest, it was appended after the fact.
    """
    known = None if profile is None else profile.dead_until
    if deleted_since is not None and (known is None or deleted_since >= known):
        return True
    if profile is None or profile.deletion is None:
        return False
    deleted_after_the_fact = profile.deletion.appended_at >= fact.appended_at
    return deleted_after_the_fact or profile.is_of_ended_life(fact) or not profile.is_live
