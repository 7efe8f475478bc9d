"""JSON Lines (SPEC §8): read without loss, refused with line number and reason, all or nothing."""

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, cast

import pytest

from producers.encode import Encoded, WrongEventError
from producers.jsonl import LineReader, publish_lines, publish_right_lines, read_event
from producers.publisher import Publisher
from schemas.errors import WrongInputError
from schemas.events import Kind
from schemas.registry import wire_header
from tests.shop.events import CATALOG, decode

HEADER = {"database": "shop", "source": "API", "occurredAt": "2026-03-28T13:00:00+01:00"}
OPENED = {
    "kind": "email-activity",
    "eventType": "OPENED",
    **HEADER,
    "interactionId": 1,
    "campaignId": 2,
    "profileId": 3,
}


def line(**changes: Any) -> bytes:
    found = {name: value for name, value in {**OPENED, **changes}.items() if value is not ...}
    return json.dumps(found).encode() + b"\n"


class Recorder:
    """A publisher that keeps what it is given."""

    def __init__(self) -> None:
        self.sent: list[Encoded] = []

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def send(self, events: Sequence[Encoded]) -> None:
        self.sent += events

    def flush(self) -> int:
        return len(self.sent)


def told(step: str, done: int) -> None:
    pass


def publish(recorder: Recorder, *lines: bytes) -> Any:
    def connect() -> Publisher:
        return cast(Publisher, recorder)

    return publish_lines(lines, "day.jsonl", CATALOG, "deltadrop", connect, told)


def fault(text: bytes) -> str:
    ((events, faults),) = LineReader("f", CATALOG, "deltadrop").chunks([text])
    assert not events
    return str(faults[0]).removeprefix("f:1: ")


def test_lines_are_sent_in_order() -> None:
    recorder = Recorder()
    outcome = publish(recorder, *(line(interactionId=n) for n in range(5000)))
    assert outcome.sent == 5000
    assert [event.key for event in recorder.sent] == [str(n).encode() for n in range(5000)]


def test_nothing_is_sent_if_any_line_is_wrong() -> None:
    recorder = Recorder()
    lines = [line() for _ in range(4999)]
    with pytest.raises(WrongInputError) as refused:
        publish(recorder, *lines, b"\n", line(profileId="x"), *lines, line(eventType="CLICKED"))
    assert str(refused.value).splitlines() == [
        "day.jsonl:5001: field 'profileId': isn't a whole number",
        "day.jsonl:10001: field 'clickedUrl': is missing in CLICKED",
    ]
    assert not recorder.sent


def test_with_keep_going_the_right_lines_are_sent_and_the_wrong_ones_told() -> None:
    recorder = Recorder()
    lines = [line(), b"{", line(profileId=None), line(eventType="CLICKED"), line()]
    publisher = cast(Publisher, recorder)
    outcome = publish_right_lines(lines, "-", CATALOG, "deltadrop", publisher, told)
    assert (outcome.sent, outcome.refused) == (2, 3)
    assert [one.where for one in outcome.faults] == ["-:2", "-:3", "-:4"]


def test_a_flood_of_wrong_lines_is_counted_not_listed() -> None:
    with pytest.raises(WrongInputError) as refused:
        publish(Recorder(), *[b"x\n"] * 5000)
    assert len(refused.value.faults) == 101
    assert str(refused.value).splitlines()[-1] == "and 4900 more wrong lines"


def test_an_empty_file_sends_nothing() -> None:
    assert publish(Recorder()).sent == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"not json", "isn't JSON: Expecting value: line 1 column 1 (char 0)"),
        (b"[]", 'isn\'t a JSON object; one event a line: {"kind": …}'),
        (b'{"kind": "row", "kind": "row"}', "isn't JSON: key 'kind' is there twice"),
        (b"\xff", "isn't JSON: 'utf-8' codec can't decode byte 0xff in position 0"),
        (b"[" * 100_000, "isn't JSON: maximum recursion depth exceeded"),
        (line(kind=...), "field 'kind': is missing"),
        (line(source=5), "field 'source': isn't text"),
        (line(database="x"), "field 'database': 'x' isn't defined; choose from shop"),
        (line(occurredAt="2026-03-28"), "field 'occurredAt': is a moment without its zone"),
        (line(occurredAt="yesterday"), "field 'occurredAt': isn't a moment (ISO 8601 with zone)"),
        (line(eventId="1"), "field 'eventId': isn't a UUID (8-4-4-4-12 hexadecimal digits)"),
        (line(eventId="{00000000-0000-0000-0000-000000000007}"), "field 'eventId': isn't a UUID"),
        (line(profileId=1.0), "field 'profileId': isn't a whole number"),
        (line(profileId=True), "field 'profileId': isn't a whole number"),
        (line(emailAddress=5), "field 'emailAddress': isn't text"),
        (line(opened=1), "field 'opened': email-activity OPENED has no such field"),
        (line(profileId=float("nan")), "isn't JSON: NaN isn't a number"),
    ],
)
def test_a_wrong_line_says_what_is_wrong(text: bytes, message: str) -> None:
    assert fault(text).startswith(message)


@pytest.mark.parametrize(
    "moment",
    [
        "2026-03-28x09:00:00Z",
        "2026-03-28T09:00:00+01:00:30",
        "2026-W13-6T09:00:00Z",
        "2026-03-28T9:00:00Z",
        "２０２６-03-28T09:00:00Z",
        "2026-03-28T09:00:00 Z",
        "2026-02-30T09:00:00Z",
    ],
)
def test_a_moment_is_iso_8601_to_the_letter(moment: str) -> None:
    assert fault(line(occurredAt=moment)) == (
        "field 'occurredAt': isn't a moment (ISO 8601 with zone)"
    )


@pytest.mark.parametrize(
    "moment",
    [
        "2026-03-28T12:00Z",
        "2026-03-28 13:00:00+01:00",
        "2026-03-28T13:00:00,000+0100",
        "20260328T120000Z",
        "2026-03-28T12:00:00.123456789-00",
    ],
)
def test_every_spelling_of_iso_8601_is_a_moment(moment: str) -> None:
    assert read_event(line(occurredAt=moment)).occurred_at.replace(microsecond=0) == datetime(
        2026, 3, 28, 12, tzinfo=UTC
    )


@pytest.mark.parametrize("day", ["1999-W01-1", "19991231", "1999-12-3", "1999-02-30", "1999-12"])
def test_a_date_is_year_month_and_day(day: str) -> None:
    assert fault(profile({"birthDate": day})) == (
        "field 'attributes.birthDate': isn't a date (yyyy-MM-dd)"
    )


@pytest.mark.parametrize("number", ["1_0", " 1 ", "１", "NaN", "Infinity", "", "1e", "."])
def test_a_decimal_in_text_is_spelt_in_plain_digits(number: str) -> None:
    assert fault(profile({"balance": number})) == (
        "field 'attributes.balance': isn't a decimal number"
    )


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (
            "1e99999999999999999999",
            "isn't JSON: 1e99999999999999999999 is out of the range of numbers",
        ),
        (f"1e{'9' * 60}", f"isn't JSON: 1e{'9' * 38}… is out of the range of numbers"),
        ("9" * 5000, "field 'attributes.points': isn't a whole number of up to 64 bits"),
        ("1e400", "field 'attributes.points': isn't a whole number of up to 64 bits"),
    ],
)
def test_a_number_of_any_size_is_refused_by_its_line(number: str, message: str) -> None:
    assert fault(profile({"points": "#"}).replace(b'"#"', number.encode())) == message


def test_a_decimal_of_thousands_of_digits_is_refused_in_our_words() -> None:
    for long, message in [
        ("9" * 5000, "has more than 18 digits"),
        ("0." + "1" * 5000, "has more than 2 decimals"),
        (f'"{"9" * 5000}"', "has more than 18 digits"),
    ]:
        text = profile({"balance": "#"}).replace(b'"#"', long.encode())
        assert fault(text) == f"field 'attributes.balance': {message}"


def test_zeros_at_the_end_are_no_decimals() -> None:
    text = profile({"balance": "#"}).replace(b'"#"', b"1." + b"0" * 5000)

    ((_, faults),) = LineReader("f", CATALOG, "deltadrop").chunks([text])

    assert not faults


def profile(attributes: dict[str, object]) -> bytes:
    event = {"kind": "profile", "eventType": "CREATED", **HEADER, "profileId": 1}
    return json.dumps({**event, "attributes": attributes}).encode()


def test_a_value_outside_a_closed_list_is_refused_with_the_list() -> None:
    subscribed = {"kind": "subscription-update", "eventType": "CHANGED", **HEADER, "profileId": 1}
    subscribed |= {"subscription": "newsletr", "type": "SUBSCRIBED"}
    moved = {"kind": "segment-transition", "eventType": "CHANGED", **HEADER, "profileId": 1}
    bounced = {"bounceStatusCategory": "HARD_BOUNCE", "bounceStatus": "FULL"}

    assert fault(json.dumps(subscribed).encode()) == (
        "field 'subscription': isn't declared; choose from newsletter, offers, events"
    )
    assert fault(json.dumps({**moved, "segment": "vipp", "newValue": "true"}).encode()) == (
        "field 'segment': isn't declared; choose from vip, parents, lifecycle"
    )
    assert fault(line(eventType="BOUNCED", **bounced)) == (
        "fields 'bounceStatusCategory, bounceStatus': not in the closed list of BOUNCED; choose "
        "from HARD_BOUNCE: UNKNOWN_DOMAIN, UNKNOWN_USER, OTHER_HARD_BOUNCE; "
        "SOFT_BOUNCE: QUOTA_EXCEEDED, OTHER_SOFT_BOUNCE; TECHNICAL: any"
    )


def test_a_row_without_its_table_is_refused_with_those_that_there_are() -> None:
    row = {"kind": "row", "eventType": "CREATED", **HEADER, "id": 1, "attributes": {}}

    assert fault(json.dumps(row).encode()) == (
        "field 'table': is missing; choose from loyaltyCards, purchases, stores"
    )


def test_values_are_read_without_loss() -> None:
    attributes = (
        '{"balance": 1234567890123456.78, "points": 9007199254740993,'
        ' "birthDate": "0001-01-01", "lastPurchase": "2026-03-28T12:00:00.123456Z",'
        ' "hobbies": ["a", ""], "cardHolder": true, "city": null}'
    )
    body = json.dumps({"kind": "profile", "eventType": "CREATED", **HEADER, "profileId": 1})
    text = f'{body[:-1]}, "attributes": {attributes}, "segments": {{"vip": false}}}}'.encode()
    ((events, faults),) = LineReader("f", CATALOG, "deltadrop").chunks([text])
    assert not faults
    (row,) = decode(Kind.PROFILE, [wire_header(1) + events[0].datum]).batch.to_pylist()
    assert {name: value for name, value in row["attributes"].items() if value is not None} == {
        "balance": Decimal("1234567890123456.78"),
        "points": 9007199254740993,
        "birthDate": date(1, 1, 1),
        "lastPurchase": datetime(2026, 3, 28, 12, 0, 0, 123_000, UTC),
        "hobbies": ["a", ""],
        "cardHolder": True,
    }
    assert row["occurredAt"] == datetime(2026, 3, 28, 12, tzinfo=UTC)


@pytest.mark.parametrize("number", ["1.10", "110e-2", '"1.10"', "1.1000", "1"])
def test_a_decimal_may_be_a_number_or_text_in_any_spelling(number: str) -> None:
    row = {"kind": "row", "eventType": "CREATED", **HEADER, "table": "purchases", "id": 1}
    text = json.dumps(row)[:-1] + f', "attributes": {{"amount": {number}}}}}'
    ((events, _),) = LineReader("f", CATALOG, "deltadrop").chunks([text.encode()])
    (found,) = decode(Kind.ROW, [wire_header(1) + events[0].datum]).batch.to_pylist()
    assert found["attributes"]["amount"] == Decimal(number.strip('"'))


@pytest.mark.parametrize("moment", ["0001-01-02T00:00:00+01:00", "9999-12-30T23:59:59-01:00"])
def test_a_moment_outside_the_bounds_is_refused(moment: str) -> None:
    assert fault(line(occurredAt=moment)) == (
        "field 'occurredAt': isn't a moment from 0001-01-02 to 9999-12-30"
    )


def test_an_event_keeps_the_id_it_has() -> None:
    given = "0A000000-0000-0000-0000-000000000007"
    assert str(read_event(line(eventId=given)).event_id) == given.lower()
    with pytest.raises(WrongEventError):
        read_event(line(eventId=7))
