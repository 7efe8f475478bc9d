"""The drops of an export's successive closes, and what became of every record (SPEC §3, *Facts* and
*Balance*).
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tests.model.campaigns import campaigns_at, is_active
from tests.model.exports import Export
from tests.model.firsts import FIRSTS, Verdict, verdicts
from tests.model.history import Cut, History, Recorded
from tests.model.people import is_gone
from tests.model.rows import Row, rows_at
from tests.model.values import Line, csv_text, line_of

DEAD_LETTER = "dead letter"
DUPLICATE = "duplicate"
FILTERED = "filtered"
NOT_FIRST = "not first"
WAITING = "waiting for its campaign"
UNKNOWN_CAMPAIGN = "unknown campaign"
INACTIVE_CAMPAIGN = "inactive campaign"
ROW_GONE = "row gone"
ALREADY_DOWNLOADED = "already downloaded"
SUPERSEDED = "superseded"
EXPORTED = "exported"

OUTCOMES = (
    DEAD_LETTER,
    DUPLICATE,
    FILTERED,
    NOT_FIRST,
    WAITING,
    UNKNOWN_CAMPAIGN,
    INACTIVE_CAMPAIGN,
    ROW_GONE,
    ALREADY_DOWNLOADED,
    SUPERSEDED,
    EXPORTED,
)
"""What can become of a record, in the order of SPEC §3: the first that applies counts."""

CLOSES_TO_WAIT = 3
"""A campaign may become known at one of so many further closes."""

CAMPAIGN_UNSUBSCRIBES = ("UNSUBSCRIBE_LINK", "LIST_UNSUBSCRIBE")


@dataclass(frozen=True)
class Close:
    """One close: its cut, and by database the profiles whose deletion was recorded between cut and
    writing.
    """

    cut: Cut
    deleted_since: Mapping[str, frozenset[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Drop:
    """What one close should deliver.

    lines: values as text before quoting, None where the field is empty; facts: the exported record
    behind each line; balance: outcome → records, with every outcome of SPEC; warnings: what the
    report should mention.
    """

    header: list[str]
    lines: list[list[str | None]]
    facts: list[Recorded]
    outcomes: list[tuple[Recorded, str]]
    warnings: Counter[str]
    separator: str = ","

    @property
    def balance(self) -> dict[str, int]:
        counted = Counter(outcome for _, outcome in self.outcomes)
        return {outcome: counted[outcome] for outcome in OUTCOMES}

    def text(self) -> str:
        return csv_text(self.header, self.lines, self.separator)


def drops_of(
    history: History,
    export: Export,
    start: Cut,
    closes: Sequence[Close],
    initial: bool = False,
) -> list[Drop]:
    """The export's drops. start: the cut that the first window begins at; initial: the first close
    holds every row.
    """
    if export.is_of_rows:
        return list(_row_drops(history, export, start, closes, initial))
    return list(_activity_drops(history, export, start, closes))


def _window(history: History, topic: str, start: Cut, end: Cut) -> list[Recorded]:
    """All records between two cuts, by partition and offset."""
    return [
        record
        for record in history.records(topic)
        if end.is_after(record) and not start.is_after(record)
    ]


def _fails_before_its_rules(history: History, record: Recorded) -> str | None:
    if record.event is None:
        return DEAD_LETTER
    return DUPLICATE if history.is_repeat(record) else None


def _is_input(export: Export, record: Recorded) -> bool:
    """Dead letters count in every export of their topic, as nobody can say what they were."""
    return record.event is None or record.type in export.inputs


# Rows


def _row_drops(
    history: History, export: Export, start: Cut, closes: Sequence[Close], initial: bool
) -> Iterator[Drop]:
    for number, close in enumerate(closes):
        rows = rows_at(history, export.topic, close.cut)
        gone_since = close.deleted_since.get(export.database.name, frozenset())
        if initial and number == 0:
            live = [row.life[-1] for row in rows.values() if row.is_live]
            outcomes = [(fact, ROW_GONE if _id(fact) in gone_since else EXPORTED) for fact in live]
        else:
            records = [
                r for r in _window(history, export.topic, start, close.cut) if _is_input(export, r)
            ]
            outcomes = list(_row_outcomes(history, export, records, rows, gone_since))
        exported = sorted((fact for fact, outcome in outcomes if outcome == EXPORTED), key=_id)
        lines = [Line(fact, rows[_id(fact)]) for fact in exported]
        missed = sum(
            _is_birth_of_the_living(fact, rows[_id(fact)]) for fact, _ in outcomes if fact.event
        )
        yield _drop(export, lines, outcomes, Counter({"created while living": missed}))
        start = close.cut


def _row_outcomes(
    history: History,
    export: Export,
    records: Iterable[Recorded],
    rows: Mapping[int, Row],
    gone_since: frozenset[int],
) -> Iterator[tuple[Recorded, str]]:
    """Judge each record by itself; of those that qualify, a row's last one stands for it."""
    qualified: dict[int, list[Recorded]] = {}
    for record in records:
        outcome = _fails_before_its_rules(history, record)
        if outcome is None:
            row = rows[_id(record)]
            if _is_not_this_increment(export, record, row):
                outcome = FILTERED
            elif row.is_of_ended_life(record) or not row.is_live or _id(record) in gone_since:
                outcome = ROW_GONE
            elif record not in row.life:
                outcome = SUPERSEDED
        if outcome is None:
            qualified.setdefault(_id(record), []).append(record)
        else:
            yield record, outcome
    for identity, facts in qualified.items():
        last = [event for event in rows[identity].life if event in facts][-1]
        for fact in facts:
            yield fact, EXPORTED if fact is last else SUPERSEDED


def _is_not_this_increment(export: Export, record: Recorded, row: Row) -> bool:
    match record.type:
        case "DELETED":
            return True
        case "CREATED":
            return export.event_type == "UPDATE"
        case _:
            return export.event_type == "CREATION" or _has_equal_moments(record, row)


def _has_equal_moments(update: Recorded, row: Row) -> bool:
    """Whether an update only tells of the creation once more; of an ended life nobody can say."""
    if update not in row.life or row.creation_moment is None:
        return False
    return row.creation_moment in (update.occurred_at, row.update_moment)


def _is_birth_of_the_living(record: Recorded, row: Row) -> bool:
    return record.position in row.births_of_the_living


def _id(fact: Recorded) -> int:
    return int(fact.body["profileId"])


# Activities


@dataclass(frozen=True)
class _Waiting:
    """A fact whose campaign isn't known yet, its verdict on firsts, and at how many further closes
    it is looked up.
    """

    fact: Recorded
    verdict: Verdict
    closes_left: int = CLOSES_TO_WAIT


def _activity_drops(
    history: History, export: Export, start: Cut, closes: Sequence[Close]
) -> Iterator[Drop]:
    waiting: list[_Waiting] = []
    for close in closes:
        outcomes: list[tuple[Recorded, str]] = []
        candidates = list(waiting)
        for record, outcome, verdict in _judged_alone(history, export, start, close):
            if outcome is None:
                candidates.append(_Waiting(record, verdict))
            else:
                outcomes.append((record, outcome))
        waiting, lines, warnings = [], [], Counter[str]()
        campaigns = campaigns_at(history, export.campaign_topic, close.cut)
        for candidate in sorted(candidates, key=lambda candidate: candidate.fact.position):
            campaign = campaigns.get(candidate.fact.body["campaignId"])
            if campaign is None and candidate.closes_left:
                waiting.append(replace(candidate, closes_left=candidate.closes_left - 1))
                outcome = WAITING
            elif campaign is None:
                outcome = UNKNOWN_CAMPAIGN
            elif not is_active(campaign, close.cut.instant):
                outcome = INACTIVE_CAMPAIGN
            else:
                outcome = EXPORTED
                line = _activity_line(history, export, close, candidate)
                lines.append(replace(line, campaign=campaign))
                warnings["profile never seen"] += line.profile is None and not line.gone
            outcomes.append((candidate.fact, outcome))
        yield _drop(export, lines, outcomes, warnings)
        start = close.cut


def _judged_alone(
    history: History, export: Export, start: Cut, close: Close
) -> Iterator[tuple[Recorded, str | None, Verdict]]:
    """Each input record of the window with what its own window says of it; its campaign is not
    asked yet.
    """
    records = [r for r in _window(history, export.topic, start, close.cut) if _is_input(export, r)]
    firsts: Mapping[tuple[int, int], Verdict] = {}
    if export.event_type in FIRSTS:
        facts = [r for r in records if _fails_before_its_rules(history, r) is None]
        before = history.facts(export.topic, start)
        firsts = verdicts(before, facts, export.event_type, close.cut.instant, export.firsts_days)
    for record in records:
        verdict = firsts.get(record.position, Verdict(is_first=True))
        outcome = _fails_before_its_rules(history, record)
        if outcome is None and _is_filtered(record):
            outcome = FILTERED
        elif outcome is None and not verdict.is_first:
            outcome = NOT_FIRST
        yield record, outcome, verdict


def _is_filtered(record: Recorded) -> bool:
    match record.type:
        case "BOUNCED":
            return bool(record.body["bounceStatusCategory"] == "TECHNICAL")
        case "UNSUBSCRIBED":
            return record.body["source"] not in CAMPAIGN_UNSUBSCRIBES
        case _:
            return False


def _activity_line(history: History, export: Export, close: Close, candidate: _Waiting) -> Line:
    identity = _id(candidate.fact)
    profile = rows_at(history, export.profile_topic, close.cut).get(identity)
    deleted_since = identity in close.deleted_since.get(export.database.name, ())
    gone = is_gone(candidate.fact, profile, deleted_since)
    shown = None if gone else profile
    return Line(
        candidate.fact,
        shown,
        gone=gone,
        is_first_click=candidate.verdict.is_first_click,
    )


def _drop(
    export: Export,
    lines: Iterable[Line],
    outcomes: list[tuple[Recorded, str]],
    warnings: Counter[str],
) -> Drop:
    lines = list(lines)
    return Drop(
        header=export.header,
        lines=[line_of(export, line) for line in lines],
        facts=[line.fact for line in lines],
        outcomes=outcomes,
        warnings=+warnings,
        separator=export.formats.separator,
    )
