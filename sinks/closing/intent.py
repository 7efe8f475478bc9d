"""Decide a drop before it is made: its window, what is read for it, and which deletions it honours.

The decision is recorded as the intent. From then on the bytes of the drop are fixed, unless people
or rows are taken out of it (`departure.py`).
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from schemas.errors import CloseError, DefinitionError, Fault, WrongCloseError
from schemas.events import Kind
from schemas.topics import Topic
from sinks.closing.append_times import Beginning
from sinks.closing.bases import Base, Bases
from sinks.closing.completeness import Completeness, Lag, Need
from sinks.closing.cut import Cuts, TopicCut, spans
from sinks.closing.losses import lost_of_intent
from sinks.closing.span import Span
from sinks.engine.event_source import taken_out_of
from sinks.exports.export import Export
from sinks.exports.schedule import first_start
from sinks.exports.types import EXPORT_TYPES, Line
from sinks.instants import milliseconds, stamp
from sinks.ledger.holds import Holds
from sinks.ledger.intent import Deletion, Intent
from sinks.ledger.ledger import Ledger
from streams.clocks import clock_faults
from streams.erasure.personal import profile_topic
from streams.storage.choice import Choice
from streams.storage.layout import TakenOutPath
from streams.storage.partitions import Partitions

log = structlog.get_logger(__name__)

_MS_PER_HOUR = 3_600_000

WITH_STATE = frozenset(
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

LaterDeletions = Callable[[Topic, TopicCut, Sequence[Choice]], tuple[Deletion, ...]]
"""Finds deletions recorded after a cut: see `sinks.closing.selection.later_deletions`."""


@dataclass(frozen=True, slots=True)
class _Reach:
    """The topics that a close reads, its own first, and what it reads of them.

    starts: the cut where the window begins, by topic; missing if the topic was created again since.
    cuts: the cut where the window ends, by topic. bases: the base at or before the start, by topic,
    if there is one.
    """

    topics: Sequence[Topic]
    starts: Mapping[str, TopicCut]
    cuts: Mapping[str, TopicCut]
    bases: Mapping[str, Base]

    @property
    def own(self) -> Topic:
        """The topic whose events the export has."""
        return self.topics[0]

    @property
    def cut(self) -> TopicCut:
        """The cut of its own topic where the window ends."""
        return self.cuts[self.own.name]


@dataclass(frozen=True, slots=True)
class Intentions:
    """Decides the drops of closes, and records the decisions as intents."""

    prefix: str
    repeat_hours: int
    partitions: Partitions
    cuts: Cuts
    ledger: Ledger
    bases: Bases
    completeness: Completeness
    later_deletions: LaterDeletions

    def make(
        self,
        export: Export,
        instant: dt.datetime,
        progress: Callable[[Sequence[Lag]], None],
        *,
        initial: bool = False,
        loss: str = "",
    ) -> Intent:
        """Return the intent of a close: the recorded one, or a new one.

        initial: every living row at the cut instead of a window's changes (SPEC §3, *initial
        drop*). loss: a person's reason why the drop may lack lost offsets; empty if nobody accepted
        that.

        Raises HeldError if what the close reads can't be proven complete, or an earlier drop is
        held. Raises CloseError if an earlier close of the export isn't finished, if a later one was
        begun, or if an initial drop isn't the export's first. Raises DefinitionError if the
        definition is that of another export now.
        """
        recorded = self.ledger.intent(export.name, instant)
        if recorded is not None and recorded.initial >= initial:
            return recorded
        initial = self._is_initial(export, instant, wanted=initial)
        previous = self._previous(export, instant)
        start = instant if initial else previous or first_start(export, instant)
        reach = self._reach(export, start, instant, begins=previous is None)
        needs = self._all_needs(reach)
        between = spans(None if initial else reach.starts.get(reach.own.name), reach.cut)
        if loss:
            self._accept_loss(f"{export.name}@{stamp(instant)}", needs, loss)
        with Holds(self.ledger.store).held_if_lost(export.name, instant):
            choices = self.completeness.prove(needs, progress=progress)
            whole = () if initial or loss else between
            self.completeness.refuse_lost(whole, choices, export.name)
        intent = Intent(
            export=export.name,
            instant=instant,
            window_start=start,
            previous_drop=f"{export.name}@{stamp(previous)}" if previous else None,
            definition=json.loads(export.to_json()),
            window={reach.own.name: {s.partition.partition: (s.first, s.next) for s in between}},
            choices=choices,
            bases={name: base.name for name, base in reach.bases.items()},
            deletions=self._deletions(reach, choices),
            initial=initial,
            loss=loss,
            warnings=(*self._removed_before(reach), *self._of_clocks(between, choices)),
            taken_out=self.rows_taken_out(choices),
        )
        return self._recorded(export, _without_needless_reason(intent), previous)

    def deletions_since(self, intent: Intent) -> tuple[Deletion, ...]:
        """Return the deletions that are known now and were recorded after the close's cut."""
        profiles = profile_topic(intent.decided_export.topic(self.prefix))
        cut = self.cuts.recorded(profiles.name, intent.instant)
        if cut is None:  # it doesn't read profiles
            return intent.deletions
        return self._later_than(profiles, cut, intent.choices)

    def rows_taken_out(self, choices: Sequence[Choice]) -> tuple[TakenOutPath, ...]:
        """Return the rows, among those that the choices include, that are taken out by now."""
        return taken_out_of(self.partitions, choices)

    def _later_than(
        self, profiles: Topic, cut: TopicCut, choices: Sequence[Choice]
    ) -> tuple[Deletion, ...]:
        own = [choice for choice in choices if choice.partition.topic == profiles.name]
        return self.later_deletions(profiles, cut, own)

    def prove(self, cut: TopicCut, base: Base | None) -> tuple[Choice, ...]:
        """Return a tiling of a topic from its base (None: its beginning) to a cut; raises as
        `prove`.
        """
        needs = self._needs(cut, base.cut if base else None)
        return self.completeness.prove(needs, progress=lambda _: None)

    def _removed_before(self, reach: _Reach) -> Iterator[str]:
        """Warn of what Kafka had removed before the installation first read a partition.

        A close can't recognise repeats of removed events.
        """
        for topic in reach.topics:
            start = reach.starts.get(topic.name)
            for number, begin in enumerate(self._remembered(start) if start else ()):
                if begin.is_cut_short:
                    yield (
                        f"{topic.name}/{number}: Kafka had removed what was before offset"
                        f" {begin.first} when it was first read: an event that repeats one of it"
                        " counts as new"
                    )

    def _of_clocks(self, window: Sequence[Span], choices: Sequence[Choice]) -> Iterator[str]:
        """Warn of append times within a window that a broker's wrong clock has written."""
        chosen = {choice.partition: choice.tiling for choice in choices}
        for span in window:
            owner = span.partition
            tiles = (piece for piece in chosen[owner].tiles if piece.first < span.next)
            records = (self.partitions.record(piece.record) for piece in tiles)
            found = clock_faults(records, self.cuts.tolerance_ms)
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

    def _is_initial(self, export: Export, instant: dt.datetime, *, wanted: bool) -> bool:
        """Whether a close makes the initial drop.

        The request is recorded before the close is proven: if this run is held or killed, the run
        that continues the close makes the initial drop as well.
        """
        if wanted:
            self.refuse_initial(export)
            self.ledger.request_initial(export.name, instant)
            return True
        if export.type.line is not Line.ROW:  # it can't have an initial drop
            return False
        requested_before = self.ledger.is_initial_requested(export.name, instant)
        return requested_before and not any(self.ledger.closes(export.name))

    def refuse_initial(self, export: Export) -> None:
        """Refuse an initial drop if the export can't have one; raises WrongCloseError.

        Only exports of rows have an initial drop. It is the export's first drop, as later ones are
        deltas on it.
        """
        if export.type.line is not Line.ROW:
            rows = ", ".join(kind.name for kind in EXPORT_TYPES.values() if kind.line is Line.ROW)
            raise WrongCloseError(
                what=f"exports of type {export.type.name} have no initial drop",
                where=f"export '{export.name}'",
                hint=f"those of rows have one: {rows}; close it without --initial",
            )
        closes = list(self.ledger.closes(export.name))
        if closes:
            raise WrongCloseError(
                what=f"an initial drop is an export's first; it was closed at {stamp(closes[0])}",
                where=f"export '{export.name}'",
                hint="close it without --initial, or define an export of another name",
            )

    def _previous(self, export: Export, instant: dt.datetime) -> dt.datetime | None:
        closes = list(self.ledger.closes(export.name))
        self._refuse_another(export, closes[-1] if closes else None)
        if closes and closes[-1] > instant:
            raise WrongCloseError(
                what=f"{stamp(instant)} is before this export's last cut, {stamp(closes[-1])}",
                where=f"export '{export.name}'",
                hint="windows are closed in order; choose an instant after its last cut",
            )
        if closes and self.ledger.outcome(export.name, closes[-1]) is None:
            record = self.ledger.record_of(export.name, closes[-1])
            if record and record.waiting:  # windows are closed in order, so later ones wait
                raise record.waiting.error(export.name, closes[-1])
            raise CloseError(
                what=f"the close at {stamp(closes[-1])} was begun and not finished",
                where=f"export '{export.name}'",
                hint=f"finish it first: close {export.name} --at {closes[-1].isoformat()}",
            )
        return closes[-1] if closes else None

    def _refuse_another(self, export: Export, previous: dt.datetime | None) -> None:
        """Refuse to continue the chain of another export; raises DefinitionError.

        A change of database, table, type or event type makes another export (SPEC §4).
        """
        before = self.ledger.intent(export.name, previous) if previous else None
        then = before.decided_export.identity if before else export.identity
        if then != export.identity:
            what = f"is another export now: it was of {then}, and is of {export.identity}"
            hint = "give it another name, for a chain of drops of its own; or take the change back"
            raise DefinitionError([Fault(f"export '{export.name}'", what, hint)])

    def _recorded(self, export: Export, intent: Intent, previous: dt.datetime | None) -> Intent:
        """Record an intent and return the recorded one, which another run may have recorded first.

        Raises CloseError if another close has claimed the same window, so that no event is in two
        drops. Raises WrongCloseError if an initial drop is wanted and a delta is recorded.
        """
        owner = self.ledger.claim(intent.export, previous, intent.instant)
        if owner != intent.instant:
            raise CloseError(
                what=f"another close of it, at {stamp(owner)}, has begun with the same events",
                where=f"export '{intent.export}'",
                hint=f"finish it first: close {intent.export} --at {owner.isoformat()}",
            )
        recorded = self.ledger.record_intent(intent)
        if intent.initial and not recorded.initial:
            self.refuse_initial(export)
        return recorded

    def _reach(
        self, export: Export, start: dt.datetime, instant: dt.datetime, *, begins: bool
    ) -> _Reach:
        """Return what a close reads.

        begins: this is the export's first close. It then ignores the earlier incarnation of a topic
        that was created again.
        """
        topics = export.topics_read(self.prefix)
        names = [topic.name for topic in topics]
        # in this order, so that the later cut is never before the earlier one
        starts, cuts = self.cuts.take(names, start), self.cuts.take(names, instant)
        anew = [name for name in names if begins and not starts[name].is_of(cuts[name])]
        if anew:
            log.warning("topics were created again: it begins with the new ones", topics=anew)
        starts = {name: starts[name] for name in names if name not in anew}
        bases = {
            name: base
            for name in names
            if name in starts
            and (base := self.bases.latest(name, start))
            and base.cut.is_of(starts[name])
        }
        return _Reach(topics, starts, cuts, bases)

    def _all_needs(self, reach: _Reach) -> list[Need]:
        """Return what is read of all topics, the export's own first."""
        known = {name: base.cut for name, base in reach.bases.items()} | _stateless(reach)
        names = [topic.name for topic in reach.topics]
        return [need for name in names for need in self._needs(reach.cuts[name], known.get(name))]

    def _needs(self, cut: TopicCut, known: TopicCut | None) -> list[Need]:
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

    def _remembered(self, known: TopicCut) -> tuple[Beginning, ...]:
        """Return where to read each partition from, to recognise repeats of earlier events.

        These are the events that were in Kafka in the hours before a cut, stored or not (SPEC §3,
        *Readings settled*).
        """
        since = milliseconds(known.instant) - self.repeat_hours * _MS_PER_HOUR
        return self.cuts.since(known, since)

    def _deletions(self, reach: _Reach, choices: Sequence[Choice]) -> tuple[Deletion, ...]:
        profiles = next((topic for topic in reach.topics if topic.kind is Kind.PROFILE), None)
        if profiles is None:
            return ()
        return self._later_than(profiles, reach.cuts[profiles.name], choices)


def _stateless(reach: _Reach) -> dict[str, TopicCut]:
    """Return the window's start as the known cut of the export's own topic, if it has no state."""
    own = reach.own
    if own.kind in WITH_STATE or own.name not in reach.starts:
        return {}
    return {own.name: reach.starts[own.name]}


def _without_needless_reason(intent: Intent) -> Intent:
    """Remove the reason for a loss if nothing is lost."""
    return intent if lost_of_intent(intent) else replace(intent, loss="")
