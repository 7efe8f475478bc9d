"""First openings and first clicks (SPEC §3, *Activities*)."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field

from tests.model.exports import Export
from tests.model.history import DAY, Recorded

FIRSTS = ("OPENED", "CLICKED")
"""Of an e-mail's interaction both are remembered; an SMS has clicks only."""


@dataclass
class Memory:
    """What is remembered of an interaction that was opened: since when (append time), and which
    links were clicked.
    """

    began: int
    links: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Verdict:
    """Whether an event is a first, and (of a click) whether no link of its interaction was clicked
    before.
    """

    is_first: bool
    is_first_click: bool = False


def has_firsts(export: Export) -> bool:
    return export.kind in ("email-activity", "sms-activity") and export.event_type in FIRSTS


def verdicts(
    before: Iterable[Recorded], window: Iterable[Recorded], export: Export
) -> dict[tuple[int, int], Verdict]:
    """Judge the openings and clicks of a window, by position: the first opening (a click is one
    too), the first click on each link of an e-mail, or the first click of an SMS.

    before: the facts appended before the window; window: the facts in it. What is remembered takes
    no part; a fact that was appended when the memory had ended may be a first again.
    """
    lasts = export.firsts_days * DAY
    memories = remember(before, lasts)

    def links(fact: Recorded) -> set[str] | None:
        memory = memories.get(_interaction(fact))
        return memory.links if memory and fact.appended_at - memory.began < lasts else None

    facts = [fact for fact in window if fact.type in FIRSTS]
    if export.event_type == "OPENED" or export.kind == "sms-activity":
        firsts = earliest((fact for fact in facts if links(fact) is None), _interaction)
        return {fact.position: Verdict(fact.position in firsts) for fact in facts}

    clicks = [fact for fact in facts if fact.type == "CLICKED"]
    first_on_link = earliest(
        (fact for fact in clicks if _link(fact)[1] not in (links(fact) or ())), _link
    )
    first_of_all = earliest((fact for fact in clicks if not links(fact)), _interaction)
    return {
        fact.position: Verdict(fact.position in first_on_link, fact.position in first_of_all)
        for fact in clicks
    }


def remember(facts: Iterable[Recorded], for_how_long: int) -> dict[int, Memory]:
    """What earlier windows leave behind. An interaction that is heard of again after its time
    begins anew.
    """
    memories: dict[int, Memory] = {}
    for fact in sorted(facts, key=lambda fact: (fact.appended_at, fact.position)):
        if fact.type not in FIRSTS:
            continue
        memory = memories.get(_interaction(fact))
        if memory is None or fact.appended_at - memory.began >= for_how_long:
            memory = memories[_interaction(fact)] = Memory(began=fact.appended_at)
        if fact.type == "CLICKED":
            memory.links.add(fact.body.get("clickedUrl", ""))
    return memories


def earliest(
    facts: Iterable[Recorded], group: Callable[[Recorded], Hashable]
) -> set[tuple[int, int]]:
    """The position of the earliest fact of each group; a tie goes to the lowest partition, then
    offset.
    """
    groups: dict[Hashable, list[tuple[int, tuple[int, int]]]] = defaultdict(list)
    for fact in facts:
        groups[group(fact)].append((fact.occurred_at, fact.position))
    return {min(group)[1] for group in groups.values()}


def _interaction(fact: Recorded) -> int:
    return int(fact.body["interactionId"])


def _link(fact: Recorded) -> tuple[int, str]:
    return _interaction(fact), fact.body["clickedUrl"]
