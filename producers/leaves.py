"""Convert values for Avro: one function for each type, which refuses values of other types.

Python callers give Python's own types. JSON Lines have text for moments, dates and UUIDs, and
numbers that were read without loss. Both become what fastavro takes. Nothing is rounded except
moments, which are cut to milliseconds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import TypeAlias
from uuid import UUID

from schemas.bounds import FIRST_MOMENT_MS, LAST_MOMENT_MS

__all__ = ["JSON_LEAVES", "PYTHON_LEAVES", "Leaf", "Leaves", "decimal_leaf", "moment_of_text"]

Leaf: TypeAlias = Callable[[object], object]
"""Returns a value as Avro takes it; raises ValueError, which says what the value isn't."""

Leaves: TypeAlias = Mapping[str, Leaf]
"""Functions by Avro type, or by logical type if there is one."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_FIRST_DAY = date(1970, 1, 1).toordinal()
_LONG = 1 << 63
_LONG_DIGITS = 19

# Python's parser also accepts other forms, which are refused here: weeks, any character between
# date and hour, zones with seconds, digits of other scripts, underscores between digits.
_MOMENT = re.compile(
    r"(?:[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]+)?)?)?"
    r"|[0-9]{8}T[0-9]{4}(?:[0-9]{2}(?:[.,][0-9]+)?)?)"
    r"(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)?"
)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def _text(value: object) -> str:
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("isn't text that UTF-8 can hold") from None
        return str(value)
    raise ValueError("isn't text")


def _boolean(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError("isn't true or false")


def _integer(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        if -_LONG <= value < _LONG:
            return value
        raise ValueError("isn't a whole number of up to 64 bits")
    if isinstance(value, Decimal) and value.adjusted() >= _LONG_DIGITS:
        raise ValueError("isn't a whole number of up to 64 bits")
    raise ValueError("isn't a whole number")


def _moment(value: object) -> int:
    if isinstance(value, datetime):
        if value.utcoffset() is None:
            raise ValueError("has no time zone")
        moment = (value - _EPOCH) // _MILLISECOND
        if FIRST_MOMENT_MS <= moment <= LAST_MOMENT_MS:
            return moment
        raise ValueError("isn't a moment from 0001-01-02 to 9999-12-30")
    raise ValueError("isn't a moment (a datetime with a time zone)")


def moment_of_text(value: object) -> datetime:
    """Return a moment from ISO 8601 text with a zone; raises ValueError for anything else."""
    if isinstance(value, str) and _MOMENT.fullmatch(value):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError("isn't a moment (ISO 8601 with zone)") from None
        if moment.utcoffset() is None:
            raise ValueError("is a moment without its zone (ISO 8601 with zone)")
        return moment
    raise ValueError("isn't a moment (ISO 8601 with zone)")


def _json_moment(value: object) -> int:
    return _moment(moment_of_text(value))


def _date(value: object) -> int:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.toordinal() - _FIRST_DAY
    raise ValueError("isn't a date")


def _json_date(value: object) -> int:
    if isinstance(value, str) and _DATE.fullmatch(value):
        try:
            return date.fromisoformat(value).toordinal() - _FIRST_DAY
        except ValueError:
            pass
    raise ValueError("isn't a date (yyyy-MM-dd)")


def _uuid(value: object) -> str:
    if isinstance(value, UUID):
        return str(value)
    raise ValueError("isn't a UUID")


def _json_uuid(value: object) -> str:
    if isinstance(value, str):
        try:
            if str(UUID(value)) == value.lower():
                return value
        except ValueError:
            pass
    raise ValueError("isn't a UUID (8-4-4-4-12 hexadecimal digits)")


def decimal_leaf(precision: int, scale: int) -> Leaf:
    """Return the function of a decimal type: exact numbers that fit it become big-endian bytes."""

    def exact(value: object) -> bytes:
        number = _decimal(value)
        sign, digits, exponent = number.as_tuple()
        if not isinstance(exponent, int):
            raise ValueError("isn't a number")
        text = "".join(map(str, digits))
        significant = text.rstrip("0")
        if not significant:
            return b"\0"
        shift = exponent + len(text) - len(significant) + scale
        if shift < 0:
            raise ValueError(f"has more than {scale} decimals")
        if len(significant) + shift > precision:
            raise ValueError(f"has more than {precision} digits")
        unscaled = int(significant) * 10**shift
        signed: int = -unscaled if sign else unscaled
        return signed.to_bytes(signed.bit_length() // 8 + 1, "big", signed=True)

    return exact


def _decimal(value: object) -> Decimal:
    if isinstance(value, Decimal):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        try:
            return Decimal(value)
        except InvalidOperation:
            pass
    raise ValueError("isn't a decimal number")


PYTHON_LEAVES: Leaves = MappingProxyType(
    {
        "string": _text,
        "boolean": _boolean,
        "long": _integer,
        "timestamp-millis": _moment,
        "date": _date,
        "uuid": _uuid,
    }
)
"""For payloads with Python's types."""

JSON_LEAVES: Leaves = MappingProxyType(
    {**PYTHON_LEAVES, "timestamp-millis": _json_moment, "date": _json_date, "uuid": _json_uuid}
)
"""For payloads read from JSON, with decimals as Decimal, int or text."""
