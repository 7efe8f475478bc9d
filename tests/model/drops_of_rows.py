"""Drops of rows, of profiles as of custom tables (SPEC §3, *Rows*)."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from tests.model.closes import Close, fails_before_its_rules, inputs
from tests.model.drop import Drop, drop_of
from tests.model.exports import Export
from tests.model.history import Cut, History, Recorded, entity_of
from tests.model.outcomes import EXPORTED, FILTERED, ROW_GONE, SUPERSEDED
from tests.model.people import person_of
from tests.model.rows import Row, rows_at
from tests.model.values import Line


def row_drops(
    history: History, export: Export, start: Cut, closes: Sequence[Close], initial: bool
) -> Iterator[Drop]:
    for number, close in enumerate(closes):
        rows = rows_at(history, export.topic, close.cut)
        gone_since = _rows_gone_since(export, close, rows)
        if initial and number == 0:
            live = [row.life[-1] for row in rows.values() if row.is_live]
            outcomes = [
                (fact, ROW_GONE if entity_of(fact) in gone_since else EXPORTED) for fact in live
            ]
            missed = 0
        else:
            records = inputs(history, export, start, close.cut)
            outcomes = list(_outcomes(history, export, records, rows, gone_since))
            missed = sum(_is_birth_of_the_living(record, rows) for record in records)
        exported = sorted(
            (fact for fact, outcome in outcomes if outcome == EXPORTED), key=entity_of
        )
        lines = [_line(history, export, close, fact, rows[entity_of(fact)]) for fact in exported]
        warnings = Counter({"created while living": missed})
        warnings["profile never seen"] = sum(line.person.never_seen for line in lines)
        yield drop_of(export, lines, outcomes, warnings)
        start = close.cut


def _rows_gone_since(export: Export, close: Close, rows: Mapping[int, Row]) -> frozenset[int]:
    """A profile's deletion takes its line out of profile drops, if it ends the life that goes on;
    elsewhere it empties columns.
    """
    if export.type != "profile":
        return frozenset()
    deleted = close.deleted_since.get(export.database.name, {})
    return frozenset(one for one in deleted if one in rows and rows[one].is_ended_by(deleted[one]))


def _line(history: History, export: Export, close: Close, fact: Recorded, row: Row) -> Line:
    """The line of a row, for its last record that qualifies; its values may be of a later one."""
    if export.table is None:
        return Line(fact, row)
    facts = (fact, row.life[-1])
    return Line(fact, row, person_of(history, export, close, row.values.get("profileId"), facts))


def _outcomes(
    history: History,
    export: Export,
    records: Sequence[Recorded],
    rows: Mapping[int, Row],
    gone_since: frozenset[int],
) -> Iterator[tuple[Recorded, str]]:
    """Judge each record by itself; of those that qualify, a row's last one stands for it."""
    qualified: dict[int, list[Recorded]] = {}
    for record in records:
        outcome = fails_before_its_rules(history, record)
        if outcome is None:
            row = rows[entity_of(record)]
            if _is_not_this_increment(export, record, row, records):
                outcome = FILTERED
            elif row.is_of_ended_life(record) or not row.is_live or entity_of(record) in gone_since:
                outcome = ROW_GONE
            elif record not in row.life:
                outcome = SUPERSEDED
        if outcome is None:
            qualified.setdefault(entity_of(record), []).append(record)
        else:
            yield record, outcome
    for identity, facts in qualified.items():
        last = [event for event in rows[identity].life if event in facts][-1]
        for fact in facts:
            yield fact, EXPORTED if fact is last else SUPERSEDED


def _is_not_this_increment(
    export: Export, record: Recorded, row: Row, window: Sequence[Recorded]
) -> bool:
    match record.type:
        case "DELETED":
            return True
        case "CREATED":
            return export.event_type == "UPDATE"
        case _:
            return export.event_type == "CREATION" or _tells_of_creation(record, row, window)


def _tells_of_creation(update: Recorded, row: Row, window: Sequence[Recorded]) -> bool:
    """Whether an update occurred at the creationMoment of a row that was created in this same
    window: it doesn't count. Of a life that isn't the row's own any more nobody asks.
    """
    if update not in row.life or update.occurred_at != row.creation_moment:
        return False
    birth = row.life[0]
    return birth.type == "CREATED" and birth in window


def _is_birth_of_the_living(record: Recorded, rows: Mapping[int, Row]) -> bool:
    """Dead letters and repeats are no births; nor is an id known that only a repeat names."""
    row = rows.get(entity_of(record)) if record.event is not None else None
    return row is not None and record.position in row.births_of_the_living
