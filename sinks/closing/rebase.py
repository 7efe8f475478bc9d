"""Remake bases when too much has come since: a close's cost then follows what changed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import structlog

from schemas.topics import Topic
from sinks.closing.bases import Base, Bases
from sinks.closing.cut import Cuts, TopicCut
from sinks.closing.intent import WITH_STATE, Intentions
from sinks.closing.selection import Selection

log = structlog.get_logger(__name__)

_SHARE: Final = 4  # a base is remade when the rows since exceed a quarter of it
_WORTH_A_BASE: Final = 50_000  # rows that are read in no time without one


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
                if _is_due(base, cut):
                    made.append(self._remake(topic, cut, base))
        return made

    def _remake(self, topic: Topic, cut: TopicCut, base: Base | None) -> Base:
        choices = self.intentions.prove(cut, base)
        made = self.selection.remake(topic, cut, base.name if base else None, choices)
        log.info("base remade", topic=topic.name, base=made.name, rows=dict(made.rows))
        return made


def _is_due(base: Base | None, cut: TopicCut) -> bool:
    if base is None:
        return sum(cut.offsets) >= _WORTH_A_BASE
    if base.cut.topic_id != cut.topic_id:
        return False
    since = sum(cut.offsets) - sum(base.cut.offsets)
    return since >= max(_WORTH_A_BASE, sum(base.rows.values()) // _SHARE)
