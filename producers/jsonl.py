"""Events as JSON Lines (SPEC §8): one event a line, validated before anything is sent.

The whole input is read, encoded and checked first, and kept encoded in a temporary file; only if no
line is wrong is it sent. With `keep_going`, lines are sent chunk by chunk, and the wrong ones are
left out and reported.
"""

from __future__ import annotations

import json
import pickle
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from itertools import islice
from typing import IO, NoReturn
from uuid import UUID

from producers.encode import Encoded, EventEncoder, WrongEventError
from producers.event import Event
from producers.leaves import JSON_LEAVES, moment_of_text
from producers.publisher import Publisher
from schemas.errors import Fault, WrongInputError
from schemas.events import HEADER_FIELDS
from schemas.tables import Catalog

__all__ = [
    "LineReader",
    "Outcome",
    "Progress",
    "publish_lines",
    "publish_right_lines",
    "read_event",
]

_CHUNK = 2_000
"""Lines that are checked together."""

_MAX_FAULTS = 100
"""Wrong lines that are listed; the others are counted."""

_LONGEST_INTEGER = 100
"""Characters of a whole number: no type holds one of as many digits."""

_SHOWN = 40
"""Characters of a wrong number that are shown."""

_COMMON = ("kind", *(name for name in HEADER_FIELDS if name != "eventId"))

Progress = Callable[[str, int], None]
"""Told of a step's name and the lines done so far."""


@dataclass(slots=True)
class Outcome:
    """What became of the lines: how many arrived in Kafka, and which were refused."""

    sent: int = 0
    refused: int = 0
    faults: list[Fault] = field(default_factory=list)

    def refuse(self, found: Iterable[Fault]) -> None:
        """Count wrong lines, and list the first of them."""
        for fault in found:
            self.refused += 1
            if len(self.faults) < _MAX_FAULTS:
                self.faults.append(fault)

    def raise_if_refused(self) -> None:
        """Raise WrongInputError if any line was."""
        if not self.refused:
            return
        listed = list(self.faults)
        if self.refused > len(listed):
            listed.append(Fault("", f"and {self.refused - len(listed)} more wrong lines"))
        raise WrongInputError(listed)


def publish_lines(
    lines: Iterable[bytes],
    name: str,
    catalog: Catalog,
    prefix: str,
    connect: Callable[[], Publisher],
    progress: Progress,
) -> Outcome:
    """Send all lines, or none: raises WrongInputError if any is wrong, PublishError if Kafka fails.

    name: the input's name, for messages. connect: makes the publisher, once all lines are right.
    """
    outcome = Outcome()
    reader = LineReader(name, catalog, prefix)
    with tempfile.TemporaryFile(prefix="deltadrop-publish-") as spool:
        done = 0
        for events, faults in reader.chunks(lines):
            outcome.refuse(faults)
            done += len(events) + len(faults)
            if not outcome.refused:
                pickle.dump(events, spool)
            progress("checked", done)
        outcome.raise_if_refused()
        spool.seek(0)
        with connect() as publisher:
            for events in _unspooled(spool):
                publisher.send(events)
                outcome.sent += len(events)
                progress("sent", outcome.sent)
            outcome.sent = publisher.flush()
    return outcome


def publish_right_lines(
    lines: Iterable[bytes],
    name: str,
    catalog: Catalog,
    prefix: str,
    publisher: Publisher,
    progress: Progress,
) -> Outcome:
    """Send every line that is right (`--keep-going`); the others are in the outcome."""
    outcome = Outcome()
    for events, faults in LineReader(name, catalog, prefix).chunks(lines):
        outcome.refuse(faults)
        publisher.send(events)
        outcome.sent += len(events)
        progress("sent", outcome.sent)
    outcome.sent = publisher.flush()
    return outcome


def _unspooled(spool: IO[bytes]) -> Iterator[list[Encoded]]:
    while True:
        try:
            yield pickle.load(spool)
        except EOFError:
            return


class LineReader:
    """Turns lines into encoded events, or faults with their line number."""

    def __init__(self, name: str, catalog: Catalog, prefix: str) -> None:
        self._name = name
        self._encoder = EventEncoder(catalog, prefix, JSON_LEAVES)

    def chunks(self, lines: Iterable[bytes]) -> Iterator[tuple[list[Encoded], list[Fault]]]:
        """The events and faults of some thousand lines at a time; blank lines are passed over."""
        numbered = ((n, line) for n, line in enumerate(lines, 1) if line.strip())
        while chunk := list(islice(numbered, _CHUNK)):
            events: list[Encoded] = []
            numbers: list[int] = []
            faults: dict[int, Fault] = {}
            for number, line in chunk:
                try:
                    events.append(self._encoder.encode(read_event(line)))
                    numbers.append(number)
                except WrongEventError as error:
                    faults[number] = Fault(f"{self._name}:{number}", error.what, error.hint)
            wrong = self._encoder.check(events)
            for index, reason in wrong.items():
                number, hint = numbers[index], self._encoder.hint(events[index], reason)
                faults[number] = Fault(f"{self._name}:{number}", reason, hint)
            right = [event for index, event in enumerate(events) if index not in wrong]
            yield right, [faults[number] for number in sorted(faults)]


def read_event(line: bytes) -> Event:
    """The event of one line; WrongEventError if it isn't one."""
    try:
        found = json.loads(
            line,
            parse_int=_whole,
            parse_float=_number,
            parse_constant=_no_number,
            object_pairs_hook=_once,
        )
    except (ValueError, RecursionError) as error:
        raise WrongEventError(f"isn't JSON: {error}") from error
    if not isinstance(found, dict):
        raise WrongEventError("isn't a JSON object", hint='one event a line: {"kind": …}')
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
    """Read a whole number; a long one as Python reads without asking for a limit to be raised."""
    return int(text) if len(text) <= _LONGEST_INTEGER else Decimal(text)


def _number(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
        raise ValueError(f"{shown} is out of the range of numbers") from None


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} isn't a number")


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """A JSON object in which no key is there twice: the last would win in silence."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        double = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"key '{double}' is there twice")
    return found
