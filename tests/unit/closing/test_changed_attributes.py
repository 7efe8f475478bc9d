"""Attributes are added to a table and removed from it: its closes go on, whatever is stored."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from unittest.mock import patch

import pytest

from schemas.events import Kind
from sinks.repair.redrop import Redropper
from tests.shop.offline import OfflineShop, at, with_exports

CITY = "  - {name: city, type: string}\n"
CHANGES = {
    "added": CITY + "  - {name: town, type: string}\n",
    "removed": "",
    "replaced": "  - {name: town, type: string}\n",
}


def shop_of_a_day(folder: Path, *, based: bool) -> OfflineShop:
    """A shop whose first window is closed; with a base at its end, or without."""
    shop = OfflineShop(folder, definitions=with_exports("profiles", "sent"))
    shop.tell(Kind.CAMPAIGN, "CREATED", at(1), campaignId=22)
    attributes = {"customerId": "A", "city": "Gent"}
    shop.tell(Kind.PROFILE, "CREATED", at(7), profileId=1, attributes=attributes)
    shop.store_all()
    assert shop.close("profiles", at(30)).rows == 1
    if based:
        with patch("sinks.closing.rebase._WORTH_A_BASE", 0):
            shop.sinks.rebase.remake_where_due(shop.sinks.streams.topics.values(), at(30))
    return shop


def with_definitions(shop: OfflineShop, change: str) -> OfflineShop:
    """The shop when its profiles' attributes have changed."""
    file = shop.folder / "tables/shop.yaml"
    file.write_text(file.read_text().replace(CITY, CHANGES[change], 1))
    return dataclasses.replace(shop)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("based", [False, True])
def test_closes_go_on_when_attributes_change(tmp_path: Path, change: str, based: bool) -> None:
    shop = with_definitions(shop_of_a_day(tmp_path, based=based), change)
    attributes = {"customerId": "B"} | ({} if change == "removed" else {"town": "Aalst"})
    shop.tell(Kind.PROFILE, "CREATED", at(31), profileId=2, attributes=attributes)
    shop.tell(Kind.EMAIL_ACTIVITY, "SENT", at(31), profileId=1, campaignId=22)
    shop.store_all()

    assert shop.close("profiles", at(54)).rows == 1
    assert shop.close("sent", at(54)).rows == 1
    (drop,) = shop.transferbox.rglob("profiles_20260329*.csv")
    header, line = drop.read_text().splitlines()
    assert ("town" in header, "city" in header) == (change != "removed", change == "added")
    assert ("Aalst" in line) is (change != "removed")


@pytest.mark.parametrize("based", [False, True])
def test_a_value_that_cant_be_read_as_its_new_type_is_empty(tmp_path: Path, based: bool) -> None:
    shop = shop_of_a_day(tmp_path, based=based)
    file = shop.folder / "tables/shop.yaml"
    whole_number = "  - {name: city, type: integer}\n"
    file.write_text(file.read_text().replace(CITY, whole_number, 1))
    shop = dataclasses.replace(shop)
    shop.tell(Kind.PROFILE, "CREATED", at(31), profileId=2, attributes={"city": 9300})
    shop.tell(Kind.EMAIL_ACTIVITY, "SENT", at(31), profileId=1, campaignId=22)
    shop.store_all()

    assert shop.close("profiles", at(54)).rows == 1
    assert shop.close("sent", at(54)).rows == 1
    (drop,) = shop.transferbox.rglob("profiles_20260329*.csv")
    assert "9300" in drop.read_text()
    assert all("Gent" not in path.read_text() for path in shop.transferbox.rglob("*_20260329*.csv"))


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("based", [False, True])
def test_an_earlier_drop_is_made_again_by_the_definitions_of_its_time(
    tmp_path: Path, change: str, based: bool
) -> None:
    shop = shop_of_a_day(tmp_path, based=based)
    (drop,) = shop.transferbox.rglob("profiles_20260328*.csv")
    before = drop.read_bytes()
    drop.unlink()
    shop = with_definitions(shop, change)

    Redropper(shop.sinks.reviser).redrop("profiles", at(30))

    assert drop.read_bytes() == before
    assert b"Gent" in before
