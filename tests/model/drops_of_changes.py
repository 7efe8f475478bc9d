"""Drops of changes: deletions, subscriptions, segments, consents (SPEC §3, *Rows* and *Source
filter*).
"""

from collections import Counter
from collections.abc import Iterator, Sequence

from tests.model.closes import Close, fails_before_its_rules, inputs
from tests.model.drop import Drop, drop_of
from tests.model.exports import Export
from tests.model.history import Cut, History, Recorded
from tests.model.outcomes import EXPORTED, FILTERED
from tests.model.people import person_of
from tests.model.values import Line


def change_drops(
    history: History, export: Export, start: Cut, closes: Sequence[Close]
) -> Iterator[Drop]:
    for close in closes:
        outcomes = [
            (record, _outcome(history, export, record))
            for record in inputs(history, export, start, close.cut)
        ]
        lines = [
            _line(history, export, close, record)
            for record, outcome in outcomes
            if outcome == EXPORTED
        ]
        never_seen = sum(line.person.never_seen for line in lines)
        yield drop_of(export, lines, outcomes, Counter({"profile never seen": never_seen}))
        start = close.cut


def _outcome(history: History, export: Export, record: Recorded) -> str:
    failed = fails_before_its_rules(history, record)
    if failed is not None:
        return failed
    wanted = export.wanted_sources
    return FILTERED if wanted and record.body["source"] not in wanted else EXPORTED


def _line(history: History, export: Export, close: Close, fact: Recorded) -> Line:
    return Line(
        fact,
        person=person_of(history, export, close, fact.body.get("profileId"), [fact]),
    )
