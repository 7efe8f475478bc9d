"""Cuts: taken once, recorded for good, monotone (SPEC §3, DESIGN "Closing a window")."""

import datetime as dt
from collections.abc import Iterable, Sequence
from pathlib import Path
from uuid import UUID

import pytest

from schemas.errors import HeldError
from sinks.closing.cut import Cuts, TopicCut, spans
from sinks.closing.offsets import OffsetAtTime
from streams.reading.kafka import TopicIdentity
from streams.storage.folder import FolderStore
from streams.storage.partitions import Partitions

TOPIC = "deltadrop.shop.profile"
ID = UUID(int=1)
OTHER_ID = UUID(int=2)


def at(hour: int) -> dt.datetime:
    return dt.datetime(2026, 3, 28, hour, tzinfo=dt.UTC)


class Broker:
    """Answers with the offsets it is given, and counts how often it was asked."""

    def __init__(self, *offsets: int) -> None:
        self.offsets = offsets
        self.asked = 0

    def at(self, topic: str, partitions: int, instant_ms: int) -> Sequence[OffsetAtTime]:
        self.asked += 1
        return [OffsetAtTime(offset, 0, offset) for offset in self.offsets]

    def identities(self, names: Iterable[str]) -> dict[str, TopicIdentity]:
        return {name: TopicIdentity(name, ID, len(self.offsets)) for name in names}


def cuts(root: Path, broker: Broker) -> Cuts:
    store = FolderStore(root)
    return Cuts(store, broker, broker, Partitions(store))  # type: ignore[arg-type]


def test_a_cut_is_taken_once_and_recorded_for_good(tmp_path: Path) -> None:
    first = cuts(tmp_path, Broker(10, 20)).take([TOPIC], at(5))
    later = Broker(99, 99)

    again = cuts(tmp_path, later).take([TOPIC], at(5))

    assert again == first
    assert later.asked == 0


def test_a_late_cut_is_never_past_a_later_recorded_one(tmp_path: Path) -> None:
    cuts(tmp_path, Broker(10, 20)).take([TOPIC], at(6))

    late = cuts(tmp_path, Broker(15, 5)).take([TOPIC], at(5))

    assert late[TOPIC].offsets == (10, 5)


def test_a_cut_is_never_before_an_earlier_recorded_one(tmp_path: Path) -> None:
    cuts(tmp_path, Broker(10, 20)).take([TOPIC], at(5))

    later = cuts(tmp_path, Broker(9, 30)).take([TOPIC], at(6))

    assert later[TOPIC].offsets == (10, 30)


def test_a_new_partition_starts_at_0() -> None:
    first = TopicCut(TOPIC, ID, at(5), (10,))

    window = spans(first, TopicCut(TOPIC, ID, at(6), (12, 7)))

    assert [(s.partition.partition, s.first, s.next) for s in window] == [
        (0, 10, 12),
        (1, 0, 7),
    ]


def test_a_partition_added_between_two_cuts_is_kept_when_clamped(
    tmp_path: Path,
) -> None:
    cuts(tmp_path, Broker(10)).take([TOPIC], at(5))

    later = cuts(tmp_path, Broker(12, 7)).take([TOPIC], at(6))

    assert later[TOPIC].offsets == (12, 7)


def test_a_topic_that_was_created_again_is_held() -> None:
    with pytest.raises(
        HeldError,
        match=r"topic deltadrop\.shop\.profile: the topic was deleted and created again",
    ):
        spans(TopicCut(TOPIC, ID, at(5), (10,)), TopicCut(TOPIC, OTHER_ID, at(6), (3,)))
