"""Whose data may still be shown (SPEC §3, *People who are gone*)."""

from tests.model.history import Recorded
from tests.model.rows import Row


def is_gone(fact: Recorded, profile: Row | None, deleted_since: bool) -> bool:
    """Whether a fact's person is gone.

    profile: the person's row at the cut, None if never heard of; deleted_since: a deletion of it
    was recorded after the cut, before the drop was written.
    """
    if deleted_since:
        return True
    if profile is None or profile.deletion is None:
        return False
    deleted_after_the_fact = profile.deletion.appended_at >= fact.appended_at
    return deleted_after_the_fact or profile.is_of_ended_life(fact) or not profile.is_live
