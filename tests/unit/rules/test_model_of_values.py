"""The naive model read against SPEC §4 and §7: what a value looks like in the file."""

from typing import Any

import pytest

from tests.model import Export
from tests.model.definition import export_of
from tests.model.story import SHOP, Story, profile, profiles

# Values and text


def test_values_are_written_in_the_default_formats() -> None:
    full = {
        "customerId": "",
        "balance": "-0.5",
        "birthDate": "0999-01-02",
        "hobbies": ["chess", "tea"],
    }
    told_of: dict[str, Any] = {
        "segments": {"vip": True, "lifecycle": "new"},
        "subscriptions": ["offers", "newsletter"],
    }
    body = profile("CREATED", 1, attributes=full, marketingConsent=False, **told_of)
    drop = Story().tell(body).drop(Export("profile", "CREATION", SHOP))
    assert drop.text() == (
        "profileId,customerId,firstName,balance,birthDate,hobbies,"
        "subscriptions,segment-vip,segment-lifecycle,marketingConsent,creationMoment,updateMoment\n"
        '1,"",,-0.50,0999-01-02,chess|tea,'
        "newsletter|offers,Y,new,N,2026-03-28 12:01:00,2026-03-28 12:01:00\n"
    )


def test_a_subscription_of_its_own_column_is_a_boolean_and_none_given_means_none() -> None:
    story = Story().tell(profile("CREATED", subscriptions=["offers"]), profile("CREATED", 0, 2))
    columns = "subscription-newsletter subscription-offers subscriptions segment-vip"
    assert story.drop(profiles(columns=columns)).lines == [
        ["N", "Y", "offers", None],
        ["N", "N", None, None],
    ]


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("a,b", '"a,b"'),
        ('a"b', '"a""b"'),
        ("a\nb", '"a\nb"'),
        ("a\rb", '"a\rb"'),
        (" a ", " a "),
        ("a;b", "a;b"),
    ],
)
def test_a_field_is_quoted_where_it_must_be(name: str, field: str) -> None:
    story = Story().tell(profile("CREATED", attributes={"firstName": name}))
    assert story.drop(profiles()).text() == f"profileId,firstName\n1,{field}\n"


def test_an_empty_window_is_a_header_only() -> None:
    assert Story().drop(profiles()).text() == "profileId,firstName\n"


def test_a_definition_may_ask_for_other_formats_and_headers() -> None:
    definition = {
        "type": "profile",
        "event": "CREATION",
        "columns": [{"column": "profileId", "header": "ID"}, "hobbies", "creationMoment"],
        "formats": {"boolean": "1/0", "moment": "ISO 8601", "values_separator": ";"},
        "file": {"separator": "tab"},
        "schedule": {"at": "06:00", "time_zone": "Europe/Brussels"},
    }
    story = Story().tell(profile("CREATED", 1, attributes={"hobbies": ["chess", "tea"]}))
    drop = story.drop(export_of(definition, SHOP))
    assert drop.text() == (
        "ID\thobbies\tcreationMoment\n1\tchess;tea\t2026-03-28T13:01:00.000+01:00\n"
    )
