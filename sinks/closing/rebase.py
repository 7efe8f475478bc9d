"""Remake bases when too much has come since: a close's cost then follows what changed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import structlog

from schemas.topics import Topic
from sinks.closing.bases import Base, Bases
from sinks.closing.cut import Cuts, TopicCut, spans
from sinks.closing.intent import WITH_STATE, Intentions
from sinks.closing.selection import Selection

log = structlog.get_logger(__name__)

_SHARE: Final = 4  # a base is remade when what came since costs a quarter of reading it
_WORTH_A_BASE: Final = 50_000  # rows that are read in no time without one
_ROWS_OF_A_FILE: Final = 500
"""A close reads as many rows in the time that it takes to open a file for each of its questions:
a quiet topic's batches are many files of few rows.
"""


@dataclass(frozen=True, slots=True)
class Rebase:
    """Remakes bases at cuts that were taken."""

    cuts: Cuts
    bases: Bases
    intentions: Intentions
    selection: Selection

    def remake_where_due(self, topics: Iterable[Topic], instant: dt.datetime) -> list[Base]:
        """Remake, at an instant's cut, the bases of topics of which too much has come since."""
        made = []
        for topic in topics:
            cut = self.cuts.recorded(topic.name, instant)
            if cut is not None and topic.kind in WITH_STATE:
                base = self.bases.latest(topic.name, instant)
                if self._is_due(base, cut):
                    made.append(self._remake(topic, cut, base))
        return made

    def _is_due(self, base: Base | None, cut: TopicCut) -> bool:
        if base is not None and base.cut.topic_id != cut.topic_id:
            return False
        known = base.cut if base is not None else None
        since = sum(cut.offsets) - (sum(known.offsets) if known is not None else 0)
        if not since:
            return False
        batches = sum(
            path.next > span.first and path.first < span.next
            for span in spans(known, cut)
            for path in self.intentions.partitions.coverage(span.partition)
        )
        rows = sum(base.rows.values()) if base is not None else 0
        return since + batches * _ROWS_OF_A_FILE >= max(_WORTH_A_BASE, rows // _SHARE)

    def _remake(self, topic: Topic, cut: TopicCut, base: Base | None) -> Base:
        choices = self.intentions.prove(cut, base)
        made = self.selection.remake(topic, cut, base.name if base else None, choices)
        log.info("base remade", topic=topic.name, base=made.name, rows=dict(made.rows))
        return made
