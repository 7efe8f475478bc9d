"""The naive model read against SPEC §3, *Facts* and *Rows*: each test is named after its rule."""

import pytest

from tests.model import Close, History, drops_of
from tests.model.history import HOUR
from tests.model.story import (
    OF_NOTHING,
    Story,
    at,
    campaign,
    email,
    emails,
    ids,
    profile,
    profiles,
    told,
)

# Facts and repeats


@pytest.mark.parametrize(("hours", "outcome"), [(48, "duplicate"), (48.001, "exported")])
def test_an_event_id_seen_in_the_48_hours_before_is_a_duplicate(hours: float, outcome: str) -> None:
    first = email("SENT")
    story = Story().tell(campaign(), first).append({**first}, after=int(hours * HOUR))
    assert told(story.drop(emails("SENT"))).get(outcome) == (1 if outcome == "duplicate" else 2)


def test_a_repeat_carries_its_event_id_on() -> None:
    first = email("SENT")
    story = Story().tell(campaign(), first)
    story.append({**first}, after=40 * HOUR).append({**first}, after=40 * HOUR)
    assert told(story.drop(emails("SENT"))) == {"duplicate": 2, "exported": 1}


def test_a_repeat_changes_no_state() -> None:
    created = profile("CREATED", 0)
    renamed = profile("UPDATED", 1, attributes={"firstName": "Grace"})
    story = Story().tell(created, renamed, {**created})
    drop = story.drop(profiles())
    assert drop.lines == [["1", "Grace"]]
    assert told(drop) == {"duplicate": 1, "superseded": 1, "exported": 1}


def test_a_dead_letter_counts_in_every_export_of_its_topic() -> None:
    story = (
        Story().tell(campaign(), email("SENT")).append(None, topic="deltadrop.shop.email-activity")
    )
    assert told(story.drop(emails("SENT"))) == {"dead letter": 1, "exported": 1}
    assert told(story.drop(emails("OPENED"))) == {"dead letter": 1}


def test_each_fact_is_in_exactly_one_of_successive_drops() -> None:
    story = Story().tell(campaign(), email("SENT", interaction_id=1))
    first = story.cut()
    second = story.tell(email("SENT", interaction_id=2)).cut()
    assert [ids(drop) for drop in story.drops(emails("SENT"), first, second)] == [
        ["1"],
        ["2"],
    ]


# Rows


def test_creation_holds_rows_created_in_the_window_with_their_values_as_of_the_close() -> None:
    story = Story().tell(
        profile("CREATED", 0), profile("UPDATED", 1, attributes={"firstName": "Grace"})
    )
    drop = story.drop(profiles("CREATION"))
    assert drop.lines == [["1", "Grace"]]
    assert told(drop) == {"filtered": 1, "exported": 1}


def test_update_holds_rows_with_an_update_in_the_window() -> None:
    story = Story().tell(profile("CREATED", 0), profile("CREATED", 0, 2), profile("UPDATED", 1, 2))
    drop = story.drop(profiles("UPDATE"))
    assert ids(drop) == ["2"]
    assert told(drop) == {"filtered": 2, "exported": 1}


def test_an_update_at_the_moment_of_a_creation_in_the_window_is_none() -> None:
    story = Story().tell(profile("CREATED", 5), profile("UPDATED", 5))
    assert told(story.drop(profiles("UPDATE"))) == {"filtered": 2}
    assert told(story.drop(profiles("CREATION_OR_UPDATE"))) == {
        "filtered": 1,
        "exported": 1,
    }


@pytest.mark.parametrize("event", ["UPDATE", "CREATION_OR_UPDATE"])
def test_an_update_at_the_creations_moment_counts_in_a_later_window(event: str) -> None:
    story = Story().tell(profile("CREATED", 5))
    first = story.cut()
    story.tell(profile("UPDATED", 5))
    assert told(story.drops(profiles(event), first, story.cut())[1]) == {"exported": 1}


def test_an_update_at_the_moment_that_a_snapshot_tells_counts() -> None:
    """The row was there before: it wasn't created in this window."""
    snapshot = profile("SNAPSHOT", 6, creationMoment=at(5))
    story = Story().tell(snapshot, profile("UPDATED", 5))
    assert told(story.drop(profiles("UPDATE"))) == {"exported": 1}


def test_an_update_at_the_creations_moment_takes_no_other_out() -> None:
    story = Story().tell(profile("CREATED", 5), profile("UPDATED", 6), profile("UPDATED", 5))
    drop = story.drop(profiles("UPDATE"))
    assert told(drop) == {"filtered": 2, "exported": 1}
    assert [fact.offset for fact in drop.facts] == [1]


def test_one_line_a_row_by_its_last_record_that_qualifies() -> None:
    story = Story().tell(profile("CREATED", 0), profile("UPDATED", 1), profile("UPDATED", 2))
    drop = story.drop(profiles())
    assert [fact.offset for fact in drop.facts] == [2]
    assert told(drop) == {"superseded": 2, "exported": 1}


def test_lines_of_rows_come_by_id() -> None:
    story = Story().tell(
        profile("CREATED", 0, 10), profile("CREATED", 0, 9), profile("CREATED", 0, 1)
    )
    assert ids(story.drop(profiles())) == ["1", "9", "10"]


def test_the_latest_state_is_what_was_appended_last_whatever_its_moment() -> None:
    story = Story().tell(
        profile("CREATED", 0),
        profile("UPDATED", 9),
        profile("UPDATED", 3, attributes={}),
    )
    drop = story.drop(profiles(columns="profileId firstName updateMoment"))
    assert drop.lines == [["1", None, "2026-03-28 12:03:00"]]


def test_what_an_event_omits_is_empty() -> None:
    story = Story().tell(
        profile("CREATED", 0), profile("UPDATED", 1, attributes={"customerId": "C1"})
    )
    assert story.drop(profiles("UPDATE")).lines == [["1", None]]


def test_a_row_deleted_before_the_close_is_not_in() -> None:
    story = Story().tell(profile("CREATED", 0), profile("UPDATED", 1), profile("DELETED", 2))
    assert told(story.drop(profiles())) == {"filtered": 1, "row gone": 2}


def test_what_an_earlier_life_did_is_superseded_unless_it_occurred_before_the_deletion() -> None:
    before = Story().tell(profile("CREATED", 0), profile("DELETED", 1), profile("CREATED", 2))
    assert told(before.drop(profiles("CREATION"))) == {
        "filtered": 1,
        "row gone": 1,
        "exported": 1,
    }
    late = Story().tell(
        profile("CREATED", 0),
        profile("UPDATED", 5),
        profile("DELETED", 1),
        profile("CREATED", 6),
    )
    assert told(late.drop(profiles())) == {
        "filtered": 1,
        "row gone": 1,
        "superseded": 1,
        "exported": 1,
    }


def test_an_event_that_occurred_at_or_before_the_latest_deletion_is_gone_and_feeds_no_state() -> (
    None
):
    late = profile("UPDATED", 2, attributes={"firstName": "Ghost"})
    story = Story().tell(profile("CREATED", 0), profile("DELETED", 2), profile("CREATED", 3), late)
    drop = story.drop(profiles())
    assert drop.lines == [["1", "Ada"]]
    assert told(drop) == {"filtered": 1, "row gone": 2, "exported": 1}


def test_the_latest_deletion_ends_lives_up_to_the_latest_moment_of_any() -> None:
    story = Story().tell(profile("DELETED", 9), profile("DELETED", 2), profile("CREATED", 5))
    assert told(story.drop(profiles())) == {"filtered": 2, "row gone": 1}


def test_an_update_of_a_row_whose_creation_was_never_seen_has_an_empty_creation_moment() -> None:
    drop = (
        Story()
        .tell(profile("UPDATED", 1))
        .drop(profiles(columns="profileId creationMoment updateMoment"))
    )
    assert drop.lines == [["1", None, "2026-03-28 12:01:00"]]


def test_a_creation_of_a_living_row_begins_a_new_life() -> None:
    story = Story().tell(profile("CREATED", 0), profile("UPDATED", 1), profile("CREATED", 2))
    drop = story.drop(profiles(columns="profileId creationMoment updateMoment"))
    assert drop.lines == [["1", "2026-03-28 12:02:00", "2026-03-28 12:02:00"]]
    assert told(drop) == {"superseded": 2, "exported": 1}
    assert drop.warnings == {"created while living": 1}


def test_a_snapshot_feeds_the_state_and_is_in_no_delta() -> None:
    loaded = profile("SNAPSHOT", 0, creationMoment=at(-90), updateMoment=at(-30))
    story = Story().tell(loaded)
    start = story.cut()
    assert story.drop(profiles()).outcomes == []
    story.tell(
        profile("UPDATED", 1),
        profile("SNAPSHOT", 2, creationMoment=at(-1), attributes={"firstName": "Grace"}),
    )
    columns = "profileId firstName creationMoment updateMoment"
    drop = story.drop(profiles(columns=columns), start=start)
    assert drop.lines == [["1", "Grace", "2026-03-28 10:30:00", "2026-03-28 12:01:00"]]
    assert told(drop) == {"exported": 1}


def test_an_initial_drop_holds_every_live_row_at_the_cut() -> None:
    story = Story().tell(
        profile("SNAPSHOT", 0, 3), profile("CREATED", 0, 2), profile("UPDATED", 0, 1)
    )
    story.tell(profile("CREATED", 0, 4), profile("DELETED", 1, 4))
    drop = story.drop(profiles(), start=story.cut(), initial=True)
    assert ids(drop) == ["1", "2", "3"]
    assert told(drop) == {"exported": 3}


def test_across_partitions_the_latest_is_by_append_time_but_by_offset_within_one() -> None:
    story = Story().append(profile("CREATED", 0), partition=1)
    story.append(profile("UPDATED", 1, attributes={"firstName": "Grace"}), partition=0)
    assert story.drop(profiles()).lines == [["1", "Grace"]]
    story.append(
        profile("UPDATED", 2, attributes={"firstName": "Edith"}),
        partition=1,
        after=-1_000_000,
    )
    story.append(profile("UPDATED", 3, attributes={"firstName": "Joan"}), partition=1, after=-1)
    assert story.drop(profiles()).lines == [["1", "Grace"]]


def test_a_deletion_recorded_before_the_file_is_written_takes_the_row_out() -> None:
    story = Story().tell(profile("CREATED", 0, 1), profile("CREATED", 0, 2))
    cut = story.cut()
    close = Close(cut, {"shop": {1: cut.instant}})
    [drop] = drops_of(History(story.records), profiles(), OF_NOTHING, [close])
    assert ids(drop) == ["2"]
    assert told(drop) == {"row gone": 1, "exported": 1}
