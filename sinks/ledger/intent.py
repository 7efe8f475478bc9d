"""Intents: all that decides the bytes of a drop, recorded before anything is rendered.

An intent has the window, the chosen coverage records, the whole definition, and the deletions used.
A run that was killed later is repeated from the intent, with the same bytes.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any
from uuid import UUID

from sinks.editions import EDITION, FIRST_EDITION
from sinks.exports.export import Export
from sinks.instants import parse_stamp, stamp
from sinks.ledger.names import drop_id
from sinks.rendering.compress import BLOCK_BYTES
from streams.storage.choice import Choice
from streams.storage.coverage import Hole, Tile, Tiling
from streams.storage.layout import CoveragePath, TakenOutPath, TopicPartition

__all__ = ["Deletion", "Intent"]


@dataclass(frozen=True, slots=True)
class Deletion:
    """A profile's deletion that was recorded after the cut and is honoured by the drop."""

    profile_id: int
    occurred_at: int  # UTC milliseconds
    appended_at: int  # UTC milliseconds

    def to_list(self) -> list[int]:
        """Serialise, for an entry."""
        return [self.profile_id, self.occurred_at, self.appended_at]


@dataclass(frozen=True)  # without slots: `decided_export` is read once
class Intent:
    """All that decides a drop's bytes."""

    export: str
    instant: dt.datetime
    window_start: dt.datetime
    previous_drop: str | None
    definition: Mapping[str, Any]
    window: Mapping[str, Mapping[int, tuple[int, int]]]  # topic → partition → [first, next)
    choices: tuple[Choice, ...]
    bases: Mapping[str, str]  # topic → name of the base its state starts from
    deletions: tuple[Deletion, ...] = ()
    initial: bool = False  # every living row at the cut, instead of a window's changes
    loss: str = ""  # a person's reason why the drop may lack lost offsets
    edition: int = EDITION  # the edition of the rules that make the drop
    warnings: tuple[str, ...] = ()  # the manifest's warnings, as far as known when it was decided
    # Bytes of a block that is compressed by itself; None if only a block's rows were limited.
    block_bytes: int | None = BLOCK_BYTES
    taken_out: tuple[TakenOutPath, ...] = ()  # rows that count as dead letters, of all topics read

    @property
    def drop_id(self) -> str:
        """Identifier of the drop: the export and its close instant."""
        return drop_id(self.export, self.instant)

    @cached_property
    def decided_export(self) -> Export:
        """The export as it was defined when the close was decided."""
        return Export.from_json(json.dumps(self.definition))

    def defined_by(self, export: Export) -> Intent:
        """Return the same intent with another definition of its export."""
        return replace(self, definition=json.loads(export.to_json()))

    def without(
        self, deletions: tuple[Deletion, ...], taken_out: tuple[TakenOutPath, ...] | None = None
    ) -> Intent:
        """Return the same intent with these deletions and taken-out rows (None: its own rows)."""
        rows = self.taken_out if taken_out is None else taken_out
        if (deletions, rows) == (self.deletions, self.taken_out):
            return self
        return replace(self, deletions=deletions, taken_out=rows)

    def to_json(self) -> bytes:
        """Serialise all but export and instant, which are in the name."""
        fields = {
            "window_start": stamp(self.window_start),
            "previous_drop": self.previous_drop,
            "definition": self.definition,
            "window": {
                topic: {str(p): list(b) for p, b in ps.items()} for topic, ps in self.window.items()
            },
            "choices": [_choice_to_list(choice) for choice in self.choices],
            "bases": self.bases,
            "deletions": [deletion.to_list() for deletion in self.deletions],
            "initial": self.initial,
            **({"loss": self.loss} if self.loss else {}),
            **({"edition": self.edition} if self.edition != FIRST_EDITION else {}),
            **({"block_bytes": self.block_bytes} if self.block_bytes else {}),
            **({"warnings": self.warnings} if self.warnings else {}),
            **({"taken_out": list(map(str, self.taken_out))} if self.taken_out else {}),
        }
        return (json.dumps(fields, indent=1) + "\n").encode()

    @classmethod
    def from_json(cls, export: str, instant: dt.datetime, content: bytes) -> Intent:
        """Read back what `to_json` wrote."""
        fields = json.loads(content)
        return cls(
            export,
            instant,
            parse_stamp(fields["window_start"]),
            fields["previous_drop"],
            fields["definition"],
            {
                topic: {int(p): (b[0], b[1]) for p, b in partitions.items()}
                for topic, partitions in fields["window"].items()
            },
            tuple(_choice_from_list(choice) for choice in fields["choices"]),
            fields["bases"],
            tuple(Deletion(*deletion) for deletion in fields["deletions"]),
            fields["initial"],
            fields.get("loss", ""),
            fields.get("edition", FIRST_EDITION),
            tuple(fields.get("warnings", ())),
            fields.get("block_bytes"),
            tuple(map(TakenOutPath.parse, fields.get("taken_out", ()))),
        )


def _choice_to_list(choice: Choice) -> list[Any]:
    owner, tiling = choice.partition, choice.tiling
    tiles = [[t.record.first, t.record.next, t.record.batch, t.first, t.next] for t in tiling.tiles]
    holes = [[hole.first, hole.next] for hole in tiling.holes]
    return [
        owner.topic,
        str(owner.topic_id),
        owner.partition,
        tiling.first,
        tiling.next,
        tiles,
        holes,
    ]


def _choice_from_list(fields: list[Any]) -> Choice:
    topic, topic_id, number, first, end, tiles, holes = fields
    owner = TopicPartition(topic, UUID(topic_id), number)
    return Choice(
        owner,
        Tiling(
            first,
            end,
            tuple(Tile(_record_named(owner, *t[:3]), t[3], t[4]) for t in tiles),
            tuple(Hole(*hole) for hole in holes),
        ),
    )


def _record_named(owner: TopicPartition, first: int, end: int, batch: str) -> CoveragePath:
    """Return the name of a chosen record; raises PartitionError if no record can have it."""
    return CoveragePath.parse(str(CoveragePath(owner, first, end, batch)))
