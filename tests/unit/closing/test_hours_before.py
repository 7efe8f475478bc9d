"""Repeats are told by what Kafka carried in the 48 hours before, stored or not (SPEC §3, *Readings
settled*).
"""

import json
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from schemas.errors import LostOffsetsError
from schemas.events import Kind
from sinks.ledger.outcome import CloseOutcome
from tests.shop.offline import OfflineShop, at, with_exports

OFFERS = "deltadrop.shop.subscription-update"
SEGMENTS = "deltadrop.shop.segment-transition"
CONSENTS = "deltadrop.shop.marketing-consent"
AGAIN = UUID(int=5)

EXPORTS = {
    OFFERS: (Kind.SUBSCRIPTION_UPDATE, "SUBSCRIPTION_UPDATE"),
    SEGMENTS: (Kind.SEGMENT_TRANSITION, "SEGMENT_TRANSITION"),
    CONSENTS: (Kind.MARKETING_CONSENT, "MARKETING_CONSENT_CHANGE"),
}


def shop_of(tmp_path: Path) -> OfflineShop:
    definitions = with_exports()
    for _, event in EXPORTS.values():
        name = event.lower().replace("_", "-")
        definitions[f"exports/{name}.yaml"] = f"""
export: {name}
suffix: "_yyyyMMdd_HHmm"
entity: crm
database: shop
type: profile-changes
event: {event}
columns: [profileId]
schedule: {{at: "06:00", time_zone: UTC}}
"""
    return OfflineShop(tmp_path, definitions=definitions)


def close(shop: OfflineShop, topic: str, day: int = 27) -> CloseOutcome:
    return shop.close(EXPORTS[topic][1].lower().replace("_", "-"), at(6, day))


def told_twice(shop: OfflineShop, topic: str) -> None:
    """An event before the first window that nobody stored, and its repeat in the window."""
    for hour in (5, 7):
        shop.tell(EXPORTS[topic][0], "CHANGED", at(hour, 26), event_id=AGAIN)
    shop.batch(topic, 1, 2)


@pytest.mark.parametrize("topic", EXPORTS)
def test_the_repeat_of_an_event_in_a_hole_before_the_first_window_is_no_line(
    tmp_path: Path, topic: str
) -> None:
    shop = shop_of(tmp_path)
    told_twice(shop, topic)

    closed = close(shop, topic)

    assert (closed.rows, closed.balance["duplicate"]) == (0, 1)


def test_a_hole_in_the_hours_before_a_later_window_is_mended_too(tmp_path: Path) -> None:
    shop = shop_of(tmp_path)
    for hour in (1, 5, 7):
        event_id = None if hour == 1 else AGAIN
        shop.tell(Kind.SUBSCRIPTION_UPDATE, "CHANGED", at(hour, 26), event_id=event_id)
    shop.batch(OFFERS, 0, 1)
    shop.batch(OFFERS, 2, 3)

    closed = close(shop, OFFERS)

    assert (closed.rows, closed.balance["duplicate"]) == (0, 1)


def test_a_hole_in_the_hours_before_that_kafka_has_lost_holds_the_close(tmp_path: Path) -> None:
    shop = shop_of(tmp_path)
    for hour in (1, 5, 7):
        shop.tell(Kind.SUBSCRIPTION_UPDATE, "CHANGED", at(hour, 26))
    shop.batch(OFFERS, 0, 1)
    shop.batch(OFFERS, 2, 3)
    shop.log.kept_from[OFFERS] = 2

    with pytest.raises(LostOffsetsError, match="offsets 1 to 2 can't be read again"):
        close(shop, OFFERS)


def test_a_hole_of_before_the_hours_holds_nothing(tmp_path: Path) -> None:
    shop = shop_of(tmp_path)
    for hour, day in ((1, 20), (2, 20), (3, 20), (7, 26)):
        shop.tell(Kind.SUBSCRIPTION_UPDATE, "CHANGED", at(hour, day))
    shop.batch(OFFERS, 0, 1)
    shop.batch(OFFERS, 2, 3)
    shop.batch(OFFERS, 3, 4)
    shop.log.kept_from[OFFERS] = 3

    assert close(shop, OFFERS).rows == 1


def test_what_kafka_removed_before_it_was_first_read_is_warned_of_by_the_first_manifests(
    tmp_path: Path,
) -> None:
    shop = shop_of(tmp_path)
    for hour, day in ((5, 26), (5, 26), (7, 26), (7, 27), (7, 28), (7, 29)):
        shop.tell(Kind.SUBSCRIPTION_UPDATE, "CHANGED", at(hour, day))
    shop.log.kept_from[OFFERS] = 1
    shop.batch(OFFERS, 1, 6)

    warnings = []
    for day in (27, 28, 29, 30):
        assert close(shop, OFFERS, day).rows == 1
        [manifest] = shop.transferbox.rglob(f"*_202603{day}_*.manifest.json")
        warnings.append([w for w in json.loads(manifest.read_text())["warnings"] if "first" in w])

    told = (
        f"{OFFERS}/0: Kafka had removed what was before offset 1 when it was first read: an event"
        " that repeats one of it counts as new"
    )
    assert warnings == [[told], [told], [], []]


def test_a_deletion_that_nobody_stored_before_what_is_stored_is_erased_too(tmp_path: Path) -> None:
    shop = shop_of(tmp_path)
    shop.tell(Kind.PROFILE, "DELETED", at(5, 26), profileId=1)
    shop.tell(Kind.PROFILE, "CREATED", at(6, 26), profileId=2)
    shop.batch("deltadrop.shop.profile", 1, 2)
    [profiles] = [t for t in shop.sinks.streams.topics.values() if t.kind is Kind.PROFILE]

    assert shop.sinks.eraser.deletions.record(profiles).profiles == 1


def test_what_an_erase_pass_takes_for_a_repeat_is_told_from_before_a_clock_that_went_back(
    tmp_path: Path,
) -> None:
    shop = shop_of(tmp_path)
    name = "deltadrop.shop.profile"
    [profiles] = [t for t in shop.sinks.streams.topics.values() if t.kind is Kind.PROFILE]
    shop.tell(Kind.PROFILE, "DELETED", at(5, 26), event_id=AGAIN, profileId=1)
    shop.tell(Kind.PROFILE, "CREATED", at(6) - timedelta(days=20_000), at(6, 26), profileId=2)
    shop.batch(name, 0, 1)
    shop.batch(name, 1, 2)
    assert shop.sinks.eraser.deletions.record(profiles).profiles == 1
    shop.tell(Kind.PROFILE, "DELETED", at(7, 26), at(5, 26), event_id=AGAIN, profileId=1)
    shop.batch(name, 2, 3)

    assert shop.sinks.eraser.deletions.record(profiles).profiles == 0
