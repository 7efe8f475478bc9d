"""Late rows in a manifest: all input that occurred before the window (SPEC §3, *Readings
settled*).
"""

from __future__ import annotations

import json
from datetime import datetime
from functools import partial
from pathlib import Path

import pytest

from schemas.events import Kind
from sinks.editions import UPDATES_AT_CREATION
from sinks.ledger.intent import Intent
from sinks.repair.redrop import Redropper
from tests.shop.offline import OfflineShop, at, with_exports

NEXT = at(6, 28)


@pytest.fixture
def shop(tmp_path: Path) -> OfflineShop:
    """A close whose second window has a late fact, one of its time, and two that waited."""
    shop = OfflineShop(tmp_path / "shop", definitions=with_exports("sent"))
    sent(shop, 1, at(3))
    sent(shop, 2, at(4), at(4, 26))
    shop.store_all()
    shop.close("sent", at(6))
    shop.tell(Kind.CAMPAIGN, "CREATED", at(7), campaignId=9)
    sent(shop, 3, at(8), at(5))
    sent(shop, 4, at(9))
    shop.store_all()
    return shop


def sent(shop: OfflineShop, number: int, when: datetime, occurred: datetime | None = None) -> None:
    shop.tell(
        Kind.EMAIL_ACTIVITY, "SENT", when, occurred, interactionId=number, campaignId=9, profileId=1
    )


def late_rows(shop: OfflineShop) -> dict[str, int]:
    (file,) = (shop.transferbox / "sent").glob("sent_20260328*.manifest.json")
    return dict(json.loads(file.read_text())["late_rows"])


def test_facts_that_waited_for_their_campaign_count_as_late(shop: OfflineShop) -> None:
    outcome = shop.close("sent", NEXT)

    assert outcome.rows == 4
    assert late_rows(shop) == {"2026-03-26": 1, "2026-03-27": 2}


def test_a_close_of_an_earlier_edition_keeps_its_manifest(
    shop: OfflineShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older:
        earlier = partial(Intent, edition=UPDATES_AT_CREATION.edition)
        older.setattr("sinks.closing.intent.Intent", earlier)
        shop.close("sent", NEXT)
    (file,) = (shop.transferbox / "sent").glob("sent_20260328*.manifest.json")
    before = file.read_bytes()
    file.unlink()

    done = Redropper(shop.sinks.reviser).redrop("sent", NEXT)

    assert done.revision == 0
    assert late_rows(shop) == {"2026-03-27": 1}
    assert file.read_bytes() == before
