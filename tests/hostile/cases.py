"""The cases of `corpus/`: what a publisher sends, and what must become of it (SPEC §6).

`README.md` beside this page says how a case is written; a case that isn't is refused here.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from tests.hostile.expressions import CaseError, bytes_of, changed, text_of, type_of, value_of
from tests.hostile.regular import datum_of, key_field, regular_event

__all__ = [
    "CORPUS",
    "Case",
    "CaseError",
    "Message",
    "Reference",
    "load_case",
    "load_cases",
    "with_references",
]

CORPUS: Final = Path(__file__).parent / "corpus"

USABLE, DEAD, ASIDE, UNSEEN = "usable", "dead letter", "set aside", "not seen"
_VERDICTS: Final = (USABLE, DEAD, ASIDE, UNSEEN)
_ID_STEP: Final = 10_000
"""Events of one case have ids of their own."""

_FIRST_ID: Final = 7_000_000_000
_KEYS: Final = frozenset(
    (
        *("what", "rule", "topic", "event", "times", "naive", "registry", "soak"),
        *("change", "schema", "references", "schema_type", "schema_text"),
        *("datum", "append", "header", "value", "key", "headers", "batch"),
    )
)
"""All that a case may have beside its verdict."""

_BATCH_KEYS: Final = frozenset(("codec", "records", "damage", "transaction"))


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent to Kafka."""

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Reference:
    """Another schema that a writer's schema refers to, by the name of its type."""

    name: str
    schema: Any


@dataclass(frozen=True, slots=True)
class Batch:
    """How the messages lie in Kafka: compressed by a codec, so many in one record batch; what is
    done to the batch there, and how the transaction ended that it was in.
    """

    codec: str = "none"
    records: int = 1
    damage: str | None = None
    transaction: str | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of message.

    topic: its name without the prefix. number: makes the ids of its events. verdict: what must
    become of each message: usable with these `values`, by field (dots for fields within), a dead
    letter for this `reason`, or its partition set aside for it. naive: why a reading by the
    specification alone can't judge it, None where it can.
    """

    name: str
    number: int
    topic: str
    verdict: str
    values: Mapping[str, Any]
    reason: str
    naive: str | None
    told: Mapping[str, Any]

    @property
    def batch(self) -> Batch:
        """How its messages lie in Kafka."""
        return Batch(**self.told.get("batch", {}))

    @property
    def is_plain(self) -> bool:
        """Whether key and value alone tell the case, wherever they lie."""
        return "batch" not in self.told

    @property
    def is_for_soak(self) -> bool:
        """Whether it takes so long that the short test leaves it out."""
        return bool(self.told.get("soak"))

    @property
    def has_schema(self) -> bool:
        """Whether it has a schema that isn't the topic's own."""
        return bool({"schema", "change", "schema_text"} & set(self.told))

    @property
    def is_refused_by_the_registry(self) -> bool:
        """Whether a registry doesn't take its schema: then it can't be published."""
        return bool(self.told.get("registry") == "refuses")

    @property
    def schema_type(self) -> str:
        """The registry's name for the kind of schema."""
        return str(self.told.get("schema_type", "AVRO"))

    @property
    def references(self) -> tuple[Reference, ...]:
        """The schemas that the writer's refers to."""
        return tuple(
            Reference(one["name"], type_of(one["schema"]))
            for one in self.told.get("references", ())
        )

    def schema(self, own: Any) -> Any:
        """The writer's schema; own: that of the topic."""
        if "schema" in self.told:
            return type_of(self.told["schema"])
        return changed(own, self.told.get("change", []))

    def whole_schema(self, own: Any) -> Any:
        """The same, with the schemas that it refers to in it."""
        whole, named = self.schema(own), [one.schema for one in self.references]
        return with_references(whole, named) if named else whole

    def schema_text(self, own: Any) -> str:
        """The same as a registry gets it."""
        if "schema_text" in self.told:
            return text_of(self.told["schema_text"])
        return json.dumps(self.schema(own))

    def messages(self, own: Any, schema_id: int) -> Iterator[tuple[Message, str]]:
        """Its messages, with the reason that each is refused for."""
        header = self.told.get("header", {})
        for index in range(self.told.get("times", self.batch.records)):
            wire_id = header.get("id", schema_id) + (index if "id" in header else 0)
            message = self._message(own, index, header.get("magic", 0), wire_id)
            yield message, self.reason.replace("{id}", str(wire_id & 0xFFFFFFFF))

    def _message(self, own: Any, index: int, magic: int, wire_id: int) -> Message:
        event = regular_event(self.topic, self.number + index) | value_of(
            self.told.get("event", {})
        )
        key: bytes | None = str(event[key_field(self.topic)]).encode()
        if "key" in self.told:
            key = None if self.told["key"] is None else bytes_of(self.told["key"])
        if "value" in self.told:
            value = None if self.told["value"] is None else bytes_of(self.told["value"])
        else:
            value = struct.pack(">BI", magic, wire_id & 0xFFFFFFFF) + self._datum(own, event)
        return Message(key, value, self._headers())

    def _datum(self, own: Any, event: Mapping[str, Any]) -> bytes:
        if "datum" in self.told:
            return bytes_of(self.told["datum"])
        written = own if "schema_text" in self.told else self.whole_schema(own)
        datum = datum_of(written, event)
        return datum + bytes_of(self.told.get("append", ""))

    def _headers(self) -> tuple[tuple[str, bytes | None], ...]:
        told = self.told.get("headers", [])
        if isinstance(told, dict):
            told = told["$items"][0] * told["$items"][1]
        return tuple(
            (text_of(name), None if value is None else bytes_of(value)) for name, value in told
        )


def with_references(schema: Any, named: Sequence[Any]) -> Any:
    """A schema in which the types that it refers to are written out where they come first."""
    left = {f"{one.get('namespace', '')}.{one['name']}".lstrip("."): one for one in named}

    def put(one: Any) -> Any:
        if isinstance(one, str) and one in left:
            return put(left.pop(one))
        if isinstance(one, dict):
            return {
                key: put(inner) if key in ("type", "items", "values", "fields") else inner
                for key, inner in one.items()
            }
        return [put(inner) for inner in one] if isinstance(one, list) else one

    return put(schema)


def load_case(file: Path, number: int) -> Case:
    """Read a case; CaseError where it isn't written as it must be."""
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CaseError(f"{file.name}: not JSON: {error}") from error
    verdicts = [name for name in _VERDICTS if name in told]
    unknown = sorted(set(told) - _KEYS - set(_VERDICTS))
    if unknown or len(verdicts) != 1:
        raise CaseError(f"{file.name}: unknown {unknown}, verdicts {verdicts}")
    if missing := [name for name in ("what", "rule", "topic") if not told.get(name)]:
        raise CaseError(f"{file.name}: has no {missing}")
    if set(told.get("batch", {})) - _BATCH_KEYS:
        raise CaseError(f"{file.name}: unknown in batch")
    verdict = verdicts[0]
    expected = told.pop(verdict)
    if not isinstance(expected, dict if verdict in (USABLE, UNSEEN) else str):
        raise CaseError(f"{file.name}: '{verdict}' has values or a reason")
    values, reason = (expected, "") if isinstance(expected, dict) else ({}, expected)
    naive = told.get("naive")
    return Case(file.stem, number, told["topic"], verdict, values, reason, naive, told)


@cache
def load_cases(folder: Path = CORPUS) -> tuple[Case, ...]:
    """All cases, by name."""
    files = sorted(folder.glob("*.json"))
    if not files:
        raise CaseError(f"no cases in {folder}")
    return tuple(load_case(file, _FIRST_ID + place * _ID_STEP) for place, file in enumerate(files))
