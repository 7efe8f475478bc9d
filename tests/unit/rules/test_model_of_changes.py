"""The naive model read against SPEC §2 and §3, changes of profiles and rows: each test is named
after its rule.
"""

from dataclasses import replace

import pytest

from tests.model import Attribute, Close, History, drops_of
from tests.model.story import (
    CARDS,
    OF_NOTHING,
    SHOP,
    Story,
    at,
    change,
    exports,
    ids,
    profile,
    row,
    told,
)

DELETED = "profile-changes DELETED"
SUBSCRIBED = {"subscription": "offers", "type": "SUBSCRIBED"}


def test_a_deleted_profile_has_the_key_that_its_event_carries() -> None:
    deleted = profile("DELETED", 1, businessKey="C-then", dataCollectionMoment=at(-1))
    story = Story().tell(profile("CREATED", -60), deleted, profile("CREATED", 2))
    drop = story.drop(exports(DELETED, "profileId businessKey dataCollectionMoment eventTime"))
    assert drop.header == ["profileId", "customerId", "dataCollectionMoment", "eventTime"]
    assert drop.lines == [["1", "C-then", "2026-03-28 11:59:00", "2026-03-28 12:01:00"]]


def test_a_deletion_of_an_unknown_profile_is_exported() -> None:
    drop = Story().tell(profile("DELETED", 1, 404)).drop(exports(DELETED, "profileId"))
    assert ids(drop) == ["404"]
    assert told(drop) == {"exported": 1}


def test_a_key_that_is_personal_is_always_empty_in_deletions() -> None:
    key = Attribute("customerId", "string", personal=True)
    shop = replace(SHOP, attributes={**SHOP.attributes, "customerId": key})
    cards = replace(CARDS, attributes={"number": Attribute("number", "string", personal=True)})
    story = Story().tell(profile("CREATED", -60), row("DELETED", 1, businessKey="N7"))
    story.tell(profile("DELETED", 1, businessKey="C1"))
    of_profiles = replace(exports(DELETED, "profileId businessKey"), database=shop)
    assert story.drop(of_profiles).lines == [["1", None]]
    of_rows = replace(exports("linked-data-changes DELETED", "id rowBusinessKey"), table=cards)
    assert story.drop(of_rows).lines == [["7", None]]


@pytest.mark.parametrize(
    ("sources", "kept"),
    [
        ((), ["API", "FORM", "ETL"]),
        (("EXTERNAL",), ["API", "ETL"]),
        (("INTERNAL", "ETL"), ["FORM", "ETL"]),
    ],
)
def test_the_source_filter_keeps_the_chosen_sources_and_groups(
    sources: tuple[str, ...], kept: list[str]
) -> None:
    story = Story().tell(
        *(
            change("subscription-update", collectionSource=source, source=source, **SUBSCRIBED)
            for source in ("API", "FORM", "ETL")
        )
    )
    name = "profile-changes SUBSCRIPTION_UPDATE"
    drop = story.drop(exports(name, "collectionSource", sources=sources))
    assert ids(drop) == kept
    assert drop.balance["filtered"] == 3 - len(kept)


def test_changes_are_facts_of_their_own_with_the_profiles_columns_as_of_the_cut() -> None:
    story = Story().tell(
        profile("CREATED", -60),
        change("segment-transition", 1, segment="vip", previousValue="false", newValue="true"),
        change("marketing-consent", 2, consentValue=False),
        change("subscription-update", 3, **SUBSCRIBED),
        profile("UPDATED", 4, attributes={"customerId": "C-new"}, subscriptions=["newsletter"]),
    )
    moved = story.drop(
        exports(
            "profile-changes SEGMENT_TRANSITION",
            "segment previousValue newValue eventTime businessKey profile-subscriptions",
        )
    )
    vip = ["vip", "false", "true", "2026-03-28 12:01:00", "C-new", "newsletter"]
    assert moved.lines == [vip]
    consent = story.drop(exports("profile-changes MARKETING_CONSENT_CHANGE", "consentValue"))
    assert consent.lines == [["N"]]


def test_a_change_of_a_person_who_is_gone_keeps_its_technical_columns() -> None:
    story = Story().tell(profile("CREATED", -60), change("subscription-update", 1, **SUBSCRIBED))
    story.tell(profile("DELETED", 2))
    columns = "profileId subscription type businessKey profile-firstName"
    drop = story.drop(exports("profile-changes SUBSCRIPTION_UPDATE", columns))
    assert drop.lines == [["1", "offers", "SUBSCRIBED", None, None]]


# Custom tables


def test_rows_of_a_table_have_their_own_and_their_profiles_columns() -> None:
    story = Story().tell(profile("CREATED", -60), row("CREATED", 1))
    columns = "id profileId number holder points creationMoment profile-firstName"
    drop = story.drop(exports("linked-data CREATION", columns))
    assert drop.lines == [["7", "1", "N7", "Ada", "5", "2026-03-28 12:01:00", "Ada"]]
    assert exports("linked-data CREATION").header == [
        *("id", "profileId", "number", "holder", "points", "creationMoment", "updateMoment")
    ]


GONE_ROW = exports("linked-data CREATION_OR_UPDATE", "id profileId number holder profile-firstName")


def test_a_row_of_a_person_who_is_gone_loses_what_is_personal() -> None:
    story = Story().tell(profile("CREATED", -60), row("CREATED", 1), profile("DELETED", 2))
    assert story.drop(GONE_ROW).lines == [["7", "1", "N7", None, None]]


def test_a_row_is_gone_if_the_record_of_its_values_is() -> None:
    story = Story().tell(profile("DELETED", 5), profile("CREATED", 6))
    story.tell(row("UPDATED", 7), row("SNAPSHOT", 4))
    assert story.drop(GONE_ROW).lines == [["7", "1", "N7", None, None]]


def test_a_row_that_moved_is_about_the_person_of_its_values() -> None:
    story = Story().tell(profile("CREATED", -60), profile("CREATED", -60, 2), row("CREATED", 1))
    story.tell(row("UPDATED", 2, profileId=2), profile("DELETED", 3))
    assert story.drop(GONE_ROW).lines == [["7", "2", "N7", "Ada", "Ada"]]


def test_a_deletion_recorded_before_the_file_is_written_leaves_the_row_in() -> None:
    story = Story().tell(profile("CREATED", -60), row("CREATED", 1))
    cut = story.cut()
    close = Close(cut, {"shop": {1: cut.instant}})
    [drop] = drops_of(History(story.records), GONE_ROW, OF_NOTHING, [close])
    assert drop.lines == [["7", "1", "N7", None, None]]


def test_a_row_without_a_profile_has_nobody_who_could_be_gone() -> None:
    drop = Story().tell(row("CREATED", 1, profileId=None)).drop(GONE_ROW)
    assert drop.lines == [["7", None, "N7", "Ada", None]]
    assert drop.warnings == {}


def test_a_deleted_row_has_its_own_key_from_the_event_and_its_profiles_as_of_the_cut() -> None:
    story = Story().tell(profile("CREATED", -60), row("DELETED", 1, businessKey="N7"))
    story.tell(profile("UPDATED", 2, attributes={"customerId": "C-new"}))
    drop = story.drop(exports("linked-data-changes DELETED"))
    assert drop.header == ["eventTime", "number", "id", "profileId", "customerId"]
    assert drop.lines == [["2026-03-28 12:01:00", "N7", "7", "1", "C-new"]]
    gone = story.tell(profile("DELETED", 3)).drop(exports("linked-data-changes DELETED"))
    assert gone.lines == [["2026-03-28 12:01:00", "N7", "7", "1", None]]


def test_an_initial_drop_of_a_table_holds_every_live_row() -> None:
    story = Story().tell(row("SNAPSHOT", 0, 3), row("CREATED", 0, 2), row("CREATED", 0, 1))
    story.tell(row("DELETED", 1, 1))
    drop = story.drop(exports("linked-data CREATION"), start=story.cut(), initial=True)
    assert ids(drop) == ["2", "3"]
    assert told(drop) == {"exported": 2}


def test_an_id_that_only_a_repeat_names_is_no_row() -> None:
    created = row("CREATED", 0, 1)
    drop = Story().tell(created, {**created, "id": 2}).drop(exports("linked-data CREATION"))
    assert told(drop) == {"duplicate": 1, "exported": 1}
