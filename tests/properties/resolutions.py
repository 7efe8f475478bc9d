"""Pairs of a writer's and a reader's schema with datums, and what SPEC §6 says of each value.

For each type that is read: the ways in which it may be written, with values as Avro stores them
(`raw`) and what a reader must make of them, or that it must refuse. Written from the text of the
specification, with none of the product's code.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal
from typing import Any, Final

import fastavro
from hypothesis import strategies as st

Avro = Any
REFUSED: Final = object()
"""In a value's place: it must not come out."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EXACT = Context(prec=80)


@dataclass(frozen=True)
class Way:
    """One way to write a value that is read as something else, or as the same."""

    written: Avro
    raw: st.SearchStrategy[Any]
    read: Callable[[Any], Any]
    """From the raw value to the value that is read, or REFUSED."""


def refused(_: Any) -> Any:
    return REFUSED


def same(value: Any) -> Any:
    return value


def utf8(value: bytes) -> Any:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return REFUSED


def moment_of(milliseconds: int) -> Any:
    """SPEC §6: between 0001-01-02 and 9999-12-30 UTC."""
    try:
        moment = EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return REFUSED
    return moment if date(1, 1, 2) <= moment.date() <= date(9999, 12, 30) else REFUSED


def moment_of_micros(micros: int) -> Any:
    return moment_of(micros // 1000)


def date_of(days: int) -> Any:
    try:
        return date(1970, 1, 1) + timedelta(days=days)
    except OverflowError:
        return REFUSED


def decimal_of(precision: int, scale: int) -> Callable[[bytes], Any]:
    def read(raw: bytes) -> Any:
        number = int.from_bytes(raw, "big", signed=True)
        if abs(number) >= 10**precision:
            return REFUSED
        return Decimal(number).scaleb(-scale, EXACT)

    return read


def single(value: float) -> Any:
    """As a 4-byte float holds it."""
    return struct.unpack("<f", struct.pack("<f", value))[0]


INTS = st.integers(-(1 << 31), (1 << 31) - 1)
LONGS = st.integers(-(1 << 63), (1 << 63) - 1) | INTS
TEXTS = st.text(max_size=20)
BYTES = st.binary(max_size=20) | TEXTS.map(str.encode)
DOUBLES = st.floats(allow_nan=False)
SINGLES = st.floats(width=32, allow_nan=False)
NEAR_MS = st.sampled_from(
    [-62135510400000, -62135510400001, 253402214399999, 253402214400000, 0, -1, 1_700_000_000_000]
)


def logical(kind: str, meaning: str, **more: Any) -> Avro:
    return {"type": kind, "logicalType": meaning, **more}


def decimal(kind: str, precision: int, scale: int, **more: Any) -> Avro:
    return logical(kind, "decimal", precision=precision, scale=scale, **more)


NUMBERS = st.binary(max_size=18) | st.integers(-(10**8), 10**8).map(
    lambda n: n.to_bytes(n.bit_length() // 8 + 1, "big", signed=True)
)


def sixteen(size: int) -> st.SearchStrategy[bytes]:
    return st.integers(-(10**9), 10**9).map(
        lambda n: n.to_bytes(size, "big", signed=True)
    ) | st.binary(min_size=size, max_size=size)


COLOURS = ["RED", "GREEN", "BLUE"]


def enum(name: str, symbols: Sequence[str], **more: Any) -> Avro:
    return {"type": "enum", "name": name, "symbols": list(symbols), **more}


def known(value: str) -> Any:
    return value if value in COLOURS else REFUSED


def texts_of(items: Sequence[Any]) -> Any:
    return REFUSED if any(item is None for item in items) else list(items)


READ: dict[str, tuple[Avro, list[Way]]] = {
    "string": (
        "string",
        [
            Way("string", TEXTS, same),
            Way("bytes", BYTES, utf8),
            Way(logical("string", "uuid"), TEXTS, same),
            Way(logical("string", "no-such-type"), TEXTS, same),
            Way(decimal("bytes", 8, 2), NUMBERS, refused),
            Way("long", LONGS, refused),
            Way(enum("Colour", COLOURS), st.sampled_from(COLOURS), refused),
            Way({"type": "fixed", "name": "Four", "size": 4}, st.just(b"abcd"), refused),
        ],
    ),
    "bytes": ("bytes", [Way("bytes", BYTES, same), Way("string", TEXTS, str.encode)]),
    "long": (
        "long",
        [
            Way("long", LONGS, same),
            Way("int", INTS, same),
            Way(logical("long", "no-such-type"), LONGS, same),
            Way(logical("int", "timestamp-millis"), INTS, same),  # fits no int: it doesn't count
            Way(logical("long", "timestamp-millis"), LONGS, refused),
            Way(logical("long", "time-micros"), LONGS, refused),
            Way(logical("int", "date"), INTS, refused),
            Way("double", DOUBLES, refused),
            Way("string", TEXTS, refused),
            Way("boolean", st.booleans(), refused),
        ],
    ),
    "int": ("int", [Way("int", INTS, same), Way("long", LONGS, refused)]),
    "double": (
        "double",
        [
            Way("double", DOUBLES, same),
            Way("float", SINGLES, same),
            Way("long", LONGS, float),
            Way("int", INTS, float),
            Way("string", TEXTS, refused),
        ],
    ),
    "float": (
        "float",
        [Way("float", SINGLES, same), Way("int", INTS, single), Way("double", DOUBLES, refused)],
    ),
    "boolean": ("boolean", [Way("boolean", st.booleans(), same), Way("int", INTS, refused)]),
    "date": (
        logical("int", "date"),
        [
            Way(logical("int", "date"), INTS | st.integers(-800_000, 3_000_000), date_of),
            Way("int", INTS, refused),
            Way(logical("long", "date"), LONGS, refused),
            Way(logical("long", "timestamp-millis"), LONGS, refused),
            Way("string", st.just("2026-01-01"), refused),
        ],
    ),
    "moment": (
        logical("long", "timestamp-millis"),
        [
            Way(logical("long", "timestamp-millis"), LONGS | NEAR_MS, moment_of),
            Way(
                logical("long", "timestamp-micros"),
                LONGS | NEAR_MS.map(lambda n: n * 1000 + 999) | st.integers(-(10**15), 10**15),
                moment_of_micros,
            ),
            Way(logical("long", "timestamp-nanos"), LONGS, refused),
            Way(logical("long", "local-timestamp-millis"), LONGS, refused),
            Way(logical("long", "no-such-type"), LONGS, refused),
            Way("long", LONGS, refused),
            Way(logical("int", "timestamp-millis"), INTS, refused),
            Way(logical("int", "date"), INTS, refused),
            Way("double", DOUBLES, refused),
            Way("string", st.just("2026-01-01T00:00:00Z"), refused),
        ],
    ),
    "decimal": (
        decimal("bytes", 8, 2),
        [
            Way(decimal("bytes", 8, 2), NUMBERS, decimal_of(8, 2)),
            Way(decimal("bytes", 38, 2), NUMBERS, decimal_of(8, 2)),
            Way(decimal("fixed", 38, 2, name="D16", size=16), sixteen(16), decimal_of(8, 2)),
            Way(decimal("fixed", 9, 2, name="D5", size=5), sixteen(5), decimal_of(8, 2)),
            Way(decimal("fixed", 40, 2, name="D20", size=20), sixteen(20), decimal_of(8, 2)),
            Way(decimal("fixed", 38, 2, name="D2", size=2), st.just(b"\0\1"), refused),
            Way(decimal("bytes", 8, 3), NUMBERS, refused),
            Way(decimal("bytes", 2, 8), NUMBERS, refused),
            Way("bytes", NUMBERS, refused),
            Way("string", st.just("1.5"), refused),
            Way("double", DOUBLES, refused),
            Way({"type": "fixed", "name": "F5", "size": 5}, sixteen(5), refused),
        ],
    ),
    "enum": (
        enum("Colour", COLOURS),
        [
            Way(enum("Colour", COLOURS), st.sampled_from(COLOURS), same),
            Way(enum("ns.Colour", COLOURS[::-1]), st.sampled_from(COLOURS), same),
            Way(
                enum("Colour", [*COLOURS, "PINK"], default="PINK"),
                st.sampled_from([*COLOURS, "PINK"]),
                known,
            ),
            Way(enum("Other", COLOURS), st.sampled_from(COLOURS), refused),
            Way("string", st.sampled_from(COLOURS), refused),
        ],
    ),
    "enum-with-default": (
        enum("Tone", COLOURS, default="BLUE"),
        [
            Way(
                enum("Tone", ["PINK", *COLOURS]),
                st.sampled_from([*COLOURS, "PINK"]),
                lambda value: value if value in COLOURS else "BLUE",
            )
        ],
    ),
    "fixed": (
        {"type": "fixed", "name": "Twenty", "size": 20},
        [
            Way({"type": "fixed", "name": "Twenty", "size": 20}, sixteen(20), same),
            Way({"type": "fixed", "name": "Twenty", "size": 19}, sixteen(19), refused),
        ],
    ),
    "strings": (
        {"type": "array", "items": "string"},
        [
            Way({"type": "array", "items": "string"}, st.lists(TEXTS, max_size=90), same),
            Way(
                {"type": "array", "items": "bytes"},
                st.lists(TEXTS.map(str.encode)),
                lambda v: [x.decode() for x in v],
            ),
            Way(
                {"type": "array", "items": ["null", "string"]},
                st.lists(st.none() | TEXTS),
                texts_of,
            ),
            Way({"type": "array", "items": "long"}, st.lists(LONGS, min_size=1), refused),
            Way({"type": "array", "items": "null"}, st.lists(st.none(), min_size=1), refused),
            Way({"type": "map", "values": "string"}, st.dictionaries(TEXTS, TEXTS), refused),
        ],
    ),
    "record": (
        {
            "type": "record",
            "name": "Inner",
            "fields": [
                {"name": "a", "type": "string"},
                {"name": "b", "type": ["null", "long"], "default": None},
            ],
        },
        [
            Way(
                {
                    "type": "record",
                    "name": "Inner",
                    "fields": [
                        {"name": "b", "type": "long"},
                        {"name": "gone", "type": {"type": "map", "values": "bytes"}},
                        {"name": "a", "type": "string"},
                    ],
                },
                st.fixed_dictionaries(
                    {"a": TEXTS, "b": LONGS, "gone": st.dictionaries(TEXTS, BYTES, max_size=3)}
                ),
                lambda value: {"a": value["a"], "b": value["b"]},
            ),
            Way(
                {"type": "record", "name": "Inner", "fields": [{"name": "a", "type": "string"}]},
                st.fixed_dictionaries({"a": TEXTS}),
                lambda value: {"a": value["a"], "b": None},
            ),
            Way(
                {"type": "record", "name": "Inner", "fields": [{"name": "b", "type": "long"}]},
                st.fixed_dictionaries({"b": LONGS}),
                refused,
            ),
        ],
    ),
}
"""By a name for it: the type that is read, and the ways to write it."""

TREE = {
    "type": "record",
    "name": "Tree",
    "fields": [
        {"name": "leaf", "type": ["null", "long"]},
        {"name": "inside", "type": {"type": "array", "items": "Tree"}},
    ],
}
TREES = st.recursive(
    st.fixed_dictionaries({"leaf": st.none() | LONGS, "inside": st.just([])}),
    lambda inner: st.fixed_dictionaries(
        {"leaf": st.none() | LONGS, "inside": st.lists(inner, max_size=3)}
    ),
    max_leaves=6,
)
TWICE = {"type": "record", "name": "Twice", "fields": [{"name": "t", "type": "string"}]}

UNRELATED: list[tuple[Avro, st.SearchStrategy[Any]]] = [
    ("null", st.none()),
    ("string", TEXTS),
    ("double", DOUBLES),
    ({"type": "map", "values": "string"}, st.dictionaries(TEXTS, TEXTS, max_size=4)),
    (
        {"type": "map", "values": {"type": "array", "items": "long"}},
        st.dictionaries(TEXTS, st.lists(LONGS, max_size=3), max_size=3),
    ),
    (
        {"type": "array", "items": {"type": "array", "items": "int"}},
        st.lists(st.lists(INTS, max_size=3), max_size=3),
    ),
    ({"type": "array", "items": "null"}, st.lists(st.none(), max_size=5)),
    ({"type": "array", "items": "string"}, st.lists(TEXTS, max_size=80)),
    (TREE, TREES),
    ({"type": "fixed", "name": "Hundred", "size": 100}, st.just(bytes(100))),
    ({"type": "fixed", "name": "Nothing", "size": 0}, st.just(b"")),
    (logical("long", "timestamp-nanos"), LONGS),
    (decimal("bytes", 2, 8), BYTES),
    (enum("Extra", ["X", "Y"]), st.sampled_from(["X", "Y"])),
    (
        {
            "type": "record",
            "name": "Pair",
            "fields": [{"name": "one", "type": TWICE}, {"name": "two", "type": "Twice"}],
        },
        st.fixed_dictionaries(
            {
                "one": st.fixed_dictionaries({"t": TEXTS}),
                "two": st.fixed_dictionaries({"t": TEXTS}),
            }
        ),
    ),
]
"""Fields that no reader wants, of every type."""


def stored(avro_type: Avro) -> Avro:
    """A type without its logical types and defaults, as fastavro writes raw values."""
    if isinstance(avro_type, list):
        return [stored(one) for one in avro_type]
    if isinstance(avro_type, dict):
        return {
            key: stored(value) if key in ("type", "items", "values", "fields") else value
            for key, value in avro_type.items()
            if key not in ("logicalType", "precision", "scale", "default")
        }
    return avro_type


def datum_of(avro_type: Avro, raw: Any) -> bytes:
    """A raw value as a datum."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(stored(avro_type)), raw)
    return out.getvalue()


def varint(number: int) -> bytes:
    return datum_of("long", number)


def record(*fields: Avro) -> Avro:
    return {"type": "record", "name": "R", "fields": list(fields)}


@dataclass(frozen=True)
class WrittenField:
    """A field as it is written, its datums, and what a reader must make of each."""

    schema: Avro
    datums: Sequence[bytes]
    expected: Sequence[Any]


BESIDE: list[tuple[Avro, st.SearchStrategy[Any]]] = [
    ("boolean", st.booleans()),
    ({"type": "map", "values": "int"}, st.dictionaries(TEXTS, INTS, max_size=2)),
    ({"type": "record", "name": "Beside", "fields": []}, st.just({})),
]
"""Branches that may stand in a union beside what is read; none resolves to what they stand by."""


@st.composite
def ways(draw: st.DrawFn, name: str, kind: str, count: int) -> WrittenField:
    """A field to be read as `kind`: alone, or in a union of any order."""
    way = draw(st.sampled_from(READ[kind][1]))
    if draw(st.booleans()):
        raws = draw(st.lists(way.raw, min_size=count, max_size=count))
        datums = [datum_of(way.written, raw) for raw in raws]
        return WrittenField(
            {"name": name, "type": way.written}, datums, [way.read(raw) for raw in raws]
        )
    own = way.written if isinstance(way.written, str) else way.written["type"]
    others = [
        one
        for one in BESIDE
        if (one[0] if isinstance(one[0], str) else one[0]["type"]) not in (own, "null")
        and not (kind == "boolean" and one[0] == "boolean")
        and not (kind == "record" and own == "record" and one[0] == BESIDE[2][0])
    ]
    beside = [
        (one[0] if isinstance(one[0], str) else {**one[0], "name": f"Beside_{name}"}, one[1])
        for one in draw(st.lists(st.sampled_from(others), max_size=2, unique_by=str))
    ]
    branches: list[tuple[Avro, st.SearchStrategy[Any], Callable[[Any], Any]]] = [
        (way.written, way.raw, way.read),
        ("null", st.none(), same),
        *((one[0], one[1], refused) for one in beside),
    ]
    order = draw(st.permutations(branches))
    datums, expected = [], []
    for _ in range(count):
        place = draw(st.integers(0, len(order) - 1))
        written, raws_of, read = order[place]
        raw = draw(raws_of)
        datums.append(varint(place) + datum_of(written, raw))
        expected.append(read(raw))
    return WrittenField({"name": name, "type": [one[0] for one in order]}, datums, expected)
