"""The tables that a close reads, on one connection: a topic's events, and states at a cut."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final, assert_never

import pyarrow as pa

from schemas.events import KINDS, EventType, Kind
from schemas.topics import Topic
from sinks.closing.bases import Bases
from sinks.editions import EDITION
from sinks.engine.engine import Ordered, Table
from sinks.engine.event_source import EventSource, clip
from sinks.ledger.intent import Deletion
from sinks.state.campaigns import fold_campaigns
from sinks.state.downloads import fold_downloads
from sinks.state.firsts import Firsts, fold_firsts
from sinks.state.lives import fold_rows, with_attributes, with_values_of
from sinks.state.order import POSITION
from sinks.state.repeats import repeats
from streams.storage.choice import Choice
from streams.storage.layout import TakenOutPath

__all__ = ["Before", "Reading"]

Before = Mapping[int, tuple[int, int]]
"""A window of a topic, by partition; the state before the window is wanted."""

_FIRSTS: Final = (EventType.OPENED, EventType.CLICKED)
_EVERYTHING: Final = (1 << 63) - 1


class Reading:
    """The tables of one close; the repeats of a topic are found only once."""

    def __init__(
        self,
        source: EventSource,
        bases: Bases,
        named: Mapping[str, str],
        choices: Sequence[Choice],
        *,
        firsts_days: int,
        repeat_hours: int,
    ) -> None:
        """named: by topic, the name of the base that its state starts from."""
        self.source = source
        self._bases = bases
        self._named = named
        self._choices = choices
        self._firsts_days = firsts_days
        self._repeat_hours = repeat_hours
        self._repeated: dict[Topic, Table] = {}

    def within(self, topic: Topic, bounds: Before) -> tuple[Choice, ...]:
        """Return the parts of a topic's choices that are within a window."""
        own = self._of(topic)
        return clip(own, {c.partition: bounds[c.partition.partition] for c in own})

    def repeated(self, topic: Topic) -> Table:
        """Return the repeats among all that is read of a topic; computed once."""
        if topic not in self._repeated:
            everything = self.source.carried(topic, KINDS[topic.kind].event_types, self._of(topic))
            prior = everything.select("eventId", "_partition", "_offset", "_appended_at")
            self._repeated[topic] = repeats(prior, self._repeat_hours)
        return self._repeated[topic]

    def rows(
        self,
        topic: Topic,
        before: Before | None = None,
        attributes: Collection[str] | None = None,
        edition: int = EDITION,
    ) -> Table:
        """Return the profiles, or the rows of a custom table, at the cut or before a window.

        edition: the edition of the rules. attributes: the attributes that will be used; None for
        all. The others aren't read. They must be named here, as the engine reads whole records once
        tables are joined.
        """
        base, since = self._base(topic, "rows"), self._since(topic, before)
        key = KINDS[topic.kind].key_field
        if base is not None:
            base = with_values_of(base, since, key)
        if attributes is not None:
            base = None if base is None else with_attributes(base, attributes)
            since = with_attributes(since, attributes)
        return fold_rows(base, since, self.repeated(topic), key, edition)

    def campaigns(self, topic: Topic) -> Table:
        """Return the campaigns at the cut."""
        base = self._base(topic, "campaigns")
        return fold_campaigns(base, self._since(topic), self.repeated(topic))

    def firsts(self, topic: Topic, before: Before | None = None) -> Firsts:
        """Return the remembered first openings and clicks, at the cut or before a window."""
        interactions, links = self._base(topic, "interactions"), self._base(topic, "links")
        base = (
            Firsts(interactions, links) if interactions is not None and links is not None else None
        )
        first = [
            event_type for event_type in _FIRSTS if event_type in KINDS[topic.kind].event_types
        ]
        since = self._since(topic, before, first, self.source.carried)
        return fold_firsts(base, since, self.repeated(topic), self._firsts_days)

    def downloaded(self, topic: Topic) -> Table:
        """Return the interactions that were downloaded by the cut."""
        since = self._since(topic, None, [EventType.DOWNLOADED])
        return fold_downloads(self._base(topic, "downloaded"), since, self.repeated(topic))

    def state(self, topic: Topic) -> dict[str, Callable[[], pa.RecordBatchReader]]:
        """Return how to read each table of a base, in order of ids, so that closes skip by
        statistics.

        Raises ValueError for a topic without state.
        """
        match topic.kind:
            case Kind.PROFILE | Kind.ROW:
                tables = {"rows": _by_id(self.rows(topic), KINDS[topic.kind].key_field)}
            case Kind.CAMPAIGN:
                tables = {"campaigns": _by_id(self.campaigns(topic), "campaignId")}
            case Kind.FILE_ACTIVITY:
                tables = {"downloaded": _by_id(self.downloaded(topic), "interactionId")}
            case Kind.EMAIL_ACTIVITY | Kind.SMS_ACTIVITY:
                firsts = self.firsts(topic)
                tables = {
                    "interactions": _by_id(firsts.interactions, "interactionId"),
                    "links": _by_id(firsts.links, "interactionId", "clickedUrl"),
                }
            case Kind.SUBSCRIPTION_UPDATE | Kind.SEGMENT_TRANSITION | Kind.MARKETING_CONSENT:
                raise ValueError(f"{topic.kind.value} leaves no state behind: see WITH_STATE")
            case _:
                assert_never(topic.kind)
        return {name: table.reader for name, table in tables.items()}

    def deletions(self, deletions: Sequence[Deletion]) -> Table:
        """Return a table of deletions of profiles: profileId, occurredAt."""
        ids = pa.array([deletion.profile_id for deletion in deletions], pa.int64())
        moments = pa.array(
            [deletion.occurred_at for deletion in deletions], pa.timestamp("ms", tz="UTC")
        )
        return self.source.table("deletions", pa.table({"profileId": ids, "occurredAt": moments}))

    def stored(self, name: str, table: Table, by: Sequence[str]) -> bytes:
        """Compute a table in order of whole numbers and return it as a Parquet file."""
        file = self.source.scratch / f"{name}.parquet"
        Ordered(table, tuple(by), tuple(table.columns)).write(file)
        return file.read_bytes()

    def _of(self, topic: Topic) -> tuple[Choice, ...]:
        return tuple(choice for choice in self._choices if choice.partition.topic == topic.name)

    def places(self, rows: Iterable[TakenOutPath]) -> Table:
        """Return a table of the places of some rows of one topic: partition and offset."""
        places = sorted(rows)
        partitions = pa.array([place.partition.partition for place in places], pa.int32())
        offsets = pa.array([place.offset for place in places], pa.int64())
        return self.source.table("places", pa.table([partitions, offsets], list(POSITION)))

    def _since(
        self,
        topic: Topic,
        before: Before | None = None,
        event_types: Sequence[EventType] = (),
        events: Callable[[Topic, Iterable[str], Sequence[Choice]], Table] | None = None,
    ) -> Table:
        """Return what came after the topic's base, up to the cut or to the beginning of a window.

        events: the function that reads it; the source's `events` by default.
        """
        own = self._of(topic)
        known: tuple[int, ...] = ()
        if topic.name in self._named:
            known = self._bases.base(topic.name, self._named[topic.name]).cut.offsets
        bounds = {}
        for choice in own:
            number = choice.partition.partition
            first = known[number] if number < len(known) else 0
            end = before[number][0] if before is not None else _EVERYTHING
            bounds[choice.partition] = (first, end)
        wanted = event_types or KINDS[topic.kind].event_types
        return (events or self.source.events)(topic, wanted, clip(own, bounds))

    def _base(self, topic: Topic, table: str) -> Table | None:
        if topic.name not in self._named:
            return None
        base = self.source.stored(self._bases.table(topic.name, self._named[topic.name], table))
        return self.source.narrowed(topic, base)


def _by_id(table: Table, key: str, *then: str) -> Ordered:
    return Ordered(table, (key,), tuple(table.columns), then)
