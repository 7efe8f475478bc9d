"""What is built on the store holds on one that loses answers: what was recorded is the same to all,
and who was told nothing runs again.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast
from uuid import UUID

import pytest

from schemas.errors import DeltadropError, PartitionError
from schemas.events import Kind
from sinks.closing.cut import Cuts, TopicCut
from sinks.ledger.intent import Intent
from sinks.ledger.lease import Lease
from sinks.ledger.ledger import Ledger
from streams.reading.kafka import Topics
from streams.recovery.set_aside import pass_over
from streams.storage.coverage import CoverageRecord, PassedOver, tile
from streams.storage.layout import CoveragePath, TopicPartition
from streams.storage.partitions import Partitions
from streams.storage.taken_out import TakenOut, TakenOutPath
from tests.properties.test_stored_paths import KINDS
from tests.shop.bucket import Bucket, BucketStore
from tests.shop.offline import TOPIC_ID, Log, OfflineShop, Record, at
from tests.shop.planted import BOB, delete, live
from tests.store_contract import together

T = TypeVar("T")

SEEDS = range(5)
WORKERS = 6
TOPIC = "deltadrop.shop.profile"
OWNER = TopicPartition(TOPIC, TOPIC_ID, 0)

every_seed = pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: f"seed {seed}")


@pytest.fixture
def store(seed: int, tmp_path: Path) -> BucketStore:
    """Every third request has no answer, and is given up after two."""
    return BucketStore(Bucket(seed, faults=0.3), tmp_path, attempts=2)


def again(run: Callable[[], T]) -> T:
    """Run until it is answered, as who runs a close or a worker does."""
    for _ in range(1_000):
        try:
            return run()
        except PartitionError as error:
            assert error.what == "the store doesn't answer"
    raise AssertionError(f"never answered: {run}")


def told(run: Callable[[int], T]) -> list[T]:
    """What many are told who run the same at once."""
    answers: list[T] = []
    together(lambda number: answers.append(again(lambda: run(number))), WORKERS)
    assert len(answers) == WORKERS
    return answers


@every_seed
def test_all_closers_are_told_of_one_intent_and_one_chain(store: BucketStore) -> None:
    ledger = Ledger(store)
    for hour in range(6, 16):
        instant = at(hour)

        def close(number: int, instant: dt.datetime = instant) -> tuple[Intent, dt.datetime]:
            mine = Intent("sent", instant, at(5), None, {"of": number}, {}, (), {})
            recorded = ledger.record_intent(mine)
            return recorded, ledger.claim("sent", instant, at(20) + dt.timedelta(seconds=number))

        answers = told(close)

        assert answers == [answers[0]] * WORKERS
        assert again(lambda one=instant: ledger.intent("sent", one)) == answers[0][0]
    assert again(lambda: list(ledger.closes("sent"))) == [at(hour) for hour in range(6, 16)]
    assert store.bucket.lost > 0


@every_seed
def test_all_are_told_of_one_cut(store: BucketStore) -> None:
    instant = dt.datetime(2026, 3, 27, 6, tzinfo=dt.UTC)

    def take(number: int) -> TopicCut:
        log = Log()  # which has got longer for each
        log.records[TOPIC] = [Record(0, b"", b"")] * number
        cuts = Cuts(store, cast("Topics", log), log, Partitions(store))
        return cuts.take([TOPIC], instant)[TOPIC]

    answers = told(take)

    assert len({answer.offsets for answer in answers}) == 1


@every_seed
def test_a_worker_that_writes_coverage_again_covers_each_offset_once(store: BucketStore) -> None:
    partitions = Partitions(store)

    def write(number: int) -> None:
        path = CoveragePath(OWNER, number * 10, number * 10 + 10, f"batch{number}")
        partitions.write_coverage(CoverageRecord(path, {}, (), (), None))

    told(write)

    tiling = tile(again(lambda: partitions.coverage(OWNER)), 0, WORKERS * 10)
    assert [(piece.first, piece.next) for piece in tiling.tiles] == [
        (first, first + 10) for first in range(0, WORKERS * 10, 10)
    ]
    assert tiling.is_whole


@every_seed
def test_all_are_told_why_offsets_were_passed_over_and_a_row_taken_out(store: BucketStore) -> None:
    partitions = Partitions(store)
    path = TakenOutPath(OWNER, 7)

    def settle(number: int) -> tuple[list[PassedOver | None], TakenOut]:
        over = pass_over(partitions, OWNER, 3, 9, f"reason {number}")
        taken = partitions.taken_out.record(TakenOut(path, f"reason {number}", "now"))
        return [record.passed_over for record in over], taken

    answers = told(settle)

    assert len({taken.reason for _, taken in answers}) == 1
    recorded = again(lambda: partitions.record(CoveragePath(OWNER, 3, 9, "passedover")))
    assert all(why in ([], [recorded.passed_over]) for why, _ in answers)


@every_seed
def test_a_lease_has_one_holder_at_a_time(store: BucketStore) -> None:
    now = dt.datetime(2026, 3, 27, tzinfo=dt.UTC)
    fences: dict[int, set[str]] = {}
    for _ in range(4):
        moment = now

        def take(number: int, moment: dt.datetime = moment) -> tuple[int, str] | None:
            holder = f"process {number}"
            lease = Lease(store, "schedule", holder=holder, seconds=60, now=lambda: moment)
            grant = lease.take()
            return (grant.fence, holder) if grant else None

        held = {answer for answer in told(take) if answer}
        # Who was told nothing of a grant of its own finds it when it asks the next time.
        held |= {answer for number in range(WORKERS) if (answer := again(lambda n=number: take(n)))}
        assert len(held) == 1
        for fence, holder in held:
            fences.setdefault(fence, set()).add(holder)
        now += dt.timedelta(seconds=90)
    assert [len(holders) for holders in fences.values()] == [1] * len(fences)


def night(shop: OfflineShop, run: Callable[[Callable[[], T]], T]) -> dict[str, bytes]:
    """Events, a close, a deletion and an erase pass; what partners then have."""
    ids = (UUID(int=number) for number in range(100))
    shop.tell(Kind.CAMPAIGN, "CREATED", at(1), campaignId=22, event_id=next(ids))
    live(shop, BOB, "PLANTED", 2)
    run(shop.store_all)  # type: ignore[arg-type]
    run(lambda: shop.close("sent", at(6)))  # type: ignore[arg-type,return-value]
    delete(shop, BOB, 7)
    run(shop.store_all)  # type: ignore[arg-type]

    def erase() -> None:
        left = shop.sinks.eraser.run().left
        if left:
            raise PartitionError("; ".join(left))

    run(erase)  # type: ignore[arg-type]
    return {file.name: file.read_bytes() for file in shop.transferbox.rglob("*.csv*")}


def test_a_night_on_an_object_store_gives_the_bytes_that_one_in_a_folder_gives(
    tmp_path: Path,
) -> None:
    expected = night(OfflineShop(tmp_path / "folder"), lambda step: step())
    assert "sent_20260327_0600-r1.csv.gz" in expected
    bucket, fetched = Bucket(), tmp_path / "fetched"
    fetched.mkdir()
    shop = OfflineShop(tmp_path / "bucket", store=BucketStore(bucket, fetched))

    assert night(shop, lambda step: step()) == expected
    assert len(bucket.objects) > 20
    assert [key for key in bucket.objects if not any(kind.match(key) for kind in KINDS)] == []
    assert not [path for path in shop.root.rglob("*") if path.is_file() and _is_product(path, shop)]


@pytest.mark.parametrize("seed", [1, 2], ids=lambda seed: f"seed {seed}")
def test_a_night_that_is_run_again_where_answers_are_lost_ends_with_the_same_bytes(
    tmp_path: Path, seed: int
) -> None:
    expected = night(OfflineShop(tmp_path / "folder"), lambda step: step())
    bucket, fetched = Bucket(seed, faults=0.15), tmp_path / "fetched"
    fetched.mkdir()
    failed = 0

    def until_done(step: Callable[[], T]) -> T:
        nonlocal failed
        for _ in range(200):
            try:
                return step()
            except DeltadropError:
                failed += 1
        raise AssertionError("never done")

    shop = OfflineShop(tmp_path / "bucket", store=BucketStore(bucket, fetched, attempts=2))

    assert night(shop, until_done) == expected
    assert failed > 0


def _is_product(path: Path, shop: OfflineShop) -> bool:
    """Whether a file is neither a drop nor a run's scratch."""
    return path.relative_to(shop.root).parts[0] not in ("transferbox", "scratch", "locks")
