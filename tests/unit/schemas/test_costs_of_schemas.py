"""What one schema or one datum may cost has a bound, and whatever is wrong with one is its refusal
(SPEC §6, Bounds).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from schemas.decoding import decode
from schemas.decoding.columnar import Flags
from schemas.decoding.decode import RecordDecoder
from schemas.derive import AvroSchema, arrow_schema_of
from schemas.errors import UnknownSchemaError
from schemas.registry.registry import wire_header
from tests.properties.resolutions import datum_of, record, varint
from tests.properties.test_decode import Known, decoded, decoder

TEXT = {"name": "text", "type": "string"}
READER = record(TEXT)
GOOD = datum_of("string", "a")


def reading(writer: AvroSchema, *datums: bytes) -> tuple[Any, Any]:
    """The texts that are read, and the reasons of the others."""
    got, _, refused = decoded(
        decoder([writer], READER), [wire_header(1) + datum for datum in datums]
    )
    return [row["text"] for row in got], refused


def within_seconds(seconds: float, do: Callable[[], Any]) -> Any:
    """Processor time, of what took minutes: no measure of speed."""
    began = time.process_time()
    result = do()
    assert time.process_time() - began < seconds
    return result


def arrays(depth: int) -> Any:
    inner: Any = "long"
    for _ in range(depth):
        inner = {"type": "array", "items": inner}
    return inner


def doubling(depth: int) -> Any:
    inner: Any = "long"
    for level in range(depth):
        fields = [
            {"name": "a", "type": inner},
            {"name": "b", "type": f"D{level - 1}" if level else inner},
        ]
        inner = {"type": "record", "name": f"D{level}", "fields": fields}
    return inner


def test_two_fields_may_share_one_named_type() -> None:
    address = {"type": "record", "name": "Address", "fields": [{"name": "city", "type": "string"}]}
    writer = record(
        {"name": "home", "type": ["null", address], "default": None},
        {"name": "work", "type": ["null", "Address"], "default": None},
        {"name": "extra", "type": {"type": "map", "values": "Address"}},
        TEXT,
    )
    city = datum_of("string", "Ghent")
    datum = b"\x02" + city + b"\x02" + city + b"\x02" + city + city + b"\x00" + GOOD

    assert reading(writer, datum) == (["a"], {})


def test_a_schema_that_is_nested_deeper_than_the_bound_is_refused() -> None:
    refused = {0: "schema 1 isn't valid Avro: is nested deeper than 100 levels"}

    assert reading(record(TEXT, {"name": "deep", "type": arrays(500)}), GOOD) == ([], refused)
    assert reading(record(TEXT, {"name": "deep", "type": arrays(90)}), GOOD + b"\0") == (["a"], {})


def test_a_schema_of_more_values_than_the_bound_is_refused() -> None:
    many = [{"name": f"f{index}", "type": "long"} for index in range(7_000)]

    assert reading(record(TEXT, *many), GOOD) == (
        [],
        {0: "schema 1 isn't valid Avro: has more than 20000 values"},
    )


def test_a_readers_own_schema_is_never_beyond_the_bound() -> None:
    wide = record(*({"name": f"f{index}", "type": "long"} for index in range(9_000)))
    which = RecordDecoder(Known([wide]), wide, arrow_schema_of(wide))

    got, _, refused = decoded(which, [wire_header(1) + bytes(9_000)])

    assert (len(got), refused) == (1, {})


def test_records_that_double_cost_no_more_than_their_text() -> None:
    writer = record({"name": "much", "type": doubling(30)}, TEXT)

    texts, refused = within_seconds(30, lambda: reading(writer, bytes(100_000), GOOD))

    assert texts == []
    assert refused[0].startswith("cut short in much.")
    assert refused[1].startswith("cut short in much.a.a.")


def test_records_that_double_are_read_past_where_the_datum_has_them() -> None:
    writer = record({"name": "much", "type": doubling(12)}, TEXT)

    assert reading(writer, bytes(2**12) + GOOD) == (["a"], {})


def test_items_without_bytes_cost_nothing_to_read_past() -> None:
    writer = record(
        {"name": "none", "type": arrays(1) | {"items": arrays(1) | {"items": "null"}}}, TEXT
    )
    block = varint(2_000) + (varint(1 << 60) + b"\0") * 2_000 + b"\0"

    texts, _ = within_seconds(30, lambda: reading(writer, block + GOOD))

    assert texts == ["a"]


@pytest.mark.parametrize("items", ["null", {"type": "record", "name": "E", "fields": []}])
def test_items_without_bytes_that_are_read_have_a_bound(items: Any) -> None:
    reader = record({"name": "list", "type": {"type": "array", "items": ["null", "string"]}})
    writer = record({"name": "list", "type": {"type": "array", "items": items}})

    _, _, refused = decoded(
        decoder([writer], reader), [wire_header(1) + varint(1 << 60) + b"\0"] * 100
    )

    assert set(refused) == set(range(100))


def test_a_list_that_holds_itself_has_a_bound_of_levels() -> None:
    chain = {
        "type": "record",
        "name": "Chain",
        "fields": [{"name": "next", "type": ["null", "Chain"]}],
    }
    writer = record({"name": "chain", "type": chain}, TEXT)

    texts, refused = reading(writer, b"\2" * 60 + b"\0" + GOOD, b"\2" * 500_000 + b"\0" + GOOD)

    assert texts == ["a"]
    assert refused[1].startswith("nested deeper than 64 records in chain.next.next.")
    assert len(refused[1]) == 300


def test_a_record_that_holds_itself_without_an_end_is_refused() -> None:
    endless = {"type": "record", "name": "Endless", "fields": [{"name": "next", "type": "Endless"}]}

    _, refused = reading(record(TEXT, {"name": "endless", "type": endless}), GOOD)

    assert refused[0].startswith("nested deeper than 64 records in endless.")


def test_a_thousand_reasons_are_each_their_own() -> None:
    """33,000 unknown ids in one batch: each is refused with its id."""

    class Nothing:
        def schema(self, schema_id: int) -> AvroSchema:
            raise UnknownSchemaError(f"no schema has the id {schema_id}")

    which = RecordDecoder(Nothing(), READER, arrow_schema_of(READER))
    values = [wire_header(index) for index in range(1, 40_001)]

    _, _, refused = within_seconds(60, lambda: decoded(which, values))

    assert refused == {index: f"unknown schema id {index + 1}" for index in range(40_000)}


def test_a_reason_is_one_line_of_bounded_length() -> None:
    name = "x" * 5_000 + "\n\x1b[31m"
    writer = record({"name": f"a\n\x1b{name}", "type": "long"}, TEXT)

    _, refused = reading(writer, b"\xff")

    assert refused[0].startswith("cut short in a\\n\\x1bxxx")
    assert refused[0].isprintable()
    assert len(refused[0]) < 350


def test_a_schema_whose_planning_fails_as_nobody_foresaw_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(*_: object) -> object:
        raise RecursionError("maximum recursion depth exceeded")

    monkeypatch.setattr(decode, "compile_record", fails)

    assert reading(READER, GOOD)[1] == {0: "schema 1 can't be read here (RecursionError)"}


def test_a_datum_whose_reading_fails_as_nobody_foresaw_is_refused_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = decode.Record.columns

    def fails(self: Any, cursor: Any) -> list[pa.Array]:
        if any(
            b"!" in cursor.windows.data[a:b]
            for a, b in zip(cursor.position, cursor.end, strict=True)
        ):
            raise IndexError("nobody foresaw it")
        return real(self, cursor)

    monkeypatch.setattr(decode.Record, "columns", fails)
    values = [datum_of("string", text) for text in ("a", "b!", "c", "d", "!")]

    assert reading(READER, *values) == (
        ["a", "c", "d"],
        dict.fromkeys((1, 4), "can't be read (IndexError)"),
    )


def test_whatever_json_a_schema_is_it_is_read_or_refused() -> None:
    for writer in (
        {},
        {"type": "record"},
        {"type": "record", "name": "R"},
        {"type": "record", "name": "R", "fields": [1]},
        {"type": "record", "name": "R", "fields": [{"name": "a", "type": None}]},
        {"type": "record", "name": "R", "fields": [{"name": "a", "type": "R.b"}]},
        {"type": "record", "name": ["R"], "fields": []},
        {"type": ["null", "R"]},
        {"type": "array"},
        {"type": "map", "values": {}},
        {"type": "enum", "name": "R", "symbols": None},
        {"type": "enum", "name": "R", "symbols": [{}]},
        {"type": "fixed", "name": "R", "size": "5"},
        {"type": "fixed", "name": "R", "size": True},
        {"type": {"type": {"type": "string"}}},
        {"type": 5},
        record(TEXT, TEXT),
        record({"name": "text", "type": {"type": "string", "logicalType": ["x"]}, "default": {}}),
    ):
        flags = Flags(1)
        _, rows = decoder([writer], READER).decode([wire_header(1) + GOOD], flags)
        assert len(rows) == 1 or flags.refused()[0][1].startswith("schema 1 ")


def test_a_huge_fixed_is_cut_short() -> None:
    for size in (1 << 20, 1 << 40, 1 << 62, 1 << 200):
        writer = record(
            {"name": "much", "type": {"type": "fixed", "name": "F", "size": size}}, TEXT
        )
        datums = [GOOD] * 40
        assert reading(writer, *datums) == ([], dict.fromkeys(range(40), "cut short in much"))
