"""What a close reads: its window of its own topic, and the state before it (SPEC §3).

The state of a topic is a base, if there is one, and all that came since. What was in Kafka in the
hours before is read too, to recognise events that are repeated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from schemas.events import Kind
from schemas.topics import Topic
from sinks.closing.append_times import Beginning
from sinks.closing.bases import Base, Bases
from sinks.closing.completeness import Need
from sinks.closing.cut import Cuts, TopicCut, spans
from sinks.closing.span import Span
from sinks.instants import milliseconds
from sinks.ledger.chain import Link

__all__ = ["WITH_STATE", "ReadPlan", "ReadPlanner"]

log = structlog.get_logger(__name__)

_MS_PER_HOUR: Final = 3_600_000

WITH_STATE: Final = frozenset(
    {
        Kind.PROFILE,
        Kind.ROW,
        Kind.CAMPAIGN,
        Kind.EMAIL_ACTIVITY,
        Kind.SMS_ACTIVITY,
        Kind.FILE_ACTIVITY,
    }
)
"""The kinds of topics whose state before a window matters to closes. Other topics hold facts of
their own: closes read them before a window only to recognise repeats.
"""


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """The topics that a close reads, its own first, and what it reads of them.

    starts: the cut where the window begins, by topic; missing if the topic was created again since.
    cuts: the cut where the window ends, by topic. bases: the base at or before the start, by topic,
    if there is one. window: the offsets of its own topic that its drop is made of. needs: all that
    it reads, the window included.
    """

    topics: Sequence[Topic]
    starts: Mapping[str, TopicCut]
    cuts: Mapping[str, TopicCut]
    bases: Mapping[str, Base]
    window: Sequence[Span]
    needs: Sequence[Need]


@dataclass(frozen=True, slots=True)
class ReadPlanner:
    """Plans what closes read. repeat_hours: how long repeats of an event are recognised."""

    prefix: str
    repeat_hours: int
    cuts: Cuts
    bases: Bases

    def plan(self, link: Link) -> ReadPlan:
        """Take the cuts of a close, and return what it reads.

        The first close of an export ignores the earlier incarnation of a topic that was created
        again. Raises HeldError if a topic was created again since another close.
        """
        topics = link.export.topics_read(self.prefix)
        own, names = topics[0], [topic.name for topic in topics]
        # in this order, so that the later cut is never before the earlier one
        starts, cuts = self.cuts.take(names, link.start), self.cuts.take(names, link.instant)
        begins = link.previous is None
        anew = [name for name in names if begins and not starts[name].is_of(cuts[name])]
        if anew:
            log.warning("topics were created again: it begins with the new ones", topics=anew)
        starts = {name: starts[name] for name in names if name not in anew}
        bases = {
            name: base
            for name, start in starts.items()
            if (base := self.bases.latest(name, link.start)) and base.cut.is_of(start)
        }
        known = {name: base.cut for name, base in bases.items()}
        if own.kind not in WITH_STATE and own.name in starts:
            known[own.name] = starts[own.name]
        needs = [need for name in names for need in self.needs(cuts[name], known.get(name))]
        window = spans(None if link.initial else starts.get(own.name), cuts[own.name])
        return ReadPlan(topics, starts, cuts, bases, window, needs)

    def needs(self, cut: TopicCut, known: TopicCut | None) -> list[Need]:
        """Return what is read of a topic up to a cut.

        known: the cut at which its state is known. From there on everything is read, and before it
        what is needed to recognise repeats. None: everything is read.
        """
        if known is None:
            return [Need(span.partition, None, span.next) for span in spans(None, cut)]
        begins = self._remembered(known)
        return [
            Need(
                span.partition,
                begins[number].first if number < len(begins) else span.first,
                span.next,
            )
            for number, span in enumerate(spans(known, cut))
        ]

    def removed_before(self, plan: ReadPlan) -> Iterator[str]:
        """Warn of what Kafka had removed before the installation first read a partition.

        A close can't recognise repeats of removed events.
        """
        for topic in plan.topics:
            start = plan.starts.get(topic.name)
            for number, begin in enumerate(self._remembered(start) if start else ()):
                if begin.is_cut_short:
                    yield (
                        f"{topic.name}/{number}: Kafka had removed what was before offset"
                        f" {begin.first} when it was first read: an event that repeats one of it"
                        " counts as new"
                    )

    def _remembered(self, known: TopicCut) -> tuple[Beginning, ...]:
        """Return where to read each partition from, to recognise repeats of earlier events.

        These are the events that were in Kafka in the hours before a cut, stored or not (SPEC §3,
        *Readings settled*).
        """
        since = milliseconds(known.instant) - self.repeat_hours * _MS_PER_HOUR
        return self.cuts.since(known, since)
