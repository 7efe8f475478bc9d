"""Formats of values in a drop (SPEC §4): booleans, dates, moments, decimals, several values in one
field.

Values come as Arrow arrays, and become string arrays of the same length; null stays null. `render`
does the quoting. All work is on whole arrays, in code that releases Python's global lock.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sinks.rendering.digits import (
    Digits,
    Whole,
    as_strings,
    constant,
    day_digits,
    hex_digits,
    side_by_side,
    time_digits,
)
from sinks.rendering.layout import ISO_WITH_OFFSET, BooleanFormat, DatePattern, ValueFormats
from sinks.rendering.offsets import utc_offsets

__all__ = ["Formatted", "Mask", "format_values"]

Mask = npt.NDArray[np.bool_]
DAY_MS: Final = 86_400_000
FIRST_MS: Final = -62_135_596_800_000
"""0001-01-01T00:00, local time: the first moment whose year has four digits."""
END_MS: Final = 253_402_300_800_000
"""10000-01-01T00:00, local time: the first moment after the years with four digits."""


@dataclass(frozen=True, slots=True)
class Formatted:
    """A column's values as text, and the numbers of values that need a warning."""

    text: pa.Array
    plain: bool = False
    """Whether no value can be empty, or contain a separator, a quote or a line break."""
    holding_separator: int = 0
    out_of_range: int = 0


def format_values(values: pa.Array, formats: ValueFormats) -> Formatted:
    """Values as text. Raises TypeError for an Arrow type that attributes and event fields don't
    have.
    """
    if isinstance(values, pa.DictionaryArray):
        values = values.dictionary_decode()
    kind = values.type
    if pa.types.is_string(kind):
        return Formatted(values)
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return Formatted(values.cast(pa.string()))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _joined(values, formats.values_separator)
    if pa.types.is_date32(kind):
        return _dates(values, formats.date)
    if pa.types.is_timestamp(kind):
        return _moments(values, formats.moment, formats.time_zone)
    return Formatted(_plain_text(values, formats), plain=True)


def _plain_text(values: pa.Array, formats: ValueFormats) -> pa.Array:
    kind = values.type
    if pa.types.is_integer(kind) or pa.types.is_null(kind):
        return values.cast(pa.string())
    if pa.types.is_boolean(kind):
        return _booleans(values, formats.boolean)
    if pa.types.is_decimal(kind):
        return _decimals(values)
    if isinstance(kind, pa.UuidType):
        return _uuids(values)
    raise TypeError(f"no text format for values of type {kind}")


def _booleans(values: pa.Array, style: BooleanFormat) -> pa.Array:
    true, false = style.split("/")
    return pc.if_else(values, pa.scalar(true), pa.scalar(false))


def _decimals(values: pa.Array) -> pa.Array:
    """Decimals with all digits of their scale, and never with an exponent. Arrow writes one for
    small values of a scale above 6.
    """
    text = values.cast(pa.string())
    if values.type.scale <= 6 or not pc.any(pc.match_substring(text, "E")).as_py():
        return text
    return pa.array(
        [None if value is None else format(value, "f") for value in values.to_pylist()], pa.string()
    )


def _joined(values: pa.Array, separator: str) -> Formatted:
    """Several values in one field, joined by `separator`. An empty list gives null. Values that
    contain the separator are counted.
    """
    items = values.flatten().cast(pa.string())
    holding = pc.sum(pc.match_substring(items, separator)).as_py() or 0
    text = pc.binary_join(values.cast(pa.list_(pa.string())), separator)
    none = pc.equal(pc.list_value_length(values), 0)
    return Formatted(
        pc.if_else(none, pa.scalar(None, pa.string()), text), holding_separator=holding
    )


def _dates(values: pa.Array, pattern: DatePattern) -> Formatted:
    days: Whole = values.cast(pa.int32()).fill_null(0).to_numpy().astype(np.int64)
    outside = _outside(days * DAY_MS)
    digits = day_digits(_zeroed(days, outside), pattern)
    return Formatted(_text(digits, values, outside), plain=True, out_of_range=_count(outside))


def _moments(values: pa.Array, pattern: str, time_zone: str) -> Formatted:
    """Moments in local time, truncated to the pattern; null outside of the years 0001 to 9999."""
    utc = np.clip(_milliseconds(values), FIRST_MS - DAY_MS, END_MS + DAY_MS)
    offset = utc_offsets(utc, time_zone)
    outside = _outside(utc + offset)
    local = _zeroed(utc + offset, outside)
    days = local // DAY_MS
    of_day = local - days * DAY_MS
    date, time = _split(pattern)
    digits = day_digits(days, date)
    if time:
        digits = side_by_side(digits, time_digits(of_day, time))
    text = _text(digits, values, outside)
    return Formatted(
        _with_offset(text, offset) if pattern == ISO_WITH_OFFSET else text,
        plain=True,
        out_of_range=_count(outside),
    )


@cache
def _split(pattern: str) -> tuple[DatePattern, str]:
    """(the pattern of the date, the pattern of the time after it)."""
    if pattern == ISO_WITH_OFFSET:
        return DatePattern.ISO, "THH:mm:ss.SSS"
    date, blank, time = pattern.partition(" ")
    return DatePattern(date), blank + time


def _with_offset(text: pa.Array, offset: Whole) -> pa.Array:
    distinct, index = np.unique(offset, return_inverse=True)
    texts = pa.array([_offset_text(int(milliseconds)) for milliseconds in distinct], pa.string())
    suffix = texts[0] if len(distinct) == 1 else texts.take(pa.array(index.astype(np.int32)))
    return pc.binary_join_element_wise(text, suffix, "")


def _offset_text(milliseconds: int) -> str:
    """An offset as ±HH:mm; with seconds if it has them, as local mean time before a zone's first
    standard time does.
    """
    seconds = abs(milliseconds) // 1000
    text = f"{'-' if milliseconds < 0 else '+'}{seconds // 3600:02}:{seconds // 60 % 60:02}"
    return f"{text}:{seconds % 60:02}" if seconds % 60 else text


def _milliseconds(values: pa.Array) -> Whole:
    numbers: Whole = values.cast(pa.int64()).fill_null(0).to_numpy()
    per_millisecond = {"ms": 1, "us": 1_000, "ns": 1_000_000}[values.type.unit]
    return numbers if per_millisecond == 1 else numbers // per_millisecond


def _uuids(values: pa.Array) -> pa.Array:
    raw = values.storage
    bytes_ = np.frombuffer(raw.buffers()[1], np.uint8, 16 * len(raw), 16 * raw.offset).reshape(
        -1, 16
    )
    parts = [
        hex_digits(np.ascontiguousarray(bytes_[:, a:b]))
        for a, b in ((0, 4), (4, 6), (6, 8), (8, 10), (10, 16))
    ]
    dash = constant("-", len(raw))
    digits = side_by_side(parts[0], dash, parts[1], dash, parts[2], dash, parts[3], dash, parts[4])
    return _text(digits, raw, None)


def _text(digits: Digits, values: pa.Array, outside: Mask | None) -> pa.Array:
    """Digits as text, null where `values` are null or `outside` is set."""
    if outside is None and not values.null_count:
        return as_strings(digits, None)
    valid = values.is_valid()
    if outside is not None:
        valid = pc.and_(valid, pa.array(~outside))
    return as_strings(digits, _bits(valid))


def _bits(valid: pa.Array) -> pa.Buffer:
    """A validity bitmap that starts at its first bit, even if `valid` is a slice."""
    return (valid if valid.offset == 0 else pa.concat_arrays([valid])).buffers()[1]


def _zeroed(values: Whole, outside: Mask | None) -> Whole:
    return values if outside is None else np.where(outside, 0, values)


def _outside(local: Whole) -> Mask | None:
    """A mask of local moments (milliseconds) outside the years 0001 to 9999; None if none is."""
    if not local.size or (local.min() >= FIRST_MS and local.max() < END_MS):
        return None
    return (local < FIRST_MS) | (local >= END_MS)


def _count(outside: Mask | None) -> int:
    return 0 if outside is None else int(np.count_nonzero(outside))
