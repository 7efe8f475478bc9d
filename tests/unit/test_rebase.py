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
    shop = quiet_shop(tmp_path, batches=100)

    (base,) = remade(shop, at(6))

    assert (base.cut.topic, base.rows) == ("deltadrop.shop.profile", {"rows": 1})


def test_what_lies_in_few_files_is_read_without_one(tmp_path: Path) -> None:
    shop = quiet_shop(tmp_path, batches=90)

    assert remade(shop, at(6)) == []


def test_only_what_came_since_a_base_counts(tmp_path: Path) -> None:
    shop = quiet_shop(tmp_path, batches=100)
    remade(shop, at(6))
    next_day = at(6) + timedelta(days=1)
    shop.tell(Kind.PROFILE, "UPDATED", at(12), profileId=1)
    shop.store_all()
    shop.close_all(next_day)

    assert remade(shop, next_day) == []
    assert remade(shop, at(6)) == []
