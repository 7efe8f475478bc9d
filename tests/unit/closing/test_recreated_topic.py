"""A topic that was deleted and created again: an export's chain ends there, a new one begins."""

from datetime import datetime
from pathlib import Path
from uuid import UUID

import pytest

from schemas.errors import HeldError
from schemas.events import Kind
from sinks.closing import rebase
from tests.shop import offline
from tests.shop.offline import OfflineShop, at, with_exports

BEFORE, AFTER = at(6), at(6, 28)


def create_topics_again(shop: OfflineShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all topics be new ones, without events."""
    monkeypatch.setattr(offline, "TOPIC_ID", UUID(int=8))
    shop.log.records.clear()
    shop.stored.clear()


def with_a_new_export(shop: OfflineShop, export: str) -> OfflineShop:
    """Define another export of the same events, `<export>-anew`."""
    file = shop.folder / f"exports/{export}.yaml"
    anew = file.read_text().replace(f"export: {export}\n", f"export: {export}-anew\n")
    (shop.folder / f"exports/{export}-anew.yaml").write_text(anew)
    return shop.again()


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OfflineShop:
    """Closed at six; then its topics are created again, and an e-mail is sent."""
    shop = OfflineShop(tmp_path, definitions=with_exports("sent"))
    shop.tell(Kind.CAMPAIGN, "CREATED", at(1), campaignId=22)
    shop.tell(Kind.EMAIL_ACTIVITY, "SENT", at(2), interactionId=1)
    shop.store_all()
    shop.close("sent", BEFORE)
    create_topics_again(shop, monkeypatch)
    shop.tell(Kind.CAMPAIGN, "CREATED", at(8), campaignId=22)
    shop.tell(Kind.EMAIL_ACTIVITY, "SENT", at(9), interactionId=2)
    shop.store_all()
    return shop


def test_its_export_is_held_and_told_what_settles_it(shop: OfflineShop) -> None:
    with pytest.raises(HeldError) as held:
        shop.close("sent", AFTER)

    assert str(held.value) == (
        "topic deltadrop.shop.email-activity: the topic was deleted and created again between"
        " 20260327T060000.000Z and 20260328T060000.000Z; what the old topic held after the earlier"
        " cut can't be proven delivered; an export of another name begins with the new topic's"
        " first event"
    )


@pytest.mark.parametrize("was_tried", [True, False])
def test_an_export_of_another_name_begins_with_the_new_topics_first_event(
    shop: OfflineShop, was_tried: bool
) -> None:
    """Though the old topic's cut is recorded where its first window begins."""
    if was_tried:
        with pytest.raises(HeldError):
            shop.close("sent", AFTER)
    shop = with_a_new_export(shop, "sent")

    assert shop.close("sent-anew", AFTER).rows == 1

    shop.tell(Kind.EMAIL_ACTIVITY, "SENT", at(9, 28), interactionId=3)
    shop.store_all()
    assert shop.close("sent-anew", at(6, 29)).rows == 1


def profiles_with_a_base(folder: Path, monkeypatch: pytest.MonkeyPatch) -> OfflineShop:
    """Three profiles, closed at six; few rows are worth a base."""
    monkeypatch.setattr(rebase, "_WORTH_A_BASE", 3)
    shop = OfflineShop(folder, definitions=with_exports("profiles"))
    for profile in range(3):
        shop.tell(Kind.PROFILE, "CREATED", at(2), profileId=profile)
    shop.store_all()
    shop.close("profiles", BEFORE)
    assert remade(shop, BEFORE) == 1
    return shop


def remade(shop: OfflineShop, instant: datetime) -> int:
    topics = shop.sinks.streams.topics.values()
    return len(shop.sinks.rebase.remake_where_due(topics, instant))


@pytest.mark.parametrize("initial", [True, False])
def test_what_is_known_of_the_old_topic_is_not_read_with_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, initial: bool
) -> None:
    shop = profiles_with_a_base(tmp_path, monkeypatch)
    create_topics_again(shop, monkeypatch)
    for profile in (1, 200):
        shop.tell(Kind.PROFILE, "CREATED", at(9), profileId=profile)
    shop.store_all()
    shop = with_a_new_export(shop, "profiles")
    export = next(one for one in shop.sinks.exports if one.name == "profiles-anew")

    outcome = shop.sinks.closer.close(export, AFTER, lambda lags: None, initial=initial)

    assert (outcome.rows, outcome.warnings) == (2, ())
    shop.tell(Kind.PROFILE, "UPDATED", at(9, 28), profileId=1)
    shop.store_all()
    assert shop.close("profiles-anew", at(6, 29)).rows == 1


def test_a_base_of_the_old_topic_doesnt_keep_the_new_one_from_having_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = profiles_with_a_base(tmp_path, monkeypatch)
    create_topics_again(shop, monkeypatch)
    for profile in range(4):
        shop.tell(Kind.PROFILE, "CREATED", at(9), profileId=profile)
    shop.store_all()
    shop = with_a_new_export(shop, "profiles")
    assert shop.close("profiles-anew", AFTER).rows == 4

    assert remade(shop, AFTER) == 1
    shop.tell(Kind.PROFILE, "UPDATED", at(9, 28), profileId=3)
    shop.store_all()
    assert shop.close("profiles-anew", at(6, 29)).rows == 1
    with pytest.raises(HeldError):
        shop.close("profiles", at(6, 29))
