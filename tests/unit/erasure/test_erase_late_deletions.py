"""Deletions that are recorded late: what is erased, and what of a life that goes on stays (SPEC §3,
*Readings settled*; §5).
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from schemas.events import Kind
from tests.shop.offline import OfflineShop, at, with_exports
from tests.shop.planted import BOB, PLANTED, attributes, finds

PROFILES = "deltadrop.shop.profile"
ALIVE = "ALIVE"


@pytest.fixture
def shop(tmp_path: Path) -> OfflineShop:
    """Bob was created, and again, as a deletion in between is missing."""
    shop = OfflineShop(tmp_path, definitions=with_exports("profiles", "sent"))
    shop.tell(Kind.CAMPAIGN, "CREATED", at(1), campaignId=22)
    created(shop, PLANTED, 1)
    created(shop, ALIVE, 3)
    shop.store_all()
    return shop


def created(shop: OfflineShop, mark: str, hour: float) -> None:
    shop.tell(Kind.PROFILE, "CREATED", at(hour), profileId=BOB, attributes=attributes(mark))


def deleted(shop: OfflineShop, hour: float, occurred: datetime) -> None:
    shop.tell(Kind.PROFILE, "DELETED", at(hour), occurred, profileId=BOB)
    shop.store_all()


def sent(shop: OfflineShop, mark: str, hour: float) -> None:
    told = {"profileId": BOB, "interactionId": int(hour * 10), "campaignId": 22}
    shop.tell(Kind.EMAIL_ACTIVITY, "SENT", at(hour), **told, emailAddress=mark)
    shop.store_all()


@pytest.mark.parametrize("passes", [1, 2])
def test_a_late_deletion_empties_the_life_that_it_ended_and_leaves_the_one_after(
    shop: OfflineShop, passes: int
) -> None:
    """Also where an earlier pass has looked at the other life's creation."""
    if passes == 2:
        shop.sinks.eraser.run()
    sent(shop, PLANTED, 4)
    deleted(shop, 5, at(2))
    sent(shop, ALIVE, 5.5)

    shop.sinks.eraser.run()

    assert finds(shop.root) == set()
    assert len(finds(shop.root, ALIVE)) == 2, "the profile's second creation, the fact after it"
    assert shop.close("profiles", at(6)).rows == 1
    shop.close("sent", at(6))
    shop.sinks.eraser.run()
    assert finds(shop.root) == set()
    assert {Path(name).name for name in finds(shop.root, ALIVE)} >= {
        "profiles_20260327_0600.csv",
        "sent_20260327_0600.csv.gz",
    }


def test_a_late_deletion_before_another_one_changes_nothing(shop: OfflineShop) -> None:
    deleted(shop, 4, at(4))
    created(shop, ALIVE, 4.5)
    sent(shop, ALIVE, 5)
    shop.sinks.eraser.run()
    assert finds(shop.root) == set()
    before = finds(shop.root, ALIVE)

    deleted(shop, 5.5, at(2))
    shop.sinks.eraser.run()

    assert finds(shop.root, ALIVE) == before
    assert len(before) == 2


def test_in_doubt_a_late_deletion_empties_what_lives(tmp_path: Path) -> None:
    """Nobody has seen the creation of what lives: it may be the life that was deleted."""
    shop = OfflineShop(tmp_path, definitions=with_exports("profiles"))
    shop.tell(Kind.PROFILE, "UPDATED", at(3), profileId=BOB, attributes=attributes(PLANTED))
    deleted(shop, 5, at(2))

    shop.sinks.eraser.run()

    assert finds(shop.root) == set()
    assert shop.close("profiles", at(6)).rows == 0


def test_a_base_keeps_a_life_that_goes_on_and_loses_one_that_had_ended(shop: OfflineShop) -> None:
    shop.close("profiles", at(2))
    shop.close("profiles", at(4))
    for hour in (2, 4):
        cut = shop.sinks.cuts.recorded(PROFILES, at(hour))
        assert cut is not None
        rebase = shop.sinks.rebase
        choices = rebase.intentions.prove(cut, None)
        rebase.selection.remake(shop.sinks.streams.topics[PROFILES], cut, None, choices)
    deleted(shop, 5, at(2))

    shop.sinks.eraser.run()

    assert not [name for name in finds(shop.root) if name.startswith("bases/")]
    assert [name for name in finds(shop.root, ALIVE) if name.startswith("bases/")]


def test_what_a_worker_writes_again_is_judged_alike(shop: OfflineShop) -> None:
    deleted(shop, 5, at(2))
    shop.sinks.eraser.run()
    before = finds(shop.root, ALIVE)

    shop.batch(PROFILES, 0, 3)

    assert finds(shop.root) == set()
    assert len(finds(shop.root, ALIVE)) == len(before) + 1
