"""What leaves of a drop whose close was decided before somebody was deleted (SPEC §5).

How closes, erase passes and sweeps come to their end by it is in `test_deleted_meanwhile.py`.
"""

from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from schemas.errors import CloseError
from schemas.events import Kind
from sinks.ledger.held import LateRemoval
from sinks.ledger.intent import Deletion
from sinks.ledger.record import CloseRecord
from streams.storage.layout import TakenOutPath, TopicPartition
from tests.shop.offline import OfflineShop, at, with_exports
from tests.shop.partner import PARTNER, delivering
from tests.shop.planted import ANN, BOB, PLANTED, delete, live

ROW = TakenOutPath(TopicPartition("deltadrop.shop.email", UUID(int=7), 0), 3)


@pytest.fixture
def shop(tmp_path: Path) -> OfflineShop:
    """A close of the mails to Bob was begun, and nothing of it has left; Ann got none."""
    shop = OfflineShop(tmp_path / "site", definitions=with_exports("sent"))
    shop.tell(Kind.CAMPAIGN, "CREATED", at(1), campaignId=22)
    live(shop, BOB, PLANTED, 2)
    shop.tell(Kind.PROFILE, "CREATED", at(2), profileId=ANN)
    shop.store_all()
    shop.begin(shop.sinks.exports[0].name, at(6))
    return shop


def begun(shop: OfflineShop) -> CloseRecord:
    record = shop.sinks.ledger.record_of("sent", at(6))
    assert record is not None
    return record


def deleted(shop: OfflineShop, profile: int) -> None:
    delete(shop, profile, 7)
    shop.store_all()


def ids(deletions: tuple[Deletion, ...]) -> list[int]:
    return [deletion.profile_id for deletion in deletions]


def test_where_nobody_was_deleted_the_record_stays_as_it_is(shop: OfflineShop) -> None:
    record = begun(shop)

    assert shop.sinks.closer.departure.take_out(record) is record


def test_where_nothing_has_left_the_deleted_are_taken_out_for_good(shop: OfflineShop) -> None:
    deleted(shop, BOB)

    record = shop.sinks.closer.departure.take_out(begun(shop))

    assert ids(record.decides.deletions) == [BOB]
    assert begun(shop) == record, "whoever goes on with the close makes the same"


def test_taken_out_once_they_are_not_taken_out_again(shop: OfflineShop) -> None:
    deleted(shop, BOB)
    departure = shop.sinks.closer.departure
    record = departure.take_out(begun(shop))

    assert departure.take_out(begun(shop)) == record


def test_a_location_that_cant_be_asked_may_have_it_so_that_its_bytes_stay(
    shop: OfflineShop, tmp_path: Path
) -> None:
    away = delivering(shop, tmp_path / PARTNER, refusals=99)
    (export,) = away.sinks.exports
    to_partner = replace(begun(away).intent.defined_by(export), previous_drop="another")
    deleted(away, BOB)
    record = CloseRecord(to_partner)

    assert away.sinks.closer.departure.take_out(record) is record


def test_a_look_at_what_would_leave_records_nothing(shop: OfflineShop) -> None:
    deleted(shop, BOB)
    record = begun(shop)

    would_leave = shop.sinks.closer.departure.as_it_would_leave(record.intent)

    assert ids(would_leave.deletions) == [BOB]
    assert begun(shop) == record


@pytest.mark.parametrize(
    ("removal", "what"),
    [
        (LateRemoval((Deletion(BOB, 1, 1),)), "people who were deleted meanwhile"),
        (LateRemoval((), (ROW,)), "rows that can't be read"),
    ],
)
def test_a_drop_is_not_sent_that_another_run_has_taken_something_out_of(
    shop: OfflineShop, removal: LateRemoval, what: str
) -> None:
    departure, ledger = shop.sinks.closer.departure, shop.sinks.ledger
    made_of = begun(shop)
    ledger.record_removal(made_of, removal)

    with pytest.raises(CloseError) as refused:
        departure.refuse_outdated(made_of, ledger.again(made_of))

    assert str(refused.value) == (
        "export 'sent': another run goes on with the close at 20260327T060000.000Z, and has taken"
        f" out {what}; nothing was sent by this run; the next finds what came of the other"
    )


def test_a_drop_may_be_sent_that_nothing_was_taken_out_of(shop: OfflineShop) -> None:
    record = begun(shop)

    shop.sinks.closer.departure.refuse_outdated(record, shop.sinks.ledger.again(record))


def test_a_drop_that_shows_none_of_the_deleted_goes_on(shop: OfflineShop) -> None:
    deleted(shop, ANN)

    with shop.sinks.closer.maker.made(begun(shop).intent) as drop:
        assert shop.sinks.closer.departure.supersede(drop) is None

    assert begun(shop).revisions == ()


def test_one_that_shows_them_gives_way_to_a_revision_and_goes_nowhere(shop: OfflineShop) -> None:
    deleted(shop, BOB)

    with shop.sinks.closer.maker.made(begun(shop).intent) as drop:
        assert shop.sinks.closer.departure.supersede(drop) == ()

    (recorded,) = begun(shop).revisions
    assert (recorded.revision.number, recorded.revision.reason) == (1, "people were deleted since")
    assert ids(recorded.revision.intent.deletions) == [BOB]
    assert shop.drops() == []
