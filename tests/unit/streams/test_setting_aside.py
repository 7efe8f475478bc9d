"""What a worker does about a partition that can't go on: once told, now and then tried again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast
from uuid import UUID

import aiokafka
import pytest
from aiokafka.errors import RecordTooLargeError, TopicAuthorizationFailedError
from faust.types import TP
from structlog.testing import capture_logs

from streams.reading.faust_transport import BatchConsumer
from streams.reading.fetch import UnreadableBatchError
from streams.reading.fetch_thread import Trouble, _trouble
from streams.recovery.set_aside import SetAside, SetAsides, pass_over, passed_over_until
from streams.recovery.setting_aside import SettingAside
from streams.storage.folder import FolderStore
from streams.storage.layout import PASSED_OVER, CoveragePath, TopicPartition
from streams.storage.partitions import Partitions

ILL = TP("shop.profile", 0)
IDS = {ILL.topic: UUID(int=7)}
OWNER = TopicPartition(ILL.topic, IDS[ILL.topic], 0)
TROUBLE = Trouble(40, 45, "it can't be read", "mend it")


class Consumer:
    """What is asked of a consumer: it has one partition, and no server."""

    def __init__(self) -> None:
        self.troubles = {ILL: TROUBLE}
        self.assigned = {ILL}
        self.went_on: list[int] = []
        self.is_clear = True

    def assignment(self) -> set[TP]:
        return self.assigned

    def go_on(self, tp: TP, offset: int) -> bool:
        if self.is_clear:
            self.went_on.append(offset)
            del self.troubles[tp]
        return self.is_clear


class Clock:
    seconds = 1000.0

    def now(self) -> float:
        return self.seconds


@pytest.fixture
def partitions(tmp_path: Path) -> Partitions:
    return Partitions(FolderStore(tmp_path))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def aside(partitions: Partitions, clock: Clock) -> SettingAside:
    return SettingAside({ILL.topic: partitions}, clock.now)


def look(aside: SettingAside, consumer: Consumer) -> None:
    asyncio.run(aside.look(cast("BatchConsumer", consumer), IDS))


def test_it_is_recorded_and_told_once_however_often_it_is_tried_again(
    aside: SettingAside, partitions: Partitions, clock: Clock
) -> None:
    consumer = Consumer()
    with capture_logs() as logs:
        for _ in range(60):
            look(aside, consumer)
            clock.seconds += 60
            consumer.troubles = {ILL: TROUBLE}  # the next try failed

    told = [line for line in logs if line["log_level"] == "error"]
    assert [(line["event"], line["offset"]) for line in told] == [("partition set aside", 40)]
    assert "deltadrop pass-over shop.profile 0 --to 45 --reason '…'" in told[0]["hint"]
    [one] = SetAsides(partitions).all()
    assert (one.offset, one.next_offset, one.reason) == (40, 45, "it can't be read")
    assert aside.partitions == {(ILL.topic, 0)}
    assert set(consumer.went_on) == {40}
    assert 5 <= len(consumer.went_on) <= 12, "an hour: ever later, at most ten minutes apart"


def test_it_goes_on_behind_what_was_passed_over_once_what_stood_before_is_stored(
    aside: SettingAside, partitions: Partitions, clock: Clock
) -> None:
    consumer = Consumer()
    look(aside, consumer)
    pass_over(partitions, OWNER, 40, 45, "a disk was broken")
    pass_over(partitions, OWNER, 45, 50, "another batch")
    clock.seconds += 10
    consumer.is_clear = False
    look(aside, consumer)
    assert consumer.went_on == []

    consumer.is_clear = True
    look(aside, consumer)
    assert consumer.went_on == [50]

    clock.seconds += 10
    look(aside, consumer)
    assert aside.partitions == frozenset()
    assert list(partitions.store.names("set-aside")) == []


def test_what_was_passed_over_before_is_told_by_nobody(
    aside: SettingAside, partitions: Partitions
) -> None:
    consumer = Consumer()
    pass_over(partitions, OWNER, 40, 45, "a disk was broken")
    with capture_logs() as logs:
        look(aside, consumer)

    assert consumer.went_on == [45]
    assert [line["log_level"] for line in logs] == ["info"]
    assert list(partitions.store.names("set-aside")) == []


def test_a_partition_that_another_worker_has_now_isnt_told_any_more(
    aside: SettingAside, partitions: Partitions
) -> None:
    consumer = Consumer()
    look(aside, consumer)
    consumer.troubles, consumer.assigned = {}, set()

    look(aside, consumer)

    assert aside.partitions == frozenset()
    assert len(list(SetAsides(partitions).all())) == 1, "the other finds it as it was"


def test_the_first_offset_that_it_cant_go_on_from_is_recorded(partitions: Partitions) -> None:
    asides = SetAsides(partitions)
    later, first = (SetAside(OWNER, at, None, "why", "", "then") for at in (40, 20))

    assert asides.record(later) == later
    assert asides.record(first) == first
    assert asides.record(later) == first
    pass_over(partitions, OWNER, 20, 30, "gone")
    assert asides.of(OWNER) is None
    assert asides.record(later) == later


def test_what_somebody_else_has_put_there_hides_nothing(
    partitions: Partitions, tmp_path: Path
) -> None:
    one = SetAsides(partitions).record(SetAside(OWNER, 40, None, "why", "", "then"))
    (tmp_path / "set-aside" / "README").write_text("a note")
    other = tmp_path / "set-aside" / f"shop.other~{UUID(int=8)}"
    other.mkdir()
    (other / "000000").write_text("{")

    assert list(SetAsides(partitions).all()) == [one]


def test_a_pass_over_leaves_what_is_stored_and_done_twice_changes_nothing(
    partitions: Partitions,
) -> None:
    stored = CoveragePath(OWNER, 43, 47, "0a")
    partitions.store.create(str(stored), b"{}")

    [before, behind] = pass_over(partitions, OWNER, 40, 50, "a disk was broken")
    assert pass_over(partitions, OWNER, 40, 50, "another") == []

    assert before.path == CoveragePath(OWNER, 40, 43, PASSED_OVER)
    assert behind.path == CoveragePath(OWNER, 47, 50, PASSED_OVER)
    assert before.passed_over is not None
    assert before.passed_over.reason == "a disk was broken"
    assert partitions.record(before.path) == before
    assert passed_over_until(partitions, OWNER, 40) == 43


UNREADABLE = UnreadableBatchError(
    "why", topic=ILL.topic, partition=0, offset=40, next_offset=45, hint="mend it"
)


@pytest.mark.parametrize(
    ("error", "at", "offsets"),
    [
        (UNREADABLE, 40, (40, 45)),
        (UNREADABLE, 42, (42, 45)),  # its first part was read
        (RecordTooLargeError("of %s at %s", aiokafka.TopicPartition(*ILL), 40, 9), 41, (40, None)),
        (TopicAuthorizationFailedError(ILL.topic), 40, (40, None)),
    ],
)
def test_an_error_of_a_fetch_is_the_trouble_of_its_own_partitions(
    error: UnreadableBatchError, at: int, offsets: tuple[int, int | None]
) -> None:
    trouble = _trouble(error, aiokafka.TopicPartition(*ILL), at)

    assert trouble is not None
    assert (trouble.offset, trouble.next_offset) == offsets
    assert _trouble(error, aiokafka.TopicPartition("shop.other", 0), 7) is None
