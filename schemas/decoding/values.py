"""Conversions into Arrow that need more than a cast: UUIDs from text, decimals from big-endian
bytes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.decoding.columnar import BoolArray, IntArray, Windows

__all__ = ["decimals_from_bytes", "uuids_from_text"]

_UUID_TEXT = 36
_DASHES = np.array([8, 13, 18, 23])
_DIGITS = np.array([i for i in range(_UUID_TEXT) if i not in (8, 13, 18, 23)])
_NO_DIGIT = 0x80


def _hexadecimal() -> npt.NDArray[np.uint8]:
    table = np.full(256, _NO_DIGIT, np.uint8)
    for digits in ("0123456789abcdef", "0123456789ABCDEF"):
        table[np.frombuffer(digits.encode(), np.uint8)] = np.arange(16, dtype=np.uint8)
    return table


_VALUE_OF = _hexadecimal()


def uuids_from_text(text: pa.Array) -> tuple[pa.Array, BoolArray | None]:
    """(UUIDs, mask of the rows that aren't a UUID; None if all are).

    text: a binary array without nulls and without an offset. A UUID is written as 8-4-4-4-12
    hexadecimal digits (RFC 9562, section 4). Rows that aren't a UUID get an arbitrary one.
    """
    size = len(text)
    _, offsets_buffer, data = text.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int32, size + 1)
    bytes_ = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
    wrong: BoolArray = np.diff(offsets) != _UUID_TEXT
    if wrong.any():
        characters = np.zeros((size, _UUID_TEXT), np.uint8)
        right = np.flatnonzero(~wrong)
        for column in range(_UUID_TEXT):
            characters[right, column] = bytes_[offsets[right] + column]
    else:
        characters = bytes_[offsets[0] : offsets[0] + size * _UUID_TEXT].reshape(size, _UUID_TEXT)
    digits = _VALUE_OF[characters[:, _DIGITS]]
    packed = (digits[:, 0::2] << 4) | digits[:, 1::2]
    wrong |= (digits >= _NO_DIGIT).any(axis=1) | (characters[:, _DASHES] != ord("-")).any(axis=1)
    storage = pa.Array.from_buffers(
        pa.binary(16), size, [None, pa.py_buffer(np.ascontiguousarray(packed))]
    )
    return pa.ExtensionArray.from_storage(pa.uuid(), storage), wrong if wrong.any() else None


_SIXTEEN = np.arange(16)


def decimals_from_bytes(
    windows: Windows, end: IntArray, length: IntArray, target: pa.Decimal128Type
) -> tuple[pa.Array, BoolArray]:
    """(decimals, mask of the rows with more digits than the target's precision).

    Each is a big-endian two's complement number of `length` bytes that ends at position `end`.
    """
    sixteen = windows.of("V16")[end - 16].view(np.uint8).reshape(len(end), 16)
    big = sixteen.copy()
    negative = (length > 0) & (windows.byte[end - np.maximum(length, 1)] >= 0x80)
    before = _SIXTEEN[None, :] < (16 - length)[:, None]
    fill = np.where(negative, np.uint8(0xFF), np.uint8(0))
    big = np.where(before, fill[:, None], big)
    little = np.ascontiguousarray(big[:, ::-1])
    high, low = little.view("<i8")[:, 1], little.view("<u8")[:, 0]
    wrong = _beyond(high, low, 10**target.precision)
    for index in np.flatnonzero(length > 16).tolist():
        # A longer number fits if all bytes before its last 16 only extend the sign.
        sign = b"\xff" if windows.data[end[index] - 16] >= 0x80 else b"\0"
        more = int(length[index]) - 16
        first = int(end[index]) - 16 - more
        wrong[index] |= windows.data[first : first + more] != sign * more
    little[wrong] = 0
    return pa.Array.from_buffers(target, len(end), [None, pa.py_buffer(little)]), wrong


def _beyond(high: IntArray, low: npt.NDArray[np.uint64], limit: int) -> BoolArray:
    """Whether the absolute value of high·2⁶⁴ + low is `limit` or more."""
    negative = high < 0
    absolute_low = np.where(negative, ~low + np.uint64(1), low)
    flipped = ~high.view(np.uint64) + (low == 0).astype(np.uint64)
    absolute_high = np.where(negative, flipped, high.view(np.uint64))
    limit_high, limit_low = np.uint64(limit >> 64), np.uint64(limit & (2**64 - 1))
    beyond: BoolArray = (absolute_high > limit_high) | (
        (absolute_high == limit_high) & (absolute_low >= limit_low)
    )
    return beyond
