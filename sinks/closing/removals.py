"""What a drop is made without: people deleted after its close's cut, and rows that were taken out.

Both are found when a close is decided, and again as long as nothing of the drop has left
(`departure.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from schemas.topics import Topic
from sinks.closing.cut import Cuts, TopicCut
from sinks.engine.event_source import taken_out_of
from sinks.ledger.intent import Deletion, Intent
from streams.erasure.personal import profile_topic
from streams.storage.choice import Choice
from streams.storage.layout import TakenOutPath
from streams.storage.partitions import Partitions

__all__ = ["Removals"]

LaterDeletions: TypeAlias = Callable[[Topic, TopicCut, Sequence[Choice]], tuple[Deletion, ...]]
"""Finds deletions recorded after a cut: see `sinks.closing.selection.Selection`."""


@dataclass(frozen=True, slots=True)
class Removals:
    """Finds the removals that are known now."""

    prefix: str
    partitions: Partitions
    cuts: Cuts
    later_deletions: LaterDeletions

    def rows_taken_out(self, choices: Sequence[Choice]) -> tuple[TakenOutPath, ...]:
        """Return the rows, among those that the choices include, that are taken out by now."""
        return taken_out_of(self.partitions, choices)

    def deletions_after(
        self, profiles: Topic, cut: TopicCut, choices: Sequence[Choice]
    ) -> tuple[Deletion, ...]:
        """Return the deletions of profiles that were recorded after a cut. choices: all that the
        close reads.
        """
        own = [choice for choice in choices if choice.partition.topic == profiles.name]
        return self.later_deletions(profiles, cut, own)

    def deletions_since(self, intent: Intent) -> tuple[Deletion, ...]:
        """Return the deletions that were recorded after the cut of a close that was decided."""
        profiles = profile_topic(intent.decided_export.topic(self.prefix))
        cut = self.cuts.recorded(profiles.name, intent.instant)
        if cut is None:  # it doesn't read profiles
            return intent.deletions
        return self.deletions_after(profiles, cut, intent.choices)
