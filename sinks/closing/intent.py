"""Decide a drop before it is made: its window, what is read for it, and which deletions it honours.

The decision is recorded as the intent. From then on the bytes of the drop are fixed, unless people
or rows are taken out of it (`departure.py`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import structlog

from schemas.events import Kind
from sinks.closing.bases import Base
from sinks.closing.completeness import Completeness, Lag, Need
from sinks.closing.cut import TopicCut
from sinks.closing.losses import lost_of_intent
from sinks.closing.read_plan import ReadPlan, ReadPlanner
from sinks.closing.removals import Removals
from sinks.closing.span import Span
from sinks.ledger.chain import Link
from sinks.ledger.intent import Deletion, Intent
from streams.clocks import clock_faults
from streams.storage.choice import Choice
from streams.storage.partitions import Partitions

__all__ = ["Intentions"]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Intentions:
    """Decides the drops of closes."""

    planner: ReadPlanner
    partitions: Partitions
    completeness: Completeness
    removals: Removals

    def decide(
        self, link: Link, progress: Callable[[Sequence[Lag]], None], *, loss: str = ""
    ) -> Intent:
        """Return the intent of a close; nothing of it is recorded but the cuts.

        loss: a person's reason why the drop may lack lost offsets; empty if nobody accepted that.
        Raises HeldError if what the close reads can't be proven complete.
        """
        plan = self.planner.plan(link)
        if loss:
            self._accept_loss(link.drop_id, plan.needs, loss)
        choices = self.completeness.prove(plan.needs, progress=progress)
        whole = () if link.initial or loss else plan.window
        self.completeness.refuse_lost(whole, choices, link.export.name)
        intent = Intent(
            export=link.export.name,
            instant=link.instant,
            window_start=link.start,
            previous_drop=link.previous_drop,
            definition=json.loads(link.export.to_json()),
            window={
                plan.topics[0].name: {s.partition.partition: (s.first, s.next) for s in plan.window}
            },
            choices=choices,
            bases={name: base.name for name, base in plan.bases.items()},
            deletions=self._deletions(plan, choices),
            initial=link.initial,
            loss=loss,
            warnings=(
                *self.planner.removed_before(plan),
                *self._of_clocks(plan.window, choices),
            ),
            taken_out=self.removals.rows_taken_out(choices),
        )
        return _without_needless_reason(intent)

    def prove(self, cut: TopicCut, base: Base | None) -> tuple[Choice, ...]:
        """Return a tiling of a topic from its base (None: its beginning) to a cut; raises as
        `prove`.
        """
        needs = self.planner.needs(cut, base.cut if base else None)
        return self.completeness.prove(needs, progress=lambda _: None)

    def _deletions(self, plan: ReadPlan, choices: Sequence[Choice]) -> tuple[Deletion, ...]:
        profiles = next((topic for topic in plan.topics if topic.kind is Kind.PROFILE), None)
        if profiles is None:
            return ()
        return self.removals.deletions_after(profiles, plan.cuts[profiles.name], choices)

    def _of_clocks(self, window: Sequence[Span], choices: Sequence[Choice]) -> Iterator[str]:
        """Warn of append times within a window that a broker's wrong clock has written."""
        chosen = {choice.partition: choice.tiling for choice in choices}
        for span in window:
            owner = span.partition
            tiles = (piece for piece in chosen[owner].tiles if piece.first < span.next)
            records = (self.partitions.record(piece.record) for piece in tiles)
            found = clock_faults(records, self.planner.cuts.tolerance_ms)
            is_empty = span.first >= span.next
            faults = [fault for fault in found if fault.next > span.first and not is_empty]
            if faults:
                more = f", and {len(faults) - 1:,} more" if len(faults) > 1 else ""
                where = f"{owner.topic}/{owner.partition}"
                yield f"a broker's clock is wrong: {where} {faults[0]}{more}"

    def _accept_loss(self, drop: str, needs: Sequence[Need], reason: str) -> None:
        """Record the losses among all that a close reads, so that later closes know of them."""
        lost = self.completeness.gone(needs)
        log.warning("loss accepted", drop=drop, lost=[str(span) for span in lost], reason=reason)
        self.completeness.losses.accept(lost, drop, reason)


def _without_needless_reason(intent: Intent) -> Intent:
    """Remove the reason for a loss if nothing is lost."""
    return intent if lost_of_intent(intent) else replace(intent, loss="")
