"""The naive model read against SPEC §3, *Activities* and *People who are gone*: each test is named
after its rule.
"""

from typing import Any

import pytest

from tests.model import Close, Export, History, drops_of
from tests.model.history import DAY
from tests.model.story import (
    NOON,
    OF_NOTHING,
    SHOP,
    Story,
    campaign,
    email,
    emails,
    ids,
    known_profile,
    profile,
    told,
)

# Activities: firsts


def test_a_click_without_an_opening_is_an_opening_at_the_clicks_moment() -> None:
    story = known_profile().tell(email("CLICKED", 3, emailAddress="click@example.com"))
    drop = story.drop(emails("OPENED", "interactionId eventTime emailAddress"))
    assert drop.lines == [["1", "2026-03-28 12:03:00", "click@example.com"]]


def test_within_a_window_the_earliest_occurrence_is_the_first() -> None:
    story = known_profile().tell(email("OPENED", 5), email("CLICKED", 2), email("OPENED", 4))
    drop = story.drop(emails("OPENED", "interactionId eventTime"))
    assert drop.lines == [["1", "2026-03-28 12:02:00"]]
    assert told(drop) == {"not first": 2, "exported": 1}


def test_a_tie_goes_to_the_lowest_partition_then_offset() -> None:
    story = known_profile().append(email("OPENED", 2), partition=1)
    story.append(email("OPENED", 2)).append(email("OPENED", 2))
    drop = story.drop(emails("OPENED"))
    assert [fact.position for fact in drop.facts] == [(0, 0)]


def test_first_means_first_recorded_over_all_windows() -> None:
    story = known_profile().tell(email("OPENED", 5))
    first = story.cut()
    second = story.tell(email("OPENED", 1)).cut()
    drops = story.drops(emails("OPENED"), first, second)
    assert [told(drop) for drop in drops] == [{"exported": 1}, {"not first": 1}]


def test_what_was_opened_before_the_first_window_is_remembered() -> None:
    story = known_profile().tell(email("OPENED", 5))
    start = story.cut()
    drop = story.tell(email("OPENED", 6)).drop(emails("OPENED"), start=start)
    assert told(drop) == {"not first": 1}


def test_the_first_click_on_each_link_of_an_interaction() -> None:
    a, b = "https://shop.example/a", "https://shop.example/b"
    story = known_profile().tell(
        email("CLICKED", 3, clickedUrl=a),
        email("CLICKED", 2, clickedUrl=b),
        email("CLICKED", 4, clickedUrl=a),
        email("CLICKED", 9, interaction_id=2, clickedUrl=a),
    )
    drop = story.drop(emails("CLICKED", "interactionId clickedUrl isFirstClick"))
    assert drop.lines == [["1", a, "N"], ["1", b, "Y"], ["2", a, "Y"]]
    assert told(drop) == {"not first": 1, "exported": 3}


def test_a_link_clicked_in_a_later_window_is_not_the_first_click() -> None:
    story = known_profile().tell(email("CLICKED", 3))
    first = story.cut()
    second = story.tell(email("CLICKED", 1, clickedUrl="https://shop.example/b")).cut()
    drops = story.drops(emails("CLICKED", "isFirstClick"), first, second)
    assert [drop.lines for drop in drops] == [[["Y"]], [["N"]]]


def test_a_first_while_the_campaign_is_inactive_is_used_up() -> None:
    story = known_profile().tell(campaign(state="DRAFT"), email("OPENED", 1))
    first = story.cut()
    second = story.tell(campaign(state="ACTIVE"), email("OPENED", 2)).cut()
    drops = story.drops(emails("OPENED"), first, second)
    assert [told(drop) for drop in drops] == [
        {"inactive campaign": 1},
        {"not first": 1},
    ]


@pytest.mark.parametrize(
    ("age", "outcome"), [(400 * DAY - 1, "not first"), (400 * DAY, "exported")]
)
def test_firsts_are_remembered_for_400_days(age: int, outcome: str) -> None:
    story = known_profile().tell(email("OPENED", 1))
    start = story.cut()
    story.append(email("OPENED", 2), after=age)
    assert told(story.drops(emails("OPENED"), story.cut(), start=start)[0]) == {outcome: 1}


# Activities: which count


@pytest.mark.parametrize(
    ("announced", "active"),
    [
        ({"state": "ACTIVE"}, True),
        ({"state": "ACTIVE", "engine": "LEGACY"}, False),
        ({"state": "DRAFT"}, False),
        ({"campaignKind": "TRANSACTIONAL", "state": "ACTIVE"}, True),
        ({"state": "FINISHED", "finishedAt": "2026-02-25T12:00:00.001Z"}, True),
        ({"state": "FINISHED", "finishedAt": "2026-02-25T12:00:00Z"}, False),
        (
            {
                "campaignKind": "ONE_SHOT",
                "state": "FINISHED",
                "sentAt": "2026-02-25T12:00:00.001Z",
            },
            True,
        ),
        (
            {
                "campaignKind": "ONE_SHOT",
                "state": "ACTIVE",
                "sentAt": "2026-02-25T12:00:00Z",
            },
            False,
        ),
        ({"campaignKind": "AB_TEST", "state": "ACTIVE"}, True),
        (
            {
                "campaignKind": "AB_TEST",
                "state": "FINISHED",
                "finishedAt": "2026-03-28T12:00:00Z",
            },
            False,
        ),
        (
            {
                "campaignKind": "ONE_SHOT",
                "state": "DRAFT",
                "sentAt": "2026-03-28T12:00:00Z",
            },
            False,
        ),
    ],
)
def test_active_campaigns_only(announced: dict[str, Any], active: bool) -> None:
    story = Story().tell(campaign(**announced), email("SENT"))
    [drop] = story.drops(emails("SENT"), story.cut(NOON))
    assert told(drop) == {"exported" if active else "inactive campaign": 1}


def test_a_campaign_counts_as_of_the_cut() -> None:
    story = Story().tell(
        campaign(),
        campaign(state="DRAFT"),
        email("SENT"),
        campaign(technicalName="springsale_2"),
    )
    assert story.drop(emails("SENT", "campaignTechnicalName")).lines == [["springsale_2"]]


@pytest.mark.parametrize("closes_later", [1, 2, 3])
def test_an_activity_waits_up_to_three_further_closes_for_its_campaign(
    closes_later: int,
) -> None:
    story = Story().tell(profile("CREATED", -60), email("SENT", 1))
    cuts = [story.cut() for _ in range(closes_later)]
    cuts.append(story.tell(campaign()).cut())
    drops = story.drops(emails("SENT"), *cuts)
    waiting = [{"waiting for its campaign": 1}] * closes_later
    assert [told(drop) for drop in drops] == [*waiting, {"exported": 1}]


def test_after_three_further_closes_the_campaign_counts_as_unknown() -> None:
    story = Story().tell(email("SENT", 1))
    cuts = [story.cut() for _ in range(4)]
    cuts.append(story.tell(campaign()).cut())
    assert [told(drop) for drop in story.drops(emails("SENT"), *cuts)] == [
        *[{"waiting for its campaign": 1}] * 3,
        {"unknown campaign": 1},
        {},
    ]


def test_a_waiting_fact_has_used_up_its_first_and_keeps_its_verdict() -> None:
    story = known_profile().tell(email("CLICKED", 5, campaignId=8))
    first = story.cut()
    second = story.tell(email("CLICKED", 1, campaignId=8), campaign(campaignId=8)).cut()
    drops = story.drops(emails("CLICKED", "eventTime isFirstClick"), first, second)
    assert told(drops[0]) == {"waiting for its campaign": 1}
    assert drops[1].lines == [["2026-03-28 12:05:00", "Y"]]
    assert told(drops[1]) == {"not first": 1, "exported": 1}


def test_a_waiting_fact_is_judged_where_its_campaign_is_known() -> None:
    story = Story().tell(email("SENT", 1))
    first = story.cut()
    second = story.tell(campaign(engine="LEGACY")).cut()
    drops = story.drops(emails("SENT"), first, second)
    assert [told(drop) for drop in drops] == [
        {"waiting for its campaign": 1},
        {"inactive campaign": 1},
    ]


def test_only_hard_and_soft_bounces_are_exported() -> None:
    story = known_profile().tell(
        email(
            "BOUNCED",
            1,
            1,
            bounceStatusCategory="HARD_BOUNCE",
            bounceStatus="UNKNOWN_USER",
        ),
        email(
            "BOUNCED",
            1,
            2,
            bounceStatusCategory="TECHNICAL",
            bounceStatus="OUT_OF_OFFICE",
        ),
        email(
            "BOUNCED",
            1,
            3,
            bounceStatusCategory="SOFT_BOUNCE",
            bounceStatus="QUOTA_EXCEEDED",
        ),
    )
    drop = story.drop(emails("BOUNCED", "interactionId bounceStatusCategory bounceStatus"))
    assert drop.lines == [
        ["1", "HARD_BOUNCE", "UNKNOWN_USER"],
        ["3", "SOFT_BOUNCE", "QUOTA_EXCEEDED"],
    ]
    assert told(drop) == {"filtered": 1, "exported": 2}


def test_only_unsubscribes_made_from_an_email_are_exported() -> None:
    sources = ("UNSUBSCRIBE_LINK", "LIST_UNSUBSCRIBE", "FORM", "API")
    story = known_profile().tell(
        *(email("UNSUBSCRIBED", 1, number, source=source) for number, source in enumerate(sources))
    )
    drop = story.drop(emails("UNSUBSCRIBED"))
    assert ids(drop) == ["0", "1"]
    assert told(drop) == {"filtered": 2, "exported": 2}


def test_the_first_outcome_that_applies_counts() -> None:
    technical: dict[str, Any] = {
        "bounceStatusCategory": "TECHNICAL",
        "bounceStatus": "OUT_OF_OFFICE",
    }
    story = Story().tell(email("BOUNCED", 1, campaignId=404, **technical))
    assert told(story.drop(emails("BOUNCED"))) == {"filtered": 1}


def test_lines_of_activities_come_by_partition_and_offset() -> None:
    story = Story().tell(campaign())
    for interaction, partition in ((1, 1), (2, 0), (3, 1), (4, 0)):
        story.append(email("SENT", 9 - interaction, interaction), partition=partition)
    assert ids(story.drop(emails("SENT"))) == ["2", "4", "1", "3"]


# Activities: columns and people


def test_the_subscription_is_the_events_own_else_the_campaigns() -> None:
    story = Story().tell(
        campaign(subscription="newsletter"),
        email("SENT"),
        email("SENT", subscription="offers"),
    )
    assert story.drop(emails("SENT", "subscription")).lines == [
        ["newsletter"],
        ["offers"],
    ]


def test_an_activity_has_the_columns_of_the_specification_by_default() -> None:
    sent = Export("email-activities", "SENT", SHOP).header
    assert sent == [
        "interactionId",
        "campaignId",
        "abVersion",
        "profileId",
        "subscription",
        "eventTime",
        "emailAddress",
        "campaignTechnicalName",
        "customerId",
    ]
    clicked = Export("email-activities", "CLICKED", SHOP).header
    assert clicked == [*sent, "clickedUrlName", "isFirstClick", "clickedUrl"]


def test_the_business_key_is_the_profiles_own_as_of_the_cut() -> None:
    story = known_profile().tell(
        email("SENT", 1), profile("UPDATED", 2, attributes={"customerId": "C-new"})
    )
    assert story.drop(emails("SENT", "customerId emailAddress")).lines == [
        ["C-new", "ada@example.com"]
    ]


GONE = emails(
    "SENT",
    "interactionId emailAddress customerId profile-firstName campaignTechnicalName",
)
ALL_BUT_TECHNICAL = ["1", None, None, None, "springsale_1"]


def test_a_fact_is_gone_if_its_profile_was_deleted_after_it() -> None:
    story = known_profile().tell(email("SENT", 5), profile("DELETED", 1), profile("CREATED", 9))
    assert story.drop(GONE).lines == [ALL_BUT_TECHNICAL]


def test_a_fact_that_occurred_at_or_before_the_deletion_is_gone() -> None:
    story = known_profile().tell(profile("DELETED", 5), email("SENT", 5), profile("CREATED", 9))
    assert story.drop(GONE).lines == [ALL_BUT_TECHNICAL]


def test_a_fact_is_gone_if_no_profile_event_was_recorded_since_the_deletion() -> None:
    story = known_profile().tell(profile("DELETED", 5), email("SENT", 6))
    assert story.drop(GONE).lines == [ALL_BUT_TECHNICAL]


def test_a_fact_of_the_life_after_the_deletion_is_not_gone() -> None:
    story = known_profile().tell(profile("DELETED", 5), email("SENT", 6), profile("CREATED", 6))
    assert story.drop(GONE).lines == [["1", "ada@example.com", "C1", "Ada", "springsale_1"]]


def test_a_deletion_recorded_before_the_file_is_written_empties_personal_columns() -> None:
    story = known_profile().tell(email("SENT", 6))
    cut = story.cut()
    close = Close(cut, {"shop": {1: cut.instant}})
    [drop] = drops_of(History(story.records), GONE, OF_NOTHING, [close])
    assert drop.lines == [ALL_BUT_TECHNICAL]


def test_a_profile_never_seen_is_not_gone() -> None:
    drop = Story().tell(campaign(), email("SENT", 6)).drop(GONE)
    assert drop.lines == [["1", "ada@example.com", None, None, "springsale_1"]]
    assert drop.warnings == {"profile never seen": 1}
