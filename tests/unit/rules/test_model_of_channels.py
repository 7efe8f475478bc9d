"""The naive model read against SPEC §2 and §3, SMS and the file channels: each test is named after
its rule.
"""

import pytest

from tests.model.story import Story, campaign, contact, exports, ids, known_profile, profile, told
from tests.model.types import TYPES

READY = exports("print-activities READY", "interactionId eventTime")


def test_the_first_click_of_an_sms_is_exported_and_no_other() -> None:
    story = known_profile().tell(
        contact("sms-activity", "DELIVERED", 1),
        contact("sms-activity", "CLICKED", 3),
        contact("sms-activity", "CLICKED", 2),
    )
    first = story.cut()
    second = story.tell(contact("sms-activity", "CLICKED", 1)).cut()
    drops = story.drops(exports("sms-activities CLICKED", "eventTime"), first, second)
    assert [drop.lines for drop in drops] == [[["2026-03-28 12:02:00"]], []]
    assert [told(drop) for drop in drops] == [{"not first": 1, "exported": 1}, {"not first": 1}]


def test_an_sms_shows_the_campaigns_display_name_and_its_own_number() -> None:
    failed = contact(
        "sms-activity",
        "DELIVERY_FAILED",
        gsmNumber="+32470",
        errorStatusCategory="DELIVERY_FAILED",
        errorStatus="EXPIRED",
    )
    story = known_profile().tell(failed)
    columns = "campaignName gsmNumber errorStatusCategory errorStatus businessKey"
    export = exports("sms-activities DELIVERY_FAILED", columns)
    assert story.drop(export).lines == [
        ["Spring sale", "+32470", "DELIVERY_FAILED", "EXPIRED", "C1"]
    ]
    gone = story.tell(profile("DELETED", 5)).drop(export)
    assert gone.lines == [["Spring sale", None, "DELIVERY_FAILED", "EXPIRED", None]]


def test_other_channels_are_filtered() -> None:
    story = known_profile().tell(
        contact("file-activity", "GENERATED", interactionId=1),
        contact("file-activity", "GENERATED", interactionId=2, channel="CALL_CENTER"),
    )
    assert ids(story.drop(exports("call-center-activities READY", "interactionId"))) == ["2"]
    assert told(story.drop(READY)) == {"filtered": 1, "exported": 1}


@pytest.mark.parametrize("downloaded_first", [True, False])
def test_what_was_downloaded_by_the_close_is_not_ready(downloaded_first: bool) -> None:
    told_of = [
        contact("file-activity", "GENERATED", 1),
        contact("file-activity", "DOWNLOADED", 2, generatedAt="2026-03-28T12:01:00Z"),
    ]
    story = known_profile().tell(*(reversed(told_of) if downloaded_first else told_of))
    assert told(story.drop(READY)) == {"already downloaded": 1}


def test_what_is_downloaded_after_the_close_was_ready() -> None:
    story = known_profile().tell(contact("file-activity", "GENERATED", 1))
    first = story.cut()
    downloaded = contact("file-activity", "DOWNLOADED", 2, generatedAt="2026-03-28T12:01:00Z")
    second = story.tell(downloaded).cut()
    assert [ids(drop) for drop in story.drops(READY, first, second)] == [["1"], []]


def test_a_waiting_generation_is_judged_on_downloads_when_its_campaign_is_known() -> None:
    story = Story().tell(contact("file-activity", "GENERATED", 1))
    first = story.cut()
    downloaded = contact("file-activity", "DOWNLOADED", 2, generatedAt="2026-03-28T12:01:00Z")
    second = story.tell(downloaded, campaign()).cut()
    drops = story.drops(READY, first, second)
    assert [told(drop) for drop in drops] == [
        {"waiting for its campaign": 1},
        {"already downloaded": 1},
    ]


def test_a_download_has_the_generations_moment_and_its_own() -> None:
    generated = "2026-03-28T10:00:00Z"
    story = known_profile().tell(contact("file-activity", "DOWNLOADED", 2, generatedAt=generated))
    drop = story.drop(exports("print-activities DOWNLOADED", "eventTime depositDate"))
    assert drop.lines == [["2026-03-28 10:00:00", "2026-03-28 12:02:00"]]


def test_there_are_13_types_and_40_event_types() -> None:
    assert len(TYPES) == 13
    assert sum(len(one.events) for one in TYPES.values()) == 40
