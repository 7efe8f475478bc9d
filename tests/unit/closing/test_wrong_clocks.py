"""Brokers whose clocks are wrong: what a close makes of the append times that they stamp (SPEC §3,
*Readings settled*).
"""

import json
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import pyarrow as pa
import pytest

from schemas.events import Kind
from sinks.commands.status_text import status_text
from sinks.service.status import status_of
from streams.clock_watch import ClockWatch, WrongTimes
from streams.reading.records import RECORDS, Chunk
from tests.shop.offline import OfflineShop, at, with_exports

OFFERS = "deltadrop.shop.subscription-update"


def shop_of(tmp_path: Path) -> OfflineShop:
    return OfflineShop(tmp_path, definitions=with_exports("offers"))


def test_a_record_that_is_stamped_three_days_ahead_ends_no_window(tmp_path: Path) -> None:
    shop = shop_of(tmp_path)
    rows = []
    told = {
        26: [at(5, 26)],
        27: [at(12, 26) + timedelta(days=3), at(13, 26)],
        28: [at(7, 27)],
        29: [at(7, 28)],
        30: [at(7, 29)],
    }
    for day, times in told.items():
        for appended in times:
            shop.tell(Kind.SUBSCRIPTION_UPDATE, "CHANGED", appended, at(5, 26), profileId=day)
        shop.store_all()
        rows.append(shop.close("offers", at(6, day)).rows)

    assert rows == [1, 2, 1, 1, 1]


def test_a_late_cut_looks_behind_what_is_stored_and_what_is_not(tmp_path: Path) -> None:
    shop = shop_of(tmp_path)
    told = (at(5, 26), at(12, 26) + timedelta(days=3), at(13, 26), at(7, 27), at(7, 28))
    for profile, appended in enumerate(told):
        shop.tell(Kind.SUBSCRIPTION_UPDATE, "CHANGED", appended, at(5, 26), profileId=profile)
    shop.batch(OFFERS, 0, 2)

    cut = shop.sinks.cuts.take([OFFERS], at(6, 27))

    assert cut[OFFERS].offsets == (3,)


def test_a_record_ahead_that_is_the_last_ends_the_window_and_comes_in_the_next(
    tmp_path: Path,
) -> None:
    shop = shop_of(tmp_path)
    shop.tell(Kind.SUBSCRIPTION_UPDATE, "CHANGED", at(7, 26), profileId=1)
    shop.tell(Kind.SUBSCRIPTION_UPDATE, "CHANGED", at(8, 29), at(8, 26), profileId=2)
    shop.store_all()
    first = shop.close("offers", at(6, 27))
    shop.tell(Kind.SUBSCRIPTION_UPDATE, "CHANGED", at(7, 27), profileId=3)
    shop.tell(Kind.SUBSCRIPTION_UPDATE, "CHANGED", at(7, 28), profileId=4)
    shop.store_all()

    second = shop.close("offers", at(6, 28))

    assert (first.rows, second.rows) == (1, 2)


def test_a_record_of_1970_makes_no_repeat_of_the_hours_before_it_new(tmp_path: Path) -> None:
    shop = shop_of(tmp_path)
    again = UUID(int=5)
    shop.tell(Kind.SUBSCRIPTION_UPDATE, "CHANGED", at(1, 26), event_id=again, profileId=1)
    shop.batch(OFFERS, 0, 1)
    shop.tell(
        Kind.SUBSCRIPTION_UPDATE, "CHANGED", at(0) - timedelta(days=20_000), at(2, 26), profileId=2
    )
    shop.batch(OFFERS, 1, 2)
    shop.tell(
        Kind.SUBSCRIPTION_UPDATE, "CHANGED", at(7, 26), at(1, 26), event_id=again, profileId=1
    )
    shop.batch(OFFERS, 2, 3)

    closed = shop.close("offers", at(6, 27))

    assert (closed.rows, closed.balance["duplicate"]) == (0, 1)


@pytest.mark.parametrize("wrong", [at(0) - timedelta(days=20_000), at(0) + timedelta(days=65_000)])
def test_a_record_of_another_century_costs_the_memory_of_firsts_no_more(
    tmp_path: Path, wrong: datetime
) -> None:
    shop = OfflineShop(tmp_path, definitions=with_exports("clicks"))
    shop.tell(Kind.CAMPAIGN, "CREATED", at(1, 26), campaignId=22)
    shop.store_all()
    shop.close("clicks", at(6, 26))
    clicks = {1: at(7, 26), 2: wrong, 3: at(8, 26)}
    for interaction, appended in clicks.items():
        shop.tell(Kind.EMAIL_ACTIVITY, "CLICKED", appended, at(7, 26), interactionId=interaction)
    shop.tell(Kind.EMAIL_ACTIVITY, "CLICKED", at(9, 26), interactionId=3)
    shop.store_all()
    closed = [shop.close("clicks", at(6, 27))]
    shop.tell(Kind.EMAIL_ACTIVITY, "CLICKED", at(7, 27), interactionId=1)
    shop.store_all()
    closed.append(shop.close("clicks", at(6, 28)))

    assert [one.rows for one in closed] == [3, 0]
    assert [one.balance["not first"] for one in closed] == [1, 1]


def test_append_times_that_go_back_are_warned_of_by_the_manifest_and_status(
    tmp_path: Path,
) -> None:
    shop = shop_of(tmp_path)
    for first, appended in enumerate((at(12, 29), at(13, 26), at(14, 26))):
        shop.tell(Kind.SUBSCRIPTION_UPDATE, "CHANGED", appended, at(13, 26))
        shop.batch(OFFERS, first, first + 1)

    shop.close("offers", at(6, 27))

    told = "offsets 1 to 2 are stamped 255,600 s earlier than what came before"
    [manifest] = shop.transferbox.rglob("*_20260327_*.manifest.json")
    assert (
        f"a broker's clock is wrong: {OFFERS}/0 {told}"
        in (json.loads(manifest.read_text())["warnings"])
    )
    status = status_of(shop.sinks.installation, at(6, 27))
    assert [one.clocks for one in status.partitions if one.topic == OFFERS] == [
        ("offset 0 is stamped 2026-03-29T12:00:00.000+00:00, ahead of now", told)
    ]
    assert f"a broker's clock is wrong: {OFFERS}/0 offset 0 is stamped" in status_text(
        status, at(6, 27)
    )
    assert status.to_json()["partitions"] != []


def test_append_times_ahead_of_the_worker_that_read_them_are_warned_of_by_the_manifest(
    tmp_path: Path,
) -> None:
    shop = shop_of(tmp_path)
    shop.tell(Kind.SUBSCRIPTION_UPDATE, "CHANGED", at(12, 26))
    shop.tell(Kind.SUBSCRIPTION_UPDATE, "CHANGED", at(0) + timedelta(days=65_000), at(13, 26))
    shop.tell(Kind.SUBSCRIPTION_UPDATE, "CHANGED", at(14, 26))
    shop.store_all()

    shop.close("offers", at(6, 27))

    [manifest] = shop.transferbox.rglob("*_20260327_*.manifest.json")
    told = (
        f"a broker's clock is wrong: {OFFERS}/0 offsets 0 to 3 are stamped up to"
        " 2204-03-14T00:00:00.000+00:00, ahead of the clock"
    )
    assert told in json.loads(manifest.read_text())["warnings"]


def test_clocks_that_are_apart_by_less_than_the_setting_are_right() -> None:
    watch = ClockWatch(3_600_000)
    assert watch.look([chunk(0, 0, 1_000, 3_600_900, 950)], now_ms=1_000) == WrongTimes()


def test_a_worker_counts_what_is_stamped_ahead_of_its_clock_and_what_goes_back() -> None:
    watch = ClockWatch(3_600_000)
    hours = 3_600_000

    first = watch.look([chunk(0, 0, hours, 9 * hours, 2 * hours)], now_ms=2 * hours)
    after = watch.look([chunk(0, 3, 5 * hours, 2 * hours, 3 * hours)], now_ms=5 * hours)
    elsewhere = watch.look([chunk(0, 100, 0)], now_ms=5 * hours)

    assert (first, after, elsewhere) == (
        WrongTimes(ahead=1),
        WrongTimes(back=2),
        WrongTimes(),
    )


def chunk(partition: int, first: int, *times: int) -> Chunk:
    """Records with these append times."""
    count = len(times)
    columns = [range(first, first + count), times, [b""] * count, [b""] * count]
    arrays = [pa.array(c, f.type) for c, f in zip(columns, RECORDS, strict=True)]
    piece = pa.RecordBatch.from_arrays(arrays, schema=RECORDS)
    return Chunk(partition, first, first + count, (piece,))
