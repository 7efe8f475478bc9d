"""Events as JSON Lines (SPEC §8): one event a line, validated before anything is sent.

The whole input is read, encoded and checked first, and stored encoded in a temporary file. It is
sent only if no line is wrong. With `keep_going`, lines are sent chunk by chunk; wrong lines are
left out and reported.
"""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO

from producers.encode import Encoded, EventEncoder, WrongEventError
from producers.leaves import JSON_LEAVES
from producers.lines import printable, read_event
from producers.publisher import SIZE_HINT, Publisher
from schemas.errors import Fault, WrongInputError
from schemas.json_result import JsonResult
from schemas.tables import Catalog

__all__ = [
    "Checked",
    "LineReader",
    "Progress",
    "PublishOutcome",
    "publish_lines",
    "publish_right_lines",
]

_CHUNK = 2_000
"""Number of lines that are checked together."""
_CHUNK_BYTES = 16 << 20
"""Bytes of lines that are checked together; they become Arrow arrays."""

_MAX_FAULTS = 100
"""Number of wrong lines that are listed; the others are only counted."""

Progress = Callable[[str, int], None]
"""Called with a step's name and the number of lines done so far."""


@dataclass(slots=True)
class PublishOutcome(JsonResult):
    """The result for the lines."""

    sent: int = 0
    """Events that Kafka has acknowledged."""
    refused: int = 0
    """Lines that were refused."""
    faults: list[Fault] = field(default_factory=list)
    """The faults of the first wrong lines."""

    def refuse(self, found: Iterable[Fault]) -> None:
        """Count wrong lines, and list the first of them."""
        for fault in found:
            self.refused += 1
            if len(self.faults) < _MAX_FAULTS:
                self.faults.append(fault)

    def raise_if_refused(self) -> None:
        """Raise WrongInputError if any line was refused."""
        if not self.refused:
            return
        listed = list(self.faults)
        if self.refused > len(listed):
            listed.append(Fault("", f"and {self.refused - len(listed)} more wrong lines"))
        raise WrongInputError(listed)


@dataclass(frozen=True, slots=True)
class Checked:
    """Lines that were checked together: the encoded events of the right lines with their line
    numbers (from 1), and the faults of the others.
    """

    events: tuple[Encoded, ...]
    numbers: tuple[int, ...]
    faults: tuple[Fault, ...]

    def without(self, name: str, wrong: Mapping[int, str]) -> Checked:
        """Return the same without events that are too large, with a fault for each.

        name: the input's name. wrong: the events' indexes, with the reasons.
        """
        if not wrong:
            return self
        faults = [
            Fault(f"{name}:{self.numbers[index]}", reason, SIZE_HINT)
            for index, reason in sorted(wrong.items())
        ]
        left = [index for index in range(len(self.events)) if index not in wrong]
        return Checked(
            tuple(self.events[index] for index in left),
            tuple(self.numbers[index] for index in left),
            (*self.faults, *faults),
        )


def publish_lines(
    lines: Iterable[bytes],
    name: str,
    catalog: Catalog,
    prefix: str,
    connect: Callable[[], Publisher],
    progress: Progress,
) -> PublishOutcome:
    """Send all lines, or none: raises WrongInputError if any is wrong, PublishError if Kafka fails.

    name: the input's name, for messages. connect: makes the publisher, once all lines are right.
    Then events that are too large for Kafka are found, also before anything is sent.
    """
    outcome = PublishOutcome()
    reader = LineReader(name, catalog, prefix)
    with tempfile.TemporaryFile(prefix="deltadrop-publish-") as spool:
        done = 0
        for checked in reader.chunks(lines):
            outcome.refuse(checked.faults)
            done += len(checked.events) + len(checked.faults)
            if not outcome.refused:
                pickle.dump(checked, spool)
            progress("checked", done)
        outcome.raise_if_refused()
        with connect() as publisher:
            for checked in _unspooled(spool):
                outcome.refuse(checked.without(name, publisher.too_large(checked.events)).faults)
            outcome.raise_if_refused()
            for checked in _unspooled(spool):
                publisher.send(checked.events)
                outcome.sent += len(checked.events)
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
) -> PublishOutcome:
    """Send every right line (`--keep-going`); the outcome has the others."""
    outcome = PublishOutcome()
    for checked in LineReader(name, catalog, prefix).chunks(lines):
        right = checked.without(name, publisher.too_large(checked.events))
        outcome.refuse(right.faults)
        publisher.send(right.events)
        outcome.sent += len(right.events)
        progress("sent", outcome.sent)
    outcome.sent = publisher.flush()
    return outcome


def _unspooled(spool: IO[bytes]) -> Iterator[Checked]:
    spool.seek(0)
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

    def chunks(self, lines: Iterable[bytes]) -> Iterator[Checked]:
        """Yield checked lines, some thousands at a time, fewer if they are long; blank lines are
        skipped.
        """
        chunk: list[tuple[int, bytes]] = []
        size = 0
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            chunk.append((number, line))
            size += len(line)
            if len(chunk) >= _CHUNK or size >= _CHUNK_BYTES:
                yield self._checked(chunk)
                chunk, size = [], 0
        if chunk:
            yield self._checked(chunk)

    def _checked(self, lines: Iterable[tuple[int, bytes]]) -> Checked:
        events: list[Encoded] = []
        numbers: list[int] = []
        faults: dict[int, Fault] = {}
        for number, line in lines:
            try:
                events.append(self._encoder.encode(read_event(line, number)))
                numbers.append(number)
            except WrongEventError as error:
                faults[number] = self._fault(number, error.what, error.hint)
        wrong = self._encoder.check(events)
        for index, reason in wrong.items():
            hint = self._encoder.hint(events[index], reason)
            faults[numbers[index]] = self._fault(numbers[index], reason, hint)
        right = [index for index in range(len(events)) if index not in wrong]
        return Checked(
            tuple(events[index] for index in right),
            tuple(numbers[index] for index in right),
            tuple(faults[number] for number in sorted(faults)),
        )

    def _fault(self, number: int, what: str, hint: str) -> Fault:
        return Fault(f"{self._name}:{number}", printable(what), printable(hint))
