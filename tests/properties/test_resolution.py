"""Right or refused (SPEC §6): values as Avro's rules give them, whatever else is written."""

from __future__ import annotations

import io
import os
from datetime import datetime
from decimal import Decimal
from typing import Any

import fastavro
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.registry.registry import wire_header
from tests.properties.resolutions import (
    READ,
    REFUSED,
    UNRELATED,
    Avro,
    WrittenField,
    datum_of,
    record,
    ways,
)
from tests.properties.test_decode import decoded, decoder, normal

EXAMPLES = int(os.environ.get("RESOLUTION_EXAMPLES", "150"))
COUNTS = st.sampled_from([1, 2, 5])


@st.composite
def pairs(draw: st.DrawFn) -> tuple[list[WrittenField], Avro]:
    """A writer's fields with their datums, and the reader's record, with an optional field, a
    default, an alias, another order.
    """
    count = draw(COUNTS)
    fields, read = [], []
    for index in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(sorted(READ)))
        name = f"{kind.replace('-', '_')}{index}"
        # Named types are defined once in a schema.
        if any(field.schema["name"].startswith(kind.split("-")[0]) for field in fields):
            continue
        fields.append(draw(ways(name, kind, count)))
        wanted: dict[str, Any] = {"name": name, "type": ["null", READ[kind][0]], "default": None}
        if draw(st.booleans()):
            wanted = {**wanted, "name": f"new_{name}", "aliases": [name]}
        read.append(wanted)
    added = [
        {"name": "n0", "type": ["null", "string"], "default": None},
        {"name": "n1", "type": "long", "default": 7},
        {"name": "n2", "type": "bytes", "default": "\u00ff"},
    ]
    return fields, record(*draw(st.permutations([*read, *added[: draw(st.integers(0, 3))]])))


DEFAULTS = {"n0": None, "n1": 7, "n2": b"\xff"}


def expected_rows(fields: list[WrittenField], reader: Avro) -> list[Any]:
    """What SPEC says of each datum: its row, or REFUSED."""
    by_name = {field.schema["name"]: field.expected for field in fields}
    rows = []
    for index in range(len(fields[0].datums)):
        row = {
            one["name"]: by_name[one.get("aliases", [one["name"]])[0]][index]
            if one["name"] not in DEFAULTS
            else DEFAULTS[one["name"]]
            for one in reader["fields"]
        }
        rows.append(REFUSED if REFUSED in row.values() else row)
    return rows


def datums(fields: list[WrittenField]) -> list[bytes]:
    return [
        wire_header(1) + b"".join(field.datums[index] for field in fields)
        for index in range(len(fields[0].datums))
    ]


@given(pairs())
@settings(max_examples=EXAMPLES, deadline=None)
def test_a_value_is_what_the_specification_makes_of_it_or_refused(
    pair: tuple[list[WrittenField], Avro],
) -> None:
    fields, reader = pair
    writer = record(*(field.schema for field in fields))

    got, indexes, _ = decoded(decoder([writer], reader), datums(fields))

    expected = expected_rows(fields, reader)
    assert indexes == [index for index, row in enumerate(expected) if row is not REFUSED]
    assert normal(got) == normal([row for row in expected if row is not REFUSED])


@given(pairs())
@settings(max_examples=EXAMPLES, deadline=None)
def test_a_value_is_what_avros_own_resolution_gives_where_it_gives_one(
    pair: tuple[list[WrittenField], Avro],
) -> None:
    """fastavro's: it keeps microseconds, and reads no decimal in fixed bytes as one in bytes."""
    fields, reader = pair
    writer = record(*(field.schema for field in fields))

    got, indexes, _ = decoded(decoder([writer], reader), datums(fields))

    for row, index in zip(got, indexes, strict=True):
        judged = judge(writer, reader, datums(fields)[index][5:])
        if judged is not REFUSED:
            assert cut(judged) == cut(row)


def judge(writer: Avro, reader: Avro, datum: bytes) -> Any:
    try:
        parsed = fastavro.parse_schema(writer), fastavro.parse_schema(reader)
        return fastavro.schemaless_reader(io.BytesIO(datum), *parsed)
    except Exception:
        return REFUSED


def cut(value: Any) -> Any:
    """Moments in milliseconds, numbers as a float of 4 bytes has them, decimals in their shortest
    form, and no default of bytes: it leaves that as it is in JSON.
    """
    match value:
        case datetime():
            return value.replace(microsecond=value.microsecond // 1000 * 1000)
        case float():
            return float(np.float32(value))
        case Decimal():
            return value.normalize()
        case list():
            return [cut(one) for one in value]
        case dict():
            return {name: cut(one) for name, one in value.items() if name != "n2"}
    return value


@given(pairs(), st.data())
@settings(max_examples=EXAMPLES, deadline=None)
def test_verdict_and_value_are_the_same_with_any_unrelated_field_beside(
    pair: tuple[list[WrittenField], Avro], data: st.DataObject
) -> None:
    fields, reader = pair
    count = len(fields[0].datums)
    beside = list(fields)
    for index, (avro_type, values) in enumerate(
        data.draw(st.lists(st.sampled_from(UNRELATED), min_size=1, max_size=3, unique_by=str))
    ):
        raws = data.draw(st.lists(values, min_size=count, max_size=count))
        field = WrittenField(
            {"name": f"unrelated{index}", "type": avro_type},
            [datum_of(avro_type, raw) for raw in raws],
            [],
        )
        beside.insert(data.draw(st.integers(0, len(beside))), field)
    alone = record(*(field.schema for field in fields))
    more = record(*(field.schema for field in beside))
    times = data.draw(st.sampled_from([1, 1, 60]))

    plain = decoded(decoder([alone], reader), datums(fields))
    got = decoded(decoder([more], reader), datums(beside) * times)

    assert got[1] == [index + count * n for n in range(times) for index in plain[1]]
    assert normal(got[0]) == normal(plain[0] * times)
    assert got[2] == {
        index + count * n: reason for n in range(times) for index, reason in plain[2].items()
    }
