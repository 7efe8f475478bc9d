"""A drop that breaks a guard rail of its export is made, recorded as held, and not sent."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from schemas.errors import DefinitionError, HeldError
from schemas.events import Kind
from sinks.authoring.preview import preview_of
from sinks.authoring.summary import summary_of
from sinks.closing.guards import Figures, broken, rows_of_weekday
from sinks.exports.definition import GuardRailsDefinition
from sinks.ledger.intent import Intent
from sinks.ledger.ledger import Ledger
from sinks.ledger.outcome import CloseOutcome
from streams.storage.folder import FolderStore
from tests.shop.offline import OfflineShop, at, with_exports
from tests.unit.drops.drops import export

RAILS = """guard_rails: {{{}}}
"""


@pytest.fixture
def shop_with(tmp_path: Path) -> Callable[..., OfflineShop]:
    """A shop whose one export has these guard rails."""

    def make(rails: str, export: str = "profiles") -> OfflineShop:
        definitions = with_exports(export)
        definitions[f"exports/{export}.yaml"] += RAILS.format(rails)
        return OfflineShop(tmp_path, definitions=definitions)

    return make


def create(shop: OfflineShop, profiles: int, when: datetime, first: int = 1) -> None:
    for profile in range(first, first + profiles):
        shop.tell(Kind.PROFILE, "CREATED", when, profileId=profile)
    shop.store_all()


def held_by(shop: OfflineShop, export: str, instant: datetime) -> str:
    """What a close says that is held."""
    with pytest.raises(HeldError) as held:
        shop.close(export, instant)
    assert held.value.exit_code == 3
    return held.value.what


@pytest.mark.parametrize(
    ("rails", "figures", "told"),
    [
        ({"rows_at_least": 10}, {"rows": 9}, "9 rows, at least 10 are expected"),
        ({"rows_at_least": 10}, {"rows": 10}, None),
        ({"rows_at_most": 10}, {"rows": 11}, "11 rows, at most 10 are expected"),
        ({"rows_at_most": 10}, {"rows": 10}, None),
        (
            {"unknown_campaigns_at_most": 0},
            {"unknown_campaigns": 1},
            "1 activity of a campaign that isn't known, at most 0 are expected",
        ),
        ({"late_rows_at_most": 3}, {"late_rows": 4}, "4 late rows, at most 3 are expected"),
        ({"late_rows_at_most": 3}, {"late_rows": 3}, None),
        ({"dead_letters_at_most": 0}, {"dead_letters": 2}, "2 dead letters, at most 0 are"),
        ({}, {"rows": 0, "late_rows": 9, "dead_letters": 9, "unknown_campaigns": 9}, None),
    ],
)
def test_each_rail_is_a_limit_that_may_be_reached_and_not_passed(
    rails: dict[str, int], figures: dict[str, int], told: str | None
) -> None:
    none = {"rows": 0, "unknown_campaigns": 0, "late_rows": 0, "dead_letters": 0}

    found = broken(GuardRailsDefinition(**rails), Figures(**none | figures), lambda drops: [])

    assert [one[: len(told or "")] for one in found] == ([told] if told else [])


@pytest.mark.parametrize(
    ("earlier", "rows", "holds"),
    [
        ([100, 90, 120], 50, False),
        ([100, 90, 120], 150, False),
        ([100, 90, 120], 49, True),
        ([100, 90, 120], 151, True),
        ([100], 5, False),  # one drop alone says little
        ([], 5, False),
        ([0, 0], 5, False),  # nothing to be near to
    ],
)
def test_a_band_lies_around_the_median_of_the_same_weekdays_last_drops(
    earlier: list[int], rows: int, holds: bool
) -> None:
    rails = GuardRailsDefinition(weekday_percent=50, weekday_drops=3)
    asked: list[int] = []

    def drops(number: int) -> list[int]:
        asked.append(number)
        return earlier

    figures = Figures(rows=rows, unknown_campaigns=0, late_rows=0, dead_letters=0)

    assert bool(broken(rails, figures, drops)) is holds
    assert asked == [3]


def test_what_breaks_a_rail_is_held_and_nothing_is_sent(
    shop_with: Callable[..., OfflineShop],
) -> None:
    shop = shop_with("rows_at_least: 3, rows_at_most: 5")
    create(shop, 2, at(7))

    assert held_by(shop, "profiles", at(6, 28)) == "held: 2 rows, at least 3 are expected"

    assert shop.drops() == []
    assert shop.sinks.ledger.outcome("profiles", at(6, 28)) is None
    record = shop.sinks.ledger.record_of("profiles", at(6, 28))
    assert record is not None
    assert record.held is not None
    held = record.held
    assert held.reasons == ("2 rows, at least 3 are expected",)
    assert (held.rows, held.balance["exported"]) == (2, 2)


def test_every_rail_that_is_broken_is_told(shop_with: Callable[..., OfflineShop]) -> None:
    shop = shop_with("rows_at_least: 3, late_rows_at_most: 0")
    shop.tell(Kind.PROFILE, "CREATED", at(7), occurred=at(1), profileId=1)
    shop.store_all()

    assert held_by(shop, "profiles", at(6, 28)) == (
        "held: 1 row, at least 3 are expected; 1 late row, at most 0 are expected"
    )


def test_activities_that_wait_for_their_campaign_count_as_of_unknown_campaigns(
    shop_with: Callable[..., OfflineShop],
) -> None:
    shop = shop_with("unknown_campaigns_at_most: 1", "sent")
    for number in (1, 2):
        shop.tell(Kind.EMAIL_ACTIVITY, "SENT", at(7), interactionId=number, campaignId=9)
    shop.store_all()

    told = held_by(shop, "sent", at(6, 28))

    assert told == "held: 2 activities of campaigns that aren't known, at most 1 are expected"


def test_it_stays_held_for_the_reason_it_was_held_for(
    shop_with: Callable[..., OfflineShop],
) -> None:
    shop = shop_with("rows_at_least: 3")
    create(shop, 2, at(7))
    told = held_by(shop, "profiles", at(6, 28))
    file = shop.folder / "exports/profiles.yaml"
    file.write_text(file.read_text().replace("rows_at_least: 3", "rows_at_least: 1"))

    assert held_by(shop.again(), "profiles", at(6, 28)) == told


def test_later_windows_wait_for_one_that_is_held(shop_with: Callable[..., OfflineShop]) -> None:
    shop = shop_with("rows_at_least: 3")
    create(shop, 2, at(7))
    told = held_by(shop, "profiles", at(6, 28))
    create(shop, 4, at(7, 28), first=10)

    assert held_by(shop, "profiles", at(6, 29)) == told

    assert list(shop.sinks.ledger.closes("profiles")) == [at(6, 28)]


def test_what_keeps_to_the_rails_is_sent(shop_with: Callable[..., OfflineShop]) -> None:
    shop = shop_with("rows_at_least: 2, late_rows_at_most: 0, dead_letters_at_most: 0")
    create(shop, 2, at(7))

    assert shop.close("profiles", at(6, 28)).rows == 2


def test_an_initial_drop_has_no_rails(shop_with: Callable[..., OfflineShop]) -> None:
    shop = shop_with("rows_at_most: 1")
    create(shop, 2, at(7))
    export = shop.sinks.exports[0]

    outcome = shop.sinks.closer.close(export, at(8), lambda lags: None, initial=True)

    assert outcome.rows == 2


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(FolderStore(tmp_path))


def keep(ledger: Ledger, instant: datetime, rows: int, hours: float = 24) -> Intent:
    """Record a drop of a window of some hours, as the ledger has it."""
    start = instant - timedelta(hours=hours)
    intent = Intent("openings", instant, start, None, {}, {}, (), {})
    ledger.record_intent(intent)
    ledger.record_outcome(intent, CloseOutcome(intent.drop_id, "a.csv", rows, 1, "0" * 64, {}, ()))
    return intent


FRIDAY = datetime(2026, 2, 6, 5, tzinfo=UTC)  # 6:00 in Brussels
DAY = timedelta(days=1)


def test_only_the_last_drops_of_the_same_weekday_are_compared_with(ledger: Ledger) -> None:
    for day in range(22):
        last = keep(ledger, FRIDAY + day * DAY, rows=day)

    assert rows_of_weekday(ledger, export(), last, 2) == [14, 7]
    assert rows_of_weekday(ledger, export(), last, 9) == [14, 7, 0]


def test_a_weekday_is_the_local_one_and_its_hour_too(ledger: Ledger) -> None:
    """Summer time began on the 29th of March: 6:00 is an hour earlier in UTC."""
    keep(ledger, datetime(2026, 3, 27, 5, tzinfo=UTC), rows=1)
    last = keep(ledger, datetime(2026, 4, 3, 4, tzinfo=UTC), rows=2)

    assert rows_of_weekday(ledger, export(), last, 4) == [1]


def test_a_window_cut_by_hand_is_compared_with_none(ledger: Ledger) -> None:
    keep(ledger, FRIDAY, rows=1)
    by_hand = keep(ledger, FRIDAY + 7 * DAY - timedelta(hours=2), rows=2)

    assert rows_of_weekday(ledger, export(), by_hand, 4) == []


def test_a_day_of_which_a_part_was_cut_off_by_hand_is_not_compared_with(ledger: Ledger) -> None:
    keep(ledger, FRIDAY, rows=1)
    keep(ledger, FRIDAY + 7 * DAY, rows=2, hours=2)
    last = keep(ledger, FRIDAY + 14 * DAY, rows=3)

    assert rows_of_weekday(ledger, export(), last, 4) == [1]


def test_the_summary_tells_the_rails(shop_with: Callable[..., OfflineShop]) -> None:
    shop = shop_with("rows_at_least: 3, weekday_percent: 50")

    told = str(summary_of(shop.sinks.exports[0], at(0)))

    assert "guard rails     rows_at_least 3, weekday_percent 50" in told


def test_a_preview_can_be_looked_at_while_a_window_is_held(
    shop_with: Callable[..., OfflineShop],
) -> None:
    shop = shop_with("rows_at_least: 3")
    create(shop, 2, at(7))
    held_by(shop, "profiles", at(6, 28))
    create(shop, 1, at(7, 28), first=10)

    assert preview_of(shop.sinks, shop.sinks.exports[0], at(8, 28)).lines == 1


@pytest.mark.parametrize(
    ("rails", "fault"),
    [
        ("rows_at_least: 5, rows_at_most: 4", "rows_at_most': 4 is less than rows_at_least, 5"),
        ("rows_at_least: -1", "rows_at_least': '-1' is too small; it's 0 or more"),
        ("rows_at_least: many", "rows_at_least': 'many' isn't a whole number"),
        ("rows_at_least: '5'", "rows_at_least': '5' isn't a whole number"),
        ("weekday_drops: 3", "weekday_drops': means nothing without weekday_percent"),
        ("weekday_percent: 0", "weekday_percent': '0' is too small; it's 1 or more"),
        ("rows_atleast: 5", "guard_rails.rows_atleast': unknown key; choose from"),
        (
            "unknown_campaigns_at_most: 1",
            "unknown_campaigns_at_most': exports of type profile are of no campaigns; remove it",
        ),
    ],
)
def test_a_wrong_rail_is_refused_with_what_would_be_right(
    shop_with: Callable[..., OfflineShop], rails: str, fault: str
) -> None:
    with pytest.raises(DefinitionError) as refused:
        shop_with(rails)

    assert fault in str(refused.value)
    assert "profiles.yaml:9: field 'guard_rails" in str(refused.value)


def test_rails_that_are_no_group_of_fields_are_refused_in_words(tmp_path: Path) -> None:
    definitions = with_exports("profiles")
    definitions["exports/profiles.yaml"] += "guard_rails: [rows_at_least]\n"

    with pytest.raises(DefinitionError, match="isn't a group of fields; write its fields below it"):
        OfflineShop(tmp_path, definitions=definitions)


def test_drops_of_exports_without_rails_have_the_manifest_that_they_had(
    shop_with: Callable[..., OfflineShop],
) -> None:
    shop = shop_with("rows_at_least: 1")
    create(shop, 2, at(7))
    shop.close("profiles", at(6, 28))

    manifest = json.loads(next(shop.transferbox.rglob("*.manifest.json")).read_text())

    assert "released" not in manifest
