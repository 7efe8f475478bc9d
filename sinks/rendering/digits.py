"""Dates and times of day as fixed-width digits, from look-up tables, for a whole column at once.

A column of digits is a numpy void array with `width` bytes for each value. Arrow can use it as
string data without a conversion.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

__all__ = [
    "Digits",
    "Whole",
    "as_strings",
    "constant",
    "day_digits",
    "hex_digits",
    "side_by_side",
    "time_digits",
]

Digits = npt.NDArray[np.void]
"""ASCII texts of the same width, one element per value."""
Whole = npt.NDArray[np.int64]

_TABLE_DAYS: Final = 40_000
"""Days up to which a look-up table pays off for a column of any length: 110 years, 1.5 ms."""
_DAY_SECONDS: Final = 86_400


def day_digits(days: Whole, pattern: str) -> Digits:
    """Dates in a pattern of yyyy, MM and dd; days: since 1970-01-01, in the years 0001 to 9999."""
    if not days.size:
        return _written(days, pattern)
    low, high = int(days.min()), int(days.max())
    if high - low >= max(len(days), _TABLE_DAYS):
        return _written(days, pattern)
    return np.take(_written(np.arange(low, high + 1), pattern), days - low)


def time_digits(of_day: Whole, pattern: str) -> Digits:
    """Times of day in a pattern of HH, mm, ss and SSS; smaller units are cut off.

    of_day: milliseconds since midnight.
    """
    seconds = of_day // 1000
    shown, _, fraction = pattern.partition(".")
    digits = np.take(_times_of_day(shown), seconds)
    if not fraction:
        return digits
    return side_by_side(digits, np.take(_numbers(3, before="."), of_day - seconds * 1000))


def side_by_side(*columns: Digits) -> Digits:
    """The texts of several columns, joined value by value."""
    fields = [(f"f{i}", column.dtype) for i, column in enumerate(columns)]
    joined: npt.NDArray[Any] = np.empty(len(columns[0]), np.dtype(fields))
    for (name, _), column in zip(fields, columns, strict=True):
        joined[name] = column
    return joined.view(f"V{joined.dtype.itemsize}")


def as_strings(digits: Digits, valid: pa.Buffer | None) -> pa.StringArray:
    """The texts as an Arrow string array; valid: a validity bitmap (None: all are valid)."""
    width, length = digits.dtype.itemsize, len(digits)
    ends = np.arange(0, width * length + 1, width, dtype=np.int32)
    return pa.StringArray.from_buffers(
        length, pa.py_buffer(ends), pa.py_buffer(digits.view(np.uint8)), valid
    )


def hex_digits(values: npt.NDArray[np.uint8]) -> Digits:
    """Bytes in hexadecimal, two digits per byte; values: a matrix with one row per value."""
    table = np.frombuffer(b"".join(b"%02x" % i for i in range(256)), "V2")
    return np.take(table, values).view(f"V{2 * values.shape[1]}").ravel()


def constant(text: str, length: int) -> Digits:
    """A column with `text` in each of `length` values; text: ASCII."""
    return np.broadcast_to(np.frombuffer(text.encode("ascii"), f"V{len(text)}"), length)


def _written(days: Whole, pattern: str) -> Digits:
    dates = days.astype("datetime64[D]")
    months = dates.astype("datetime64[M]")
    numbers = {
        "yyyy": dates.astype("datetime64[Y]").astype(np.int64) + 1970,
        "MM": months.astype(np.int64) % 12 + 1,
        "dd": (dates - months.astype("datetime64[D]")).astype(np.int64) + 1,
    }
    return _in_pattern(pattern, numbers, len(days))


@cache
def _times_of_day(pattern: str) -> Digits:
    """A table of the texts of the 86,400 seconds of a day."""
    seconds = np.arange(_DAY_SECONDS)
    numbers = {"HH": seconds // 3600, "mm": seconds // 60 % 60, "ss": seconds % 60}
    return _in_pattern(pattern, numbers, _DAY_SECONDS)


def _in_pattern(pattern: str, numbers: Mapping[str, Whole], length: int) -> Digits:
    """A pattern with its fields replaced by numbers, and all else as it is."""
    parts = re.findall(f"{'|'.join(numbers)}|.", pattern)
    return side_by_side(
        *(
            np.take(_numbers(len(part)), numbers[part])
            if part in numbers
            else constant(part, length)
            for part in parts
        )
    )


@cache
def _numbers(width: int, before: str = "") -> Digits:
    """A table of all numbers with `width` digits, each after the text `before`."""
    powers = 10 ** np.arange(width - 1, -1, -1)
    digits = (np.arange(10**width)[:, None] // powers % 10 + ord("0")).astype(np.uint8)
    texts = digits.view(f"V{width}").ravel()
    return side_by_side(constant(before, len(texts)), texts) if before else texts
