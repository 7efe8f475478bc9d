"""A base is remade when what came since costs a close a good part of reading the base."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from schemas.events import Kind
from sinks.closing.bases import Base
from tests.shop.offline import OfflineShop, at, with_exports


def quiet_shop(folder: Path, batches: int) -> OfflineShop:
    """A profile told again and again, each time in a batch of its own; closed at 6."""
    shop = OfflineShop(folder, definitions=with_exports("profiles"))
    for number in range(batches):
        told = at(2) + timedelta(seconds=number)
        shop.tell(Kind.PROFILE, "UPDATED" if number else "CREATED", told, profileId=1)
        shop.store_all()
    shop.close_all(at(6))
    return shop


def remade(shop: OfflineShop, instant: datetime) -> list[Base]:
    return shop.sinks.rebase.remake_where_due(shop.sinks.streams.topics.values(), instant)


def test_rows_that_lie_in_many_files_are_worth_a_base(tmp_path: Path) -> None:
    shop = quiet_shop(tmp_path, batches=200)

    (base,) = remade(shop, at(6))

    assert (base.cut.topic, base.rows) == ("deltadrop.shop.profile", {"rows": 1})


def test_what_lies_in_few_files_is_read_without_one(tmp_path: Path) -> None:
    shop = quiet_shop(tmp_path, batches=190)

    assert remade(shop, at(6)) == []


def test_only_what_came_since_a_base_counts(tmp_path: Path) -> None:
    shop = quiet_shop(tmp_path, batches=200)
    remade(shop, at(6))
    next_day = at(6) + timedelta(days=1)
    shop.tell(Kind.PROFILE, "UPDATED", at(12), profileId=1)
    shop.store_all()
    shop.close_all(next_day)

    assert remade(shop, next_day) == []
    assert remade(shop, at(6)) == []


def test_a_batch_counts_once_however_many_partitions_it_has(tmp_path: Path) -> None:
    shop = OfflineShop(tmp_path, definitions=with_exports("profiles"))
    shop.log.partitions["deltadrop.shop.profile"] = 4
    for number in range(400):
        told = at(2) + timedelta(seconds=number)
        shop.tell(Kind.PROFILE, "CREATED", told, profileId=number + 1)
        if number % 4 == 3:
            shop.store_all()
    shop.close_all(at(6))

    assert remade(shop, at(6)) == []


def test_a_topic_whose_base_can_t_be_made_keeps_no_other_from_its_own(tmp_path: Path) -> None:
    shop = quiet_shop(tmp_path, batches=200)
    for number in range(200):
        shop.tell(Kind.CAMPAIGN, "CREATED", at(7) + timedelta(seconds=number), campaignId=1)
        shop.store_all()
    topics = list(shop.sinks.streams.topics)
    shop.sinks.cuts.take(topics, at(8))
    (hole, *_) = sorted(shop.root.glob("coverage/deltadrop.campaign~*/000000/*"))
    hole.unlink()
    shop.log.kept_from["deltadrop.campaign"] = 1

    assert [base.cut.topic for base in remade(shop, at(8))] == ["deltadrop.shop.profile"]
