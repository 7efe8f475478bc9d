"""Decoding as columns gives what decoding one datum after the other gives, whatever the bytes.

The oracle is fastavro, fed only with datums that an independent strict walk finds well-formed.
"""

from __future__ import annotations

import io
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal
from typing import Any

import fastavro
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.decoding.columnar import Flags
from schemas.decoding.decode import RecordDecoder
from schemas.derive import AvroSchema, arrow_schema_of
from schemas.errors import UnknownSchemaError
from schemas.registry.registry import wire_header

EXACT = Context(prec=60)

Drawn = tuple[Any, st.SearchStrategy[Any]]
"""An Avro type and a strategy for its values, as fastavro takes and gives them."""


def moments(unit: int) -> st.SearchStrategy[datetime]:
    """Moments that may be stored, in steps of `unit` microseconds."""
    low, end = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)
    steps = (end - low) // timedelta(microseconds=unit) - 1
    return st.integers(0, steps).map(lambda n: low + timedelta(microseconds=unit) * n)


def decimals(precision: int, scale: int) -> st.SearchStrategy[Decimal]:
    most = 10**precision - 1
    return st.integers(-most, most).map(lambda n: Decimal(n).scaleb(-scale, EXACT))


def bits(size: int) -> st.SearchStrategy[int]:
    edges = [-(1 << (size - 1)), (1 << (size - 1)) - 1, -1, 0, 63, 64, -64, -65]
    return st.integers(-(1 << (size - 1)), (1 << (size - 1)) - 1) | st.sampled_from(edges)


LEAVES: Sequence[Drawn] = [
    ("boolean", st.booleans()),
    ("int", bits(32)),
    ("long", bits(64)),
    ("float", st.floats(width=32, allow_nan=False)),
    ("double", st.floats(allow_nan=False)),
    ("bytes", st.binary(max_size=40)),
    ("string", st.text(max_size=40)),
    ({"type": "string", "logicalType": "uuid"}, st.uuids()),
    ({"type": "int", "logicalType": "date"}, st.dates()),
    ({"type": "long", "logicalType": "timestamp-millis"}, moments(1000)),
    ({"type": "long", "logicalType": "timestamp-micros"}, moments(1)),
    (
        {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 10},
        decimals(38, 10),
    ),
    ({"type": "bytes", "logicalType": "decimal", "precision": 5, "scale": 2}, decimals(5, 2)),
    ("null", st.none()),
]


@st.composite
def leaf_types(draw: st.DrawFn, name: str) -> Drawn:
    kind = draw(st.integers(0, len(LEAVES) + 2))
    if kind < len(LEAVES):
        return LEAVES[kind]
    if kind == len(LEAVES):
        count = draw(st.sampled_from([1, 3, 128, 200]))
        symbols = [f"S{i}" for i in range(count)]
        return {"type": "enum", "name": f"E{name}", "symbols": symbols}, st.sampled_from(symbols)
    if kind == len(LEAVES) + 1:
        size = draw(st.sampled_from([1, 4, 16, 20]))
        fixed = {"type": "fixed", "name": f"F{name}", "size": size}
        return fixed, st.binary(min_size=size, max_size=size)
    size = {"logicalType": "decimal", "precision": 18, "scale": 3}
    return {"type": "fixed", "name": f"D{name}", "size": 8, **size}, decimals(18, 3)


@st.composite
def avro_types(draw: st.DrawFn, name: str, depth: int = 2) -> Drawn:
    shape = draw(st.sampled_from(["leaf"] * 4 + ["nullable"] * 2 + ["array", "record"]))
    if shape == "nullable":
        inner, values = draw(avro_types(name, depth))
        if inner == "null" or isinstance(inner, list):
            return inner, values
        union = [inner, "null"] if draw(st.booleans()) else ["null", inner]
        return union, st.none() | values
    if shape == "array" and depth:
        items, values = draw(avro_types(name + "i", depth - 1))
        sizes = st.sampled_from([0, 1, 2, 5, 70]).flatmap(
            lambda n: st.lists(values, min_size=min(n, 3), max_size=n)
        )
        return {"type": "array", "items": items}, sizes
    if shape == "record" and depth:
        return draw(records(name, depth - 1))
    return draw(leaf_types(name))


@st.composite
def records(draw: st.DrawFn, name: str, depth: int = 2, most: int = 4) -> Drawn:
    fields, values = [], {}
    for index in range(draw(st.integers(1, most))):
        field, value = draw(avro_types(f"{name}{index}", depth))
        fields.append({"name": f"f{index}", "type": field})
        values[f"f{index}"] = value
    return {"type": "record", "name": name, "fields": fields}, st.fixed_dictionaries(values)


@dataclass
class Known:
    """A registry that has these schemas, numbered from 1."""

    schemas: Sequence[AvroSchema]

    def schema(self, schema_id: int) -> AvroSchema:
        if not 1 <= schema_id <= len(self.schemas):
            raise UnknownSchemaError("no such schema")
        return self.schemas[schema_id - 1]


def written(schema: AvroSchema, value: object) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), value)
    return out.getvalue()


def decoder(writers: Sequence[AvroSchema], reader: AvroSchema) -> RecordDecoder:
    return RecordDecoder(Known(writers), reader, arrow_schema_of(reader))


def decoded(
    which: RecordDecoder, values: Sequence[bytes | None]
) -> tuple[list[dict[str, Any]], list[int], dict[int, str]]:
    """Rows, their indexes, and the reasons of the others."""
    flags = Flags(len(values))
    batch, rows = which.decode(values, flags)
    batch.validate(full=True)
    return batch.to_pylist(), rows.tolist(), dict(flags.refused())


def one_by_one(which: RecordDecoder, values: Sequence[bytes | None]) -> tuple[Any, Any, Any]:
    """The same, a value at a time."""
    rows, indexes, refused = [], [], {}
    for index, value in enumerate(values):
        row, _, reason = decoded(which, [value])
        rows += row
        indexes += [index] if row else []
        refused.update(dict.fromkeys([index], reason[0]) if reason else {})
    return rows, indexes, refused


def normal(value: Any) -> Any:
    """Values with one spelling of UTC."""
    if isinstance(value, Mapping):
        return {key: normal(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [normal(item) for item in value]
    return value.astimezone(UTC) if isinstance(value, datetime) else value


def same_rows(one: Sequence[object], other: Sequence[object]) -> bool:
    """Equality in which NaN (of damaged bytes) equals itself and -0.0 isn't 0.0."""
    return repr(normal(list(one))) == repr(normal(list(other)))


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_columns_hold_what_was_written(data: st.DataObject) -> None:
    schema, values = data.draw(records("R"))
    rows = data.draw(st.lists(values, max_size=8))
    got, indexes, refused = decoded(
        decoder([schema], schema), [wire_header(1) + written(schema, row) for row in rows]
    )
    assert same_rows(got, rows)
    assert indexes == list(range(len(rows)))
    assert not refused


@given(st.data())
@settings(max_examples=500, deadline=None)
def test_damaged_datums_are_refused_or_read_alike_and_harm_no_other(data: st.DataObject) -> None:
    schema, values = data.draw(records("R"))
    rows = data.draw(st.lists(values, min_size=1, max_size=6))
    datums = [wire_header(1) + written(schema, row) for row in rows]
    victim = data.draw(st.integers(0, len(datums) - 1))
    datums[victim] = wire_header(1) + data.draw(mutations(datums[victim][5:]))
    got, indexes, refused = decoded(decoder([schema], schema), datums)
    alone = one_by_one(decoder([schema], schema), datums)
    assert (indexes, refused) == alone[1:]
    assert same_rows(got, alone[0])
    assert refused.keys() <= {victim}


@st.composite
def mutations(draw: st.DrawFn, datum: bytes) -> bytes:
    how = draw(st.sampled_from(["cut", "more", "flip", "insert", "any", "huge"]))
    place = draw(st.integers(0, max(0, len(datum) - 1)))
    match how:
        case "cut":
            return datum[:place]
        case "more":
            return datum + draw(st.binary(min_size=1, max_size=20))
        case "flip":
            changed = bytearray(datum or b"\0")
            changed[place] = draw(st.integers(0, 255))
            return bytes(changed)
        case "insert":
            return datum[:place] + draw(st.binary(min_size=1, max_size=12)) + datum[place:]
        case "huge":
            return datum[:place] + draw(huge_numbers()) + datum[place:]
        case _:
            return draw(st.binary(max_size=60))


def huge_numbers() -> st.SearchStrategy[bytes]:
    return st.sampled_from(
        [b"\xff" * n + end for n in (8, 9, 10, 12) for end in (b"\x00", b"\x01", b"\x7f")]
    )


@given(st.lists(st.none() | st.binary(max_size=80), max_size=20), st.data())
@settings(max_examples=300, deadline=None)
def test_any_bytes_at_all_are_decoded_or_refused(
    values: list[bytes | None], data: st.DataObject
) -> None:
    schema, _ = data.draw(records("R"))
    got, indexes, refused = decoded(decoder([schema], schema), values)
    assert len(got) == len(indexes)
    assert sorted([*indexes, *refused]) == list(range(len(values)))


@st.composite
def evolutions(draw: st.DrawFn) -> tuple[Drawn, AvroSchema]:
    """A writer's record, and a reader's with some of its fields, in another order, and new ones."""
    writer, values = draw(records("R", most=5))
    kept = draw(st.permutations(writer["fields"]).map(lambda f: f[: max(1, len(f) // 2 + 1)]))
    added = [
        {"name": "n0", "type": ["null", "string"], "default": None},
        {"name": "n1", "type": "long", "default": 7},
        {"name": "n2", "type": "string", "default": "x"},
    ]
    count = draw(st.integers(0, 3))
    return (writer, values), {**writer, "fields": [*kept, *added[:count]]}


@given(evolutions(), st.data())
@settings(max_examples=200, deadline=None)
def test_evolved_schemas_resolve_as_fastavro_resolves_them(
    evolution: tuple[Drawn, AvroSchema], data: st.DataObject
) -> None:
    (writer, values), reader = evolution
    rows = data.draw(st.lists(values, max_size=5))
    datums = [written(writer, row) for row in rows]
    parsed = fastavro.parse_schema(writer), fastavro.parse_schema(reader)
    expected = [fastavro.schemaless_reader(io.BytesIO(datum), *parsed) for datum in datums]
    got, _, refused = decoded(
        decoder([writer], reader), [wire_header(1) + datum for datum in datums]
    )
    assert not refused
    names = [field["name"] for field in reader["fields"]]
    assert same_rows(got, [{name: row[name] for name in names} for row in expected])


@given(evolutions(), st.data())
@settings(max_examples=100, deadline=None)
def test_rows_of_several_schemas_come_in_the_order_of_the_input(
    evolution: tuple[Drawn, AvroSchema], data: st.DataObject
) -> None:
    (writer, values), reader = evolution
    row = data.draw(values)
    old = wire_header(1) + written(writer, row)
    fields = {
        field["name"]: row[field["name"]] for field in reader["fields"] if field["name"] in row
    }
    new = wire_header(2) + written(reader, {"n0": "a", "n1": 1, "n2": "b", **fields})
    order = data.draw(st.lists(st.sampled_from([old, new, b"\1", wire_header(3)]), max_size=9))
    got, indexes, refused = decoded(decoder([writer, reader], reader), order)
    assert indexes == [i for i, value in enumerate(order) if value in (old, new)]
    assert refused.keys() == {i for i, value in enumerate(order) if value not in (old, new)}
    alone = [decoded(decoder([writer, reader], reader), [value])[0] for value in order]
    assert same_rows(got, [row for rows in alone for row in rows])


BEYOND: Sequence[Drawn] = [
    ({"type": "map", "values": "long"}, st.dictionaries(st.text(max_size=5), bits(64), max_size=4)),
    (["null", "string", "long"], st.none() | st.text(max_size=9) | bits(64)),
    ({"type": "array", "items": "null"}, st.lists(st.none(), max_size=5)),
    ({"type": "fixed", "name": "Big", "size": 100}, st.binary(min_size=100, max_size=100)),
    (["null", "R"], st.none()),
]


@given(st.sampled_from(BEYOND), st.booleans(), st.lists(st.text(max_size=20), max_size=4))
@settings(max_examples=100, deadline=None)
def test_a_field_of_any_type_is_read_past(beyond: Drawn, before: bool, texts: list[str]) -> None:
    extra, _ = beyond
    text = {"name": "text", "type": "string"}
    fields = (
        [{"name": "extra", "type": extra}, text]
        if before
        else [text, {"name": "extra", "type": extra}]
    )
    writer = {"type": "record", "name": "R", "fields": fields}
    reader = {"type": "record", "name": "R", "fields": [text]}
    rows = [{"text": t, "extra": empty_of(extra)} for t in texts]
    got, _, refused = decoded(
        decoder([writer], reader), [wire_header(1) + written(writer, row) for row in rows]
    )
    assert got == [{"text": t} for t in texts]
    assert not refused


def empty_of(schema: Any) -> Any:
    match schema:
        case {"type": "map"}:
            return {"a": 1}
        case {"type": "fixed", "size": size}:
            return bytes(size)
        case {"type": "array"}:
            return [None] * 5
        case [_, "string", _]:
            return 5
    return None


UUIDS = {"type": "string", "logicalType": "uuid"}


@given(st.text(alphabet="0123456789abcdefABCDEF-{}ghé", max_size=40) | st.uuids().map(str))
def test_a_uuid_is_36_characters_in_five_groups(text: str) -> None:
    reader = {"type": "record", "name": "R", "fields": [{"name": "f0", "type": UUIDS}]}
    writer = {"type": "record", "name": "R", "fields": [{"name": "f0", "type": "string"}]}
    got, _, refused = decoded(
        decoder([writer], reader), [wire_header(1) + written(writer, {"f0": text})]
    )
    try:
        right = str(uuid.UUID(text)) == text.lower()
    except ValueError:
        right = False
    assert (got == [{"f0": uuid.UUID(text)}]) if right else (not got and 0 in refused)


@given(st.binary(max_size=24), st.sampled_from([(38, 10), (18, 2), (5, 0), (1, 1), (20, 20)]))
def test_a_decimal_is_any_number_of_bytes_and_never_more_digits_than_its_precision(
    raw: bytes, size: tuple[int, int]
) -> None:
    precision, scale = size
    decimal = {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}
    schema = {"type": "record", "name": "R", "fields": [{"name": "f0", "type": decimal}]}
    plain = {"type": "record", "name": "R", "fields": [{"name": "f0", "type": "bytes"}]}
    got, _, refused = decoded(
        decoder([schema], schema), [wire_header(1) + written(plain, {"f0": raw})]
    )
    number = int.from_bytes(raw, "big", signed=True)
    if abs(number) < 10**precision:
        sign, digits, exponent = got[0]["f0"].as_tuple()
        assert exponent == -scale
        assert int("".join(map(str, digits))) * (-1) ** sign == number
    else:
        assert 0 in refused


def test_blocks_of_an_array_may_come_with_their_size() -> None:
    schema = {
        "type": "record",
        "name": "R",
        "fields": [{"name": "f0", "type": {"type": "array", "items": "string"}}],
    }
    blocks = b"\x02\x02a" + b"\x03\x08" + b"\x02b\x02c" + b"\x00"
    got, _, _ = decoded(
        decoder([schema], schema), [wire_header(1) + blocks, wire_header(1) + b"\0"]
    )
    assert got == [{"f0": ["a", "b", "c"]}, {"f0": []}]


@pytest.mark.timeout(20)
def test_a_megabyte_of_nothing_is_no_burden() -> None:
    items = {"type": "array", "items": "string"}
    schema = {"type": "record", "name": "R", "fields": [{"name": "f0", "type": items}]}
    million = written(
        {"type": "record", "name": "R", "fields": [{"name": "f0", "type": items}]},
        {"f0": [""] * 10**6},
    )
    for garbage in (b"\0" * 10**6, b"\xff" * 10**6, b"\x01" * 10**6, b"\x02\x00" * 500_000):
        got, _, refused = decoded(decoder([schema], schema), [wire_header(1) + garbage])
        assert not got
        assert refused
    got, _, _ = decoded(decoder([schema], schema), [wire_header(1) + million])
    assert got == [{"f0": [""] * 10**6}]


@pytest.mark.timeout(20)
def test_a_recursive_datum_of_any_depth_is_refused() -> None:
    deep = {"name": "next", "type": ["null", "R"]}
    writer = {"type": "record", "name": "R", "fields": [{"name": "f0", "type": "long"}, deep]}
    reader = {"type": "record", "name": "R", "fields": [{"name": "f0", "type": "long"}]}
    datum = b"\x02\x02" * 500_000 + b"\x02\x00"
    assert decoded(decoder([writer], reader), [wire_header(1) + datum])[2]
    assert decoded(decoder([writer], reader), [wire_header(1) + b"\x02\x02\x04\x00"])[0] == [
        {"f0": 1}
    ]


@pytest.mark.parametrize(
    ("written_as", "read_as"),
    [
        ("string", "long"),
        ("long", "string"),
        ("double", "long"),
        ("long", {"type": "long", "logicalType": "timestamp-millis"}),
        ({"type": "array", "items": "string"}, "string"),
        ("bytes", {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}),
    ],
)
def test_a_writers_type_that_isnt_the_readers_is_refused_as_a_whole(
    written_as: Any, read_as: Any
) -> None:
    writer = {"type": "record", "name": "R", "fields": [{"name": "f0", "type": written_as}]}
    reader = {"type": "record", "name": "R", "fields": [{"name": "f0", "type": read_as}]}
    _, _, refused = decoded(decoder([writer], reader), [wire_header(1)])
    kind = written_as["type"] if isinstance(written_as, dict) else written_as
    expected = f"f0 is written as {kind}, which isn't what is read"
    assert refused == {0: f"schema 1 can't be read here: {expected}"}


def test_microseconds_are_cut_to_milliseconds_downwards() -> None:
    writer = {
        "type": "record",
        "name": "R",
        "fields": [{"name": "f0", "type": {"type": "long", "logicalType": "timestamp-micros"}}],
    }
    reader = {
        "type": "record",
        "name": "R",
        "fields": [{"name": "f0", "type": {"type": "long", "logicalType": "timestamp-millis"}}],
    }
    before = datetime(1969, 12, 31, 23, 59, 59, 998_500, tzinfo=UTC)
    got, _, _ = decoded(
        decoder([writer], reader), [wire_header(1) + written(writer, {"f0": before})]
    )
    assert got == [{"f0": before.replace(microsecond=998_000)}]


@pytest.mark.parametrize(
    ("days", "right"), [(-719_162, True), (-719_163, False), (2_932_896, True), (2_932_897, False)]
)
def test_dates_end_with_the_years_1_and_9999(days: int, right: bool) -> None:
    schema = {
        "type": "record",
        "name": "R",
        "fields": [{"name": "f0", "type": {"type": "int", "logicalType": "date"}}],
    }
    got, _, refused = decoded(
        decoder([schema], schema), [wire_header(1) + written(schema, {"f0": days})]
    )
    assert (got == [{"f0": date(1970, 1, 1) + timedelta(days)}]) if right else refused


def test_an_empty_batch_has_the_columns() -> None:
    schema = {"type": "record", "name": "R", "fields": [{"name": "f0", "type": "long"}]}
    batch, rows = decoder([schema], schema).decode([], Flags(0))
    assert (batch.num_rows, batch.schema.names, len(rows)) == (0, ["f0"], 0)
    assert rows.dtype == np.int64
