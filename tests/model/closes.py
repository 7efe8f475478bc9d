"""Closes, and which records one has to judge (SPEC §3, *Facts* and *Balance*)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.model.exports import Export
from tests.model.history import Cut, History, Recorded
from tests.model.outcomes import DEAD_LETTER, DUPLICATE


@dataclass(frozen=True)
class Close:
    """One close: its cut, and by database the profiles whose deletion was recorded between cut and
    writing: by id, when the last of these deletions occurred (UTC milliseconds).
    """

    cut: Cut
    deleted_since: Mapping[str, Mapping[int, int]] = field(default_factory=dict)


def latest_of(deletions: Iterable[Sequence[int]]) -> dict[int, int]:
    """By profile, when the last of its deletions occurred. deletions: pairs of both."""
    latest: dict[int, int] = {}
    for profile, occurred in deletions:
        latest[profile] = max(occurred, latest.get(profile, occurred))
    return latest


def inputs(history: History, export: Export, start: Cut, end: Cut) -> list[Recorded]:
    """The records between two cuts that the drop has to account for, by partition and offset. Dead
    letters count in every export of their topic, as nobody can say what they were.
    """
    return [
        record
        for record in history.records(export.topic)
        if end.is_after(record)
        and not start.is_after(record)
        and (record.event is None or record.type in export.inputs)
    ]


def fails_before_its_rules(history: History, record: Recorded) -> str | None:
    if record.event is None:
        return DEAD_LETTER
    return DUPLICATE if history.is_repeat(record) else None
