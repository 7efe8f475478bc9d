"""The CDNOW example: its events, read by the naive model, give what pandas makes of the source."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from examples.cdnow import source
from examples.cdnow.convert import Book, months
from examples.cdnow.expected import (
    COLUMNS,
    ComparisonError,
    expected_drops,
    refuse_difference,
    summary,
)
from producers import Event
from tests.model import Close, Cut, Database, Export, History, Recorded, drops_of, topic_name
from tests.model.history import milliseconds

HISTORY = """ customer_id  date number_of_cds  dollar_value
 00001 19970101  1   11.77
 00002 19970112  1   12.00
 00002 19970112  5   77.00
 00003 19970102  2   20.76
 00003 19970330  2   20.76
 00003 19970330  1    0.00
 00004 19970101  2   29.33
 00004 19970118  2   29.73
 00005 19970215  1    9.99
"""
TABLES = Path("examples/cdnow/tables")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "purchases.txt"
    file.write_text(HISTORY.replace("\n", "\r\n"), encoding="ascii", newline="")
    return file


def test_the_source_is_read_line_by_line(file: Path) -> None:
    purchases = list(source.read(file))
    assert [purchase.number for purchase in purchases] == list(range(1, 10))
    assert str(purchases[4].dollars) == "20.76"
    assert purchases[4].day.isoformat() == "1997-03-30"


def test_another_file_than_the_data_set_is_refused(file: Path) -> None:
    with pytest.raises(source.SourceError, match="isn't the data set"):
        source.check(file)


def test_a_purchase_is_a_row_and_the_customers_profile_as_it_now_is(file: Path) -> None:
    [(month, purchases), *_] = months(source.read(file))
    row, created, *_, updated = list(Book().events(purchases))
    assert month == "1997-01"
    assert (row.kind, row.payload["table"], row.payload["profileId"]) == ("row", "purchases", 1)
    assert created.event_type == "CREATED"
    assert updated.event_type == "UPDATED"
    assert updated.payload["attributes"] == {
        "customerId": "00004",
        "purchases": 2,
        "cds": 4,
        "spent": Decimal("59.06"),
        "firstPurchase": date(1997, 1, 1),
        "lastPurchase": date(1997, 1, 18),
    }


def test_two_purchases_of_a_day_have_different_moments(file: Path) -> None:
    [(_, purchases), *_] = months(source.read(file))
    events = list(Book().events(purchases))
    second = [event.occurred_at for event in events if event.payload["profileId"] == 2][::2]
    noon = datetime(1997, 1, 12, 12, tzinfo=UTC)
    assert second == [noon, noon + timedelta(seconds=1)]


def test_the_same_input_gives_the_same_events(file: Path) -> None:
    grouped = list(months(source.read(file)))
    first, second = (
        [list(book.events(month)) for _, month in grouped] for book in (Book(), Book())
    )
    assert first == second


def test_pandas_and_the_model_see_the_same_drops(file: Path, pytestconfig: pytest.Config) -> None:
    database = Database.load(pytestconfig.rootpath / TABLES / "music.yaml")
    book, records, closes, names = Book(), list[Recorded](), list[Close](), []
    for month, purchases in months(source.read(file)):
        for event in map(_json_like, book.events(purchases)):
            topic = topic_name(event["kind"], "music", event.get("table", ""))
            offset = sum(record.topic == topic for record in records)
            records.append(Recorded(topic, 0, offset, milliseconds("2026-01-01T00:00:00Z"), event))
        ends = {(record.topic, 0): record.offset + 1 for record in records}
        closes.append(Close(Cut(milliseconds("2026-01-01T00:00:01Z"), ends)))
        names.append(month)
    expected = expected_drops(file)
    assert list(expected) == names == ["1997-01", "1997-02", "1997-03"]
    for name, event_type in (("customers-created", "CREATION"), ("customers-updated", "UPDATE")):
        export = Export("profile", event_type, database, COLUMNS)
        drops = drops_of(History(records), export, Cut(0, {}), closes)
        for month, drop in zip(names, drops, strict=True):
            assert drop.lines == expected[month][name].to_numpy().tolist()


def test_a_drop_that_differs_is_refused_with_its_first_line_that_does(file: Path) -> None:
    expected = expected_drops(file)["1997-01"]["customers-created"]
    refuse_difference("created", expected.copy(), expected)
    spoilt = expected.copy()
    spoilt.loc[2, "spent"] = "20.77"
    with pytest.raises(ComparisonError, match=r"line 3 is 3,.*20\.77.*pandas makes 3,.*20\.76"):
        refuse_difference("created", spoilt, expected)
    with pytest.raises(ComparisonError, match=r"3 lines .* pandas makes 4"):
        refuse_difference("created", expected[:3], expected)


def test_the_summary_counts_each_customer_once(file: Path) -> None:
    assert summary(list(expected_drops(file).values())) == {
        "lines in all drops": "8",
        "customers": "5",
        "purchases": "9",
        "CDs": "17",
        "dollars": "211.34",
    }


def _json_like(event: Event) -> dict[str, Any]:
    """The event as the model reads it (SPEC §8)."""
    attributes: Any = event.payload["attributes"]
    return {
        "kind": event.kind,
        "eventId": str(event.event_id),
        "eventType": event.event_type,
        "database": event.database,
        "source": event.source,
        "occurredAt": event.occurred_at.isoformat(),
        **event.payload,
        "attributes": {name: _plain(value) for name, value in attributes.items()},
    }


def _plain(value: object) -> object:
    return str(value) if isinstance(value, date | Decimal) else value
