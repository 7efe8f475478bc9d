"""The content of a dead letter that may be shown: decoded fields, and nothing personal.

A value is shown only if its field is known not to be personal and breaks no rule. A field that
breaks a rule may have any value, even if the letter's reason names another field. Bytes that can't
be decoded are shown only as their length and hash.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from schemas.decoding.columnar import Flags, IntArray
from schemas.decoding.contract import Contract
from schemas.decoding.decode import Decoder, RecordDecoder
from schemas.derive import arrow_schema, avro_schema
from schemas.reasons import CUT, reason_text
from schemas.registry.registry import SchemaSource
from schemas.tables import Catalog
from schemas.topics import Topic
from streams.erasure.personal import PersonalData
from streams.writing.dead_letter_topic import Poison

__all__ = ["HIDDEN", "Shown", "Usable"]

HIDDEN: Final = "(not shown)"
"""Replaces a value that is personal, or may be."""

_DIGITS: Final = 19


@dataclass(frozen=True, slots=True)
class Shown:
    """The content of a dead letter that may be shown."""

    origin: str
    """Where it stood: TOPIC/PARTITION/OFFSET."""
    reason: str
    """Why it was refused."""
    key: str | None
    """An entity's id; null where the key is something else."""
    size: int
    """Bytes of the whole value."""
    sha256: str
    """SHA-256 of the whole value."""
    fields: Mapping[str, Any] | None
    """The fields, personal ones without their values; null where the letter has only a part of the
    value, or it can't be decoded."""
    kept: int | None = None
    """Bytes of the value that the letter has; null where that is all."""


class _Reasons(Flags):
    """Flags for a single row that collect all reasons of its refusal, not only the first."""

    def __init__(self) -> None:
        super().__init__(1)
        self.found: list[str] = []

    def refuse(self, rows: IntArray, reason: str) -> None:
        """See Flags.refuse."""
        super().refuse(rows, reason)
        if rows.size:
            self.found.append(reason_text(reason))


class Usable:
    """Check of dead letters against the current definitions, and their content to show."""

    def __init__(
        self, registry: SchemaSource, topics: Mapping[str, Topic], catalog: Catalog
    ) -> None:
        self._registry = registry
        self._topics = topics
        self._catalog = catalog
        self._decoders: dict[str, Decoder] = {}

    def refused(self, events: Sequence[Poison]) -> Mapping[int, str]:
        """The reason for each event that still can't be used, by its index in `events`.

        Raises RegistryError if the registry doesn't answer.
        """
        found: dict[int, str] = {}
        for name in sorted({event.topic for event in events}):
            own = [index for index, event in enumerate(events) if event.topic == name]
            if name not in self._topics:
                found |= dict.fromkeys(own, "its topic is no longer defined")
                continue
            values = pa.array([events[index].value for index in own], pa.binary())
            keys = pa.array([events[index].key for index in own], pa.binary())
            decoded = self._decoder(name).decode(values, keys)
            found |= {own[datum.index]: reason_text(datum.reason) for datum in decoded.refused}
        return found

    def shown(self, event: Poison) -> Shown:
        """What may be shown of a dead letter; RegistryError if the registry doesn't answer."""
        whole = event.whole
        return Shown(
            event.origin,
            event.reason,
            _id(event.key),
            whole.size,
            whole.sha256,
            self._fields(event) if event.part is None else None,
            None if event.part is None else len(event.value or b""),
        )

    def _decoder(self, name: str) -> Decoder:
        if name not in self._decoders:
            topic = self._topics[name]
            self._decoders[name] = Decoder(self._registry, topic, self._catalog)
        return self._decoders[name]

    def _fields(self, event: Poison) -> Mapping[str, Any] | None:
        topic = self._topics.get(event.topic)
        if topic is None or event.value is None:
            return None
        columns = arrow_schema(topic, self._catalog)
        reader = RecordDecoder(self._registry, avro_schema(topic, self._catalog), columns)
        reasons = _Reasons()
        batch, rows = reader.decode([event.value], reasons)
        if not batch.num_rows:
            return None
        checked = Contract(topic, self._catalog).check(batch, rows, reasons)
        whole = pa.Table.from_batches([batch])
        personal = PersonalData(topic, self._catalog)
        everything = np.ones(1, np.bool_)
        emptied, _ = personal.emptied(whole, everything, personal.columns(whole.schema))
        known = {
            name: value if checked.column(name)[0].is_valid else None
            for name, value in emptied.to_pylist()[0].items()
        }
        return _masked(whole.to_pylist()[0], known, (event.reason, *reasons.found))


def _masked(
    whole: Mapping[str, Any], harmless: Mapping[str, Any], reasons: Sequence[str]
) -> dict[str, Any]:
    """The fields that have a value. HIDDEN replaces refused values, and those that aren't known to
    be harmless.
    """
    shown: dict[str, Any] = {}
    for name, value in whole.items():
        if value is None:
            continue
        if isinstance(value, dict) and isinstance(harmless[name], dict):
            shown[name] = _masked(value, harmless[name], reasons)
        else:
            is_harmless = harmless[name] == value and not _may_be_refused(name, reasons)
            shown[name] = value if is_harmless else HIDDEN
    return shown


def _may_be_refused(name: str, reasons: Sequence[str]) -> bool:
    """Whether one of the reasons may be about a field; a reason that was cut may be about any."""
    return any(name in reason or reason.endswith(CUT) for reason in reasons)


def _id(key: bytes | None) -> str | None:
    """A key as text if it is a number, as the keys of all topics are; else None."""
    text = (key or b"").decode("ascii", "replace")
    return text if text.isdigit() and len(text) <= _DIGITS else None
