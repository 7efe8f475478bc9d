"""What the topics hold, in which order, and which of it is a repeat (SPEC §3, *Facts*)."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

Event = Mapping[str, Any]
"""One event as SPEC §8 writes it: JSON with moments as ISO 8601 strings."""

HOUR = 3_600_000
DAY = 24 * HOUR
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

KEY_FIELDS = {"profile": "profileId", "row": "id", "campaign": "campaignId"}
"""The kinds whose events are states of something, and the field that says of what."""


def milliseconds(moment: str) -> int:
    """UTC milliseconds of an ISO 8601 moment, truncated; whole numbers, so that no rounding can
    creep in.
    """
    since = datetime.fromisoformat(moment) - EPOCH
    return (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000


def topic_name(kind: str, database: str = "", table: str = "", prefix: str = "deltadrop") -> str:
    """The topic that carries a kind of event, of a database and a table where the kind has them."""
    if kind == "campaign":
        return f"{prefix}.campaign"
    return ".".join(part for part in (prefix, database, kind, table) if part)


@dataclass(frozen=True, slots=True)
class Recorded:
    """One record of a topic. `event` is None where the stream made a dead letter of it."""

    topic: str
    partition: int
    offset: int
    appended_at: int
    event: Event | None
    occurred_at: int = field(init=False)

    def __post_init__(self) -> None:
        occurred_at = milliseconds(self.event["occurredAt"]) if self.event else self.appended_at
        object.__setattr__(self, "occurred_at", occurred_at)

    @property
    def position(self) -> tuple[int, int]:
        return self.partition, self.offset

    @property
    def type(self) -> str:
        return str(self.body["eventType"])

    @property
    def body(self) -> Event:
        assert self.event is not None, "a dead letter has no body"
        return self.event


@dataclass(frozen=True, eq=False)
class Cut:
    """Where a window ends: its instant (UTC milliseconds), and of each topic-partition the first
    offset after it.
    """

    instant: int
    offsets: Mapping[tuple[str, int], int]

    def is_after(self, record: Recorded) -> bool:
        """Whether the record lies before the cut. A partition that the cut doesn't know is wholly
        behind it.
        """
        return record.offset < self.offsets.get((record.topic, record.partition), 0)


class History:
    """All records of all topics."""

    def __init__(self, records: Iterable[Recorded], repeat_hours: int = 48) -> None:
        self._topics: dict[str, list[Recorded]] = defaultdict(list)
        for record in records:
            self._topics[record.topic].append(record)
        self._repeats: set[tuple[str, int, int]] = set()
        for topic, held in self._topics.items():
            held.sort(key=lambda record: record.position)
            self._repeats.update(
                (topic, *repeat.position) for repeat in repeats(held, repeat_hours * HOUR)
            )

    def records(self, topic: str) -> list[Recorded]:
        """Everything in a topic by partition and offset, dead letters and repeats too."""
        return self._topics.get(topic, [])

    def facts(self, topic: str, before: Cut) -> list[Recorded]:
        """What counts in a topic up to a cut: neither dead letters nor repeats."""
        return [
            record
            for record in self.records(topic)
            if before.is_after(record) and record.event is not None and not self.is_repeat(record)
        ]

    def is_repeat(self, record: Recorded) -> bool:
        return (record.topic, *record.position) in self._repeats


def repeats(records: Iterable[Recorded], within: int) -> list[Recorded]:
    """The events of one topic whose eventId it already carried in the time before them (`within`,
    milliseconds).

    A repeat carries the id on: one that comes 40 hours after another is a repeat, and so is the
    next 40 hours later. A dead letter carries nothing, so that its replay after a fix counts.
    """
    found = []
    by_id: dict[str, list[Recorded]] = defaultdict(list)
    for record in records:
        if record.event is not None:
            by_id[record.event["eventId"]].append(record)
    for carriers in by_id.values():
        in_order = as_appended(carriers)
        found += [later for (before, _), (at, later) in pairwise(in_order) if at - before <= within]
    return found


def entity_of(record: Recorded) -> int:
    """The id of what the event is a state of."""
    return int(record.body[KEY_FIELDS[record.body["kind"]]])


def by_entity(facts: Iterable[Recorded]) -> dict[int, list[Recorded]]:
    """The events of each id of a topic of states, in the order in which they were appended."""
    told: dict[int, list[Recorded]] = defaultdict(list)
    for fact in facts:
        told[entity_of(fact)].append(fact)
    return {entity: [fact for _, fact in as_appended(own)] for entity, own in told.items()}


def as_appended(of_one_id: Iterable[Recorded]) -> list[tuple[int, Recorded]]:
    """The records of one id in the order in which they were appended, each with when that was.

    Within a partition that is the order of offsets. Across partitions (an id moves when a topic
    gains some) it is the order of append times, where a clock that was set back in between doesn't
    pull a record before its predecessor in the same partition: it counts at the latest time seen so
    far.
    """
    latest: dict[int, int] = {}
    timed = []
    for record in sorted(of_one_id, key=lambda record: record.position):
        latest[record.partition] = max(latest.get(record.partition, 0), record.appended_at)
        timed.append((latest[record.partition], record))
    return sorted(timed, key=lambda one: (one[0], one[1].position))
