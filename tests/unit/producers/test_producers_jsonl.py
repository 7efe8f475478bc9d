"""JSON Lines (SPEC §8): read without loss, refused with line number and reason, all or nothing."""

import io
import json
import time
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, cast

import pytest

from producers.encode import Encoded, WrongEventError
from producers.jsonl import LineReader, publish_lines, publish_right_lines
from producers.lines import MAX_LINE_BYTES, bounded_lines, printable, read_event
from producers.publisher import Publisher
from schemas.errors import WrongInputError
from schemas.events import Kind
from schemas.registry.registry import wire_header
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
        self.most = 1_000_000

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def too_large(self, events: Sequence[Encoded]) -> dict[int, str]:
        return {n: "is too large" for n, one in enumerate(events) if len(one.datum) > self.most}

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
    (checked,) = LineReader("f", CATALOG, "deltadrop").chunks([text])
    assert not checked.events
    return str(checked.faults[0]).removeprefix("f:1: ")


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
        (b"\xff", "isn't UTF-8 (byte 1 of the line: 0xff); save it as UTF-8"),
        ("{}".encode("utf-16"), "isn't UTF-8 (byte 1 of the line: 0xff); save it as UTF-8"),
        (b'{"kind": "\xc3', "isn't UTF-8 (byte 11 of the line: 0xc3); save it as UTF-8"),
        (b"[" * 100_000, "isn't an event: brackets within brackets"),
        (b'{"a":' * 20_000 + b"1" + b"}" * 20_000, "isn't an event: brackets within brackets"),
        (b"x" * (MAX_LINE_BYTES + 1), "the line has more than 16777216 bytes; it's one event"),
        (b'{"a": "\0"}', "isn't JSON: Invalid control character"),
        (b'{"\\ud800": 1, "\\ud800": 2}', r"isn't JSON: key '\ud800' is there twice"),
        (line(kind="\ud800"), r"field 'kind': '\ud800' isn't one of them"),
        (line(emailAddress="a\ud800"), "field 'emailAddress': isn't text that UTF-8 can hold"),
        (line(**{"\ud800\n\x1b": 1}), r"field '\ud800\n\x1b': email-activity OPENED has no"),
        (line(profileId="#").replace(b'"#"', b"9" * 1_000_000), "field 'profileId': isn't a whole"),
        (line(kind="#").replace(b'"#"', b"9" * 1_000_000), "field 'kind': isn't text"),
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
    ids=lambda value: str(value[:60]),
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

    (checked,) = LineReader("f", CATALOG, "deltadrop").chunks([text])

    assert not checked.faults


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
    (checked,) = LineReader("f", CATALOG, "deltadrop").chunks([text])
    assert not checked.faults
    (row,) = decode(Kind.PROFILE, [wire_header(1) + checked.events[0].datum]).batch.to_pylist()
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
    (checked,) = LineReader("f", CATALOG, "deltadrop").chunks([text.encode()])
    (found,) = decode(Kind.ROW, [wire_header(1) + checked.events[0].datum]).batch.to_pylist()
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


def test_a_line_that_is_too_large_for_kafka_is_refused_and_nothing_is_sent() -> None:
    recorder = Recorder()
    recorder.most = 100
    lines = [*[line()] * 4999, line(emailAddress="x" * 100), line(), line(abVersion="y" * 100)]
    with pytest.raises(WrongInputError) as refused:
        publish(recorder, *lines)
    assert [one.where for one in refused.value.faults] == ["day.jsonl:5000", "day.jsonl:5002"]
    assert not recorder.sent


def test_with_keep_going_only_the_lines_that_are_too_large_are_left_out() -> None:
    recorder = Recorder()
    recorder.most = 100
    lines = [line(interactionId=1), line(emailAddress="x" * 100), line(interactionId=3)]
    publisher = cast(Publisher, recorder)
    outcome = publish_right_lines(lines, "-", CATALOG, "deltadrop", publisher, told)
    assert [event.key for event in recorder.sent] == [b"1", b"3"]
    assert [one.where for one in outcome.faults] == ["-:2"]


@pytest.mark.parametrize("keys", ["distinct", "twice"])
def test_many_keys_are_read_in_linear_time(keys: str) -> None:
    named = ", ".join(f'"k{number}": 1' for number in range(200_000))
    text = f'{{{named}, "{"k199999" if keys == "twice" else "other"}": 1}}'.encode()
    begun = time.process_time()
    reason = fault(text)
    assert time.process_time() - begun < 30  # an hour where it's quadratic
    assert reason == (
        "isn't JSON: key 'k199999' is there twice"
        if keys == "twice"
        else "field 'kind': is missing"
    )


def test_a_line_without_an_end_costs_no_more_than_a_line_may_have() -> None:
    endless = io.BytesIO(b"x" * (3 * MAX_LINE_BYTES) + b"\n{}\n{}")
    assert [min(len(one), MAX_LINE_BYTES + 1) for one in bounded_lines(endless)] == [
        MAX_LINE_BYTES + 1,
        3,
        2,
    ]


def test_lines_of_windows_are_read() -> None:
    first, second = (line()[:-1] + b"\r\n" for _ in range(2))
    recorder = Recorder()
    assert publish(recorder, b"\xef\xbb\xbf" + first, b"\r\n", second).sent == 2
    with pytest.raises(WrongInputError, match=r"day.jsonl:2: isn't JSON: Unexpected UTF-8 BOM"):
        publish(recorder, first, b"\xef\xbb\xbf" + second)


def test_long_lines_are_checked_a_few_at_a_time() -> None:
    long = line(emailAddress="x" * 6_000_000)
    chunks = LineReader("f", CATALOG, "deltadrop").chunks([long] * 7)
    assert [len(one.events) for one in chunks] == [3, 3, 1]


def test_a_message_is_one_line_that_can_be_read() -> None:
    assert printable("a\nb\ud800é") == r"a\nb\ud800é"
    assert len(printable("x" * 1_000_000)) <= 1_001
