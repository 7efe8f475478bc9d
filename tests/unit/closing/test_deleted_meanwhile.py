"""People who are deleted between the decision about a drop and its delivery: nothing personal of
them leaves any more (SPEC §3, *People who are gone*; §5), and the drop comes to its end.
"""

from pathlib import Path
from typing import Any

import pytest

from schemas.errors import CloseError
from schemas.events import Kind
from sinks.closing import drop
from sinks.ledger.held import LateRemoval
from sinks.locations import TRANSFERBOX
from tests.shop.offline import OfflineShop, at
from tests.shop.partner import PARTNER, delivering, opened_again
from tests.shop.planted import ANN, BOB, PLANTED, delete, finds, live

DROP = "sent_20260327_0600.csv.gz"
REVISION = "sent_20260327_0600-r1.csv.gz"
CLOSED = 99
"""A partner refuses so often that it's for the whole test."""


@pytest.fixture
def shop(tmp_path: Path) -> OfflineShop:
    (tmp_path / "site").mkdir()
    shop = OfflineShop(tmp_path / "site")
    shop.tell(Kind.CAMPAIGN, "CREATED", at(1), campaignId=22)
    live(shop, BOB, PLANTED, 2)
    shop.store_all()
    return shop


def deleted(shop: OfflineShop, profile: int, hour: float) -> None:
    delete(shop, profile, hour)
    shop.store_all()


def names(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.glob("crm/sent/*") if "manifest" not in one.name)


def test_a_close_that_was_begun_is_without_those_who_were_deleted_since(shop: OfflineShop) -> None:
    shop.begin("sent", at(6))
    deleted(shop, BOB, 7)

    shop.close("sent", at(6))

    assert finds(shop.transferbox) == set()
    assert names(shop.root / TRANSFERBOX) == [DROP]


def test_a_run_that_was_held_up_delivers_nobody_whom_another_run_has_taken_out(
    shop: OfflineShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = drop.render

    def taken_out_meanwhile(*given: Any, **options: Any) -> Any:
        rendered = made(*given, **options)
        deleted(shop, BOB, 7)
        closer = shop.sinks.closer
        begun = closer.ledger.record_of("sent", at(6))
        assert begun is not None
        removal = LateRemoval(closer.departure.deletions_now(begun.intent))
        closer.ledger.record_removal(begun, removal)
        return rendered

    with monkeypatch.context() as patched, pytest.raises(CloseError, match="another run goes on"):
        patched.setattr(drop, "render", taken_out_meanwhile)
        shop.close("sent", at(6))
    assert names(shop.root / TRANSFERBOX) == []

    shop.close("sent", at(6))
    assert names(shop.root / TRANSFERBOX) == [DROP]
    assert finds(shop.transferbox) == set()


def test_run_again_it_has_the_same_bytes(shop: OfflineShop) -> None:
    shop.begin("sent", at(6))
    deleted(shop, BOB, 7)
    first = shop.close("sent", at(6))
    deleted(shop, ANN, 8)

    again = shop.copied(shop.folder.parent / "copy")
    (again.root / "ledger" / "exports" / "sent" / "20260327T060000.000Z" / "outcome.json").unlink()

    assert again.close("sent", at(6)).sha256 == first.sha256


def test_where_it_has_left_already_a_revision_goes_to_all(
    shop: OfflineShop, tmp_path: Path
) -> None:
    told = delivering(shop, tmp_path / PARTNER, refusals=CLOSED)
    with pytest.raises(CloseError, match="closed for lunch"):
        told.close("sent", at(6))
    assert finds(told.transferbox), "the drop has left to one of two"
    deleted(told, BOB, 7)

    told.close("sent", at(6))
    opened_again(told)
    told.sinks.sweeper.sweep()

    assert names(tmp_path / PARTNER) == [REVISION]
    assert names(told.root / TRANSFERBOX) == [REVISION]
    assert finds(told.transferbox) | finds(tmp_path / PARTNER) == set()


def test_an_erase_pass_ends_a_close_whose_partner_is_away(
    shop: OfflineShop, tmp_path: Path
) -> None:
    told = delivering(shop, tmp_path / PARTNER, refusals=CLOSED)
    with pytest.raises(CloseError, match="closed for lunch"):
        told.close("sent", at(6))
    deleted(told, BOB, 7)

    report = told.sinks.eraser.run()
    assert "closed for lunch" in report.left[0]
    assert finds(told.root) == set(), "what is replaced goes where the revision is"
    opened_again(told)
    report = told.sinks.eraser.run()
    assert report.left == []
    assert [one.file for one in report.drops] == [REVISION]

    assert names(tmp_path / PARTNER) == [REVISION]
    assert names(told.root / TRANSFERBOX) == [REVISION]
    assert told.close("sent", at(6, 28)).drop_id.endswith("20260328T060000.000Z")


def test_a_revision_that_is_on_its_way_gives_way_to_the_next(
    shop: OfflineShop, tmp_path: Path
) -> None:
    live(shop, ANN, "OTHER", 3)
    shop.store_all()
    told = delivering(shop, tmp_path / PARTNER)
    told.close("sent", at(6))
    deleted(told, BOB, 7)
    away = delivering(told, tmp_path / PARTNER, refusals=CLOSED)
    assert away.sinks.eraser.run().left, "the partner doesn't take -r1"
    deleted(away, ANN, 8)
    away.sinks.eraser.run()
    opened_again(away)

    assert away.sinks.eraser.run().left == []

    assert REVISION not in names(tmp_path / PARTNER)
    assert names(away.root / TRANSFERBOX) == [REVISION.replace("-r1", "-r2")]
    assert names(tmp_path / PARTNER) == [REVISION.replace("-r1", "-r2"), DROP]
