"""Events from lines of JSON, one a line; a line that isn't an event is refused with a reason.

The cost of a line is bounded by its bytes, whatever it holds: it is read in linear time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import IO, Any, Final, NoReturn
from uuid import UUID

from producers.encode import WrongEventError
from producers.event import Event
from producers.leaves import JSON_LEAVES, moment_of_text
from schemas.events import HEADER_FIELDS

__all__ = ["MAX_LINE_BYTES", "bounded_lines", "printable", "read_event"]

MAX_LINE_BYTES: Final = 16 << 20
"""Most bytes of a line: an event of 1 MiB has six times as many if each character is escaped."""

_LONGEST_INTEGER: Final = 100
"""Most characters of a whole number that is read as int: no type holds a longer one."""
_SHOWN: Final = 40
"""Number of characters that a message shows of a wrong number or key."""
_LONGEST_MESSAGE: Final = 1_000
_BOM: Final = b"\xef\xbb\xbf"
_ONE_A_LINE: Final = 'one event a line: {"kind": …}'

_COMMON = ("kind", *(name for name in HEADER_FIELDS if name != "eventId"))


def bounded_lines(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the lines of a file; of a line that is too long, a beginning that is also too long."""
    while line := file.readline(MAX_LINE_BYTES + 1):
        rest = line
        while rest and not rest.endswith(b"\n"):
            rest = file.readline(MAX_LINE_BYTES)
        yield line


def read_event(line: bytes, number: int = 1) -> Event:
    """Return the event of one line.

    Raises WrongEventError if the line isn't an event. number: of the line, from 1.
    """
    found = _object(line.removeprefix(_BOM) if number == 1 else line)
    for name in _COMMON:
        if not isinstance(found.get(name), str):
            what = "isn't text" if name in found else "is missing"
            raise WrongEventError(f"field '{name}': {what}")
    return Event(
        found.pop("kind"),
        found.pop("eventType"),
        found.pop("database"),
        found.pop("source"),
        _moment(found.pop("occurredAt")),
        found,
        _event_id(found.pop("eventId", None)),
    )


def printable(text: str) -> str:
    """Return a message that quotes a line in a form for terminals and UTF-8: on one line, and not
    too long.
    """
    if len(text) > _LONGEST_MESSAGE:
        text = f"{text[: _LONGEST_MESSAGE // 2]}…{text[-_LONGEST_MESSAGE // 2 :]}"
    return "".join(
        character if character.isprintable() else ascii(character)[1:-1] for character in text
    )


def _object(line: bytes) -> dict[str, Any]:
    if len(line) > MAX_LINE_BYTES:
        what = f"the line has more than {MAX_LINE_BYTES} bytes"
        raise WrongEventError(what, hint="it's one event a line, each line with its end")
    try:
        found = json.loads(
            line.decode("utf-8"),
            parse_int=_whole,
            parse_float=_number,
            parse_constant=_no_number,
            object_pairs_hook=_once,
        )
    except UnicodeDecodeError as error:
        what = f"isn't UTF-8 (byte {error.start + 1} of the line: 0x{line[error.start]:02x})"
        raise WrongEventError(what, hint="save it as UTF-8") from error
    except RecursionError as error:
        what = "isn't an event: brackets within brackets within brackets, too deep to be read"
        raise WrongEventError(what, hint=_ONE_A_LINE) from error
    except ValueError as error:
        raise WrongEventError(f"isn't JSON: {error}") from error
    if not isinstance(found, dict):
        raise WrongEventError("isn't a JSON object", hint=_ONE_A_LINE)
    return found


def _moment(value: object) -> datetime:
    try:
        return moment_of_text(value)
    except ValueError as error:
        raise WrongEventError(f"field 'occurredAt': {error}") from error


def _event_id(value: object) -> UUID | None:
    if value is None:
        return None
    try:
        return UUID(str(JSON_LEAVES["uuid"](value)))
    except ValueError as error:
        raise WrongEventError(f"field 'eventId': {error}") from error


def _whole(text: str) -> int | Decimal:
    """Read a whole number; a long one becomes a Decimal, as Python limits the digits of an int."""
    return int(text) if len(text) <= _LONGEST_INTEGER else _number(text)


def _number(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{_cut(text)} is out of the range of numbers") from None


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} isn't a number")


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Return a JSON object; raises ValueError for a repeated key, as the last would win
    silently.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f"key '{_cut(key)}' is there twice")
            seen.add(key)
    return found


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
