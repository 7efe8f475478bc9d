"""Drops of activities on campaigns (SPEC §3, *Activities*)."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tests.model.campaigns import campaigns_at, is_active
from tests.model.closes import Close, fails_before_its_rules, inputs
from tests.model.drop import Drop, drop_of
from tests.model.exports import Export
from tests.model.firsts import Verdict, has_firsts, verdicts
from tests.model.history import Cut, Event, History, Recorded
from tests.model.outcomes import (
    ALREADY_DOWNLOADED,
    EXPORTED,
    FILTERED,
    INACTIVE_CAMPAIGN,
    NOT_FIRST,
    UNKNOWN_CAMPAIGN,
    WAITING,
)
from tests.model.people import person_of
from tests.model.values import Line

CLOSES_TO_WAIT = 3
"""A campaign may become known at one of so many further closes."""

CAMPAIGN_UNSUBSCRIBES = ("UNSUBSCRIBE_LINK", "LIST_UNSUBSCRIBE")


@dataclass(frozen=True)
class _Candidate:
    """A fact that only its campaign can keep out, its verdict on firsts, and at how many further
    closes the campaign is looked up.
    """

    fact: Recorded
    verdict: Verdict
    closes_left: int = CLOSES_TO_WAIT


def activity_drops(
    history: History, export: Export, start: Cut, closes: Sequence[Close]
) -> Iterator[Drop]:
    waiting: list[_Candidate] = []
    for close in closes:
        outcomes: list[tuple[Recorded, str]] = []
        candidates = list(waiting)
        for record, outcome, verdict in _judged_alone(history, export, start, close):
            if outcome is None:
                candidates.append(_Candidate(record, verdict))
            else:
                outcomes.append((record, outcome))
        waiting, lines = [], []
        campaigns = campaigns_at(history, export.campaign_topic, close.cut)
        downloaded = _downloaded(history, export, close.cut)
        for candidate in sorted(candidates, key=lambda candidate: candidate.fact.position):
            campaign = campaigns.get(candidate.fact.body["campaignId"])
            outcome = _by_its_campaign(candidate, campaign, close)
            if outcome == EXPORTED and candidate.fact.body["interactionId"] in downloaded:
                outcome = ALREADY_DOWNLOADED
            if outcome == WAITING:
                waiting.append(replace(candidate, closes_left=candidate.closes_left - 1))
            if outcome == EXPORTED:
                lines.append(_line(history, export, close, candidate, campaign))
            outcomes.append((candidate.fact, outcome))
        never_seen = sum(line.person.never_seen for line in lines)
        yield drop_of(export, lines, outcomes, Counter({"profile never seen": never_seen}))
        start = close.cut


def _judged_alone(
    history: History, export: Export, start: Cut, close: Close
) -> Iterator[tuple[Recorded, str | None, Verdict]]:
    """Each input record of the window with what its own window says of it; its campaign is not
    asked yet.
    """
    records = inputs(history, export, start, close.cut)
    firsts: Mapping[tuple[int, int], Verdict] = {}
    if has_firsts(export):
        facts = [r for r in records if fails_before_its_rules(history, r) is None]
        before = history.facts(export.topic, start)
        firsts = verdicts(before, facts, export)
    for record in records:
        verdict = firsts.get(record.position, Verdict(is_first=True))
        outcome = fails_before_its_rules(history, record)
        if outcome is None and is_filtered(export, record):
            outcome = FILTERED
        elif outcome is None and not verdict.is_first:
            outcome = NOT_FIRST
        yield record, outcome, verdict


def is_filtered(export: Export, record: Recorded) -> bool:
    if export.declared.channel is not None:
        return bool(record.body["channel"] != export.declared.channel)
    match record.type:
        case "BOUNCED":
            return bool(record.body["bounceStatusCategory"] == "TECHNICAL")
        case "UNSUBSCRIBED":
            return record.body["source"] not in CAMPAIGN_UNSUBSCRIBES
        case _:
            return False


def _by_its_campaign(candidate: _Candidate, campaign: Event | None, close: Close) -> str:
    if campaign is None:
        return WAITING if candidate.closes_left else UNKNOWN_CAMPAIGN
    return EXPORTED if is_active(campaign, close.cut.instant) else INACTIVE_CAMPAIGN


def _downloaded(history: History, export: Export, cut: Cut) -> set[int]:
    """The interactions that are no longer ready, as they were downloaded before the cut."""
    if export.event_type != "READY":
        return set()
    return {
        fact.body["interactionId"]
        for fact in history.facts(export.topic, cut)
        if fact.type == "DOWNLOADED"
    }


def _line(
    history: History, export: Export, close: Close, candidate: _Candidate, campaign: Event | None
) -> Line:
    fact = candidate.fact
    return Line(
        fact,
        person=person_of(history, export, close, fact.body["profileId"], [fact]),
        campaign=campaign,
        is_first_click=candidate.verdict.is_first_click,
    )
