"""Remake a base when much has come since, so that a close costs what has changed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import structlog

from schemas.errors import DeltadropError
from schemas.topics import Topic
from sinks.closing.bases import Base, Bases
from sinks.closing.cut import Cuts, TopicCut, spans
from sinks.closing.intent import Intentions
from sinks.closing.read_plan import WITH_STATE
from sinks.closing.selection import Selection

log = structlog.get_logger(__name__)

_SHARE: Final = 4  # a base is remade when what came since costs a quarter of reading the base
_WORTH_A_BASE: Final = 50_000  # so many rows are read quickly enough without a base
_ROWS_OF_A_BATCH: Final = 250
"""Rows that a close reads in the time that opening the files of one batch takes, or more. A quiet
topic has many batches with few rows.
"""


@dataclass(frozen=True, slots=True)
class Rebase:
    """Remakes bases at recorded cuts."""

    cuts: Cuts
    bases: Bases
    intentions: Intentions
    selection: Selection

    def remake_where_due(self, topics: Iterable[Topic], instant: dt.datetime) -> list[Base]:
        """Remake bases at an instant's cut, for the topics with too many rows since the last base.

        A base that can't be made is tried again another time: without it a close reads more, and
        its result is the same. Returns the new bases.
        """
        made = []
        for topic in topics:
            cut = self.cuts.recorded(topic.name, instant)
            if cut is not None and topic.kind in WITH_STATE:
                base = self.bases.latest(topic.name, instant)
                if base is not None and not base.cut.is_of(cut):
                    base = None
                try:
                    if self._is_due(base, cut):
                        made.append(self._remake(topic, cut, base))
                except DeltadropError as error:
                    log.warning("base not remade", topic=topic.name, why=str(error))
                except Exception:
                    log.exception("base not remade", topic=topic.name)
        return made

    def _is_due(self, base: Base | None, cut: TopicCut) -> bool:
        known = base.cut if base is not None else None
        since = sum(cut.offsets) - (sum(known.offsets) if known is not None else 0)
        rows = sum(base.rows.values()) if base is not None else 0
        much = max(_WORTH_A_BASE, rows // _SHARE)
        if since * (1 + _ROWS_OF_A_BATCH) < much:  # even if each row came in a batch of its own
            return False
        batches = {
            path.batch
            for span in spans(known, cut)
            for path in self.intentions.partitions.coverage(span.partition)
            if path.next > span.first and path.first < span.next
        }
        return since + len(batches) * _ROWS_OF_A_BATCH >= much

    def _remake(self, topic: Topic, cut: TopicCut, base: Base | None) -> Base:
        choices = self.intentions.prove(cut, base)
        made = self.selection.remake(topic, cut, base.name if base else None, choices)
        log.info("base remade", topic=topic.name, base=made.name, rows=dict(made.rows))
        return made
