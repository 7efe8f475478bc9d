"""Rows that a person has taken out, as they can't be read (SPEC §6, *One trouble, one place*).

Each row has a record, created if absent, before its files are made readable. A row with a record
counts as a dead letter. It is in no state, and in no drop whose close hadn't delivered anything by
then. Its eventId still makes later repeats, and its firsts stay used. Therefore the row stays in
its files, readable.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from streams.storage.checked import create_checked, read_checked
from streams.storage.layout import TakenOutPath, TopicPartition
from streams.storage.store import Store

__all__ = ["TakenOut", "TakenOutRows"]


@dataclass(frozen=True, slots=True)
class TakenOut:
    """A row that was taken out: its place, why, when, and the columns that couldn't be read."""

    path: TakenOutPath
    reason: str
    taken_out_at: str
    columns: tuple[str, ...] = ()

    def to_json(self) -> bytes:
        """Serialise all but the place, which is the record's name."""
        fields = {
            "reason": self.reason,
            "taken_out_at": self.taken_out_at,
            "columns": list(self.columns),
        }
        return (json.dumps(fields, indent=1) + "\n").encode()

    @classmethod
    def from_json(cls, path: TakenOutPath, content: bytes) -> TakenOut:
        """Read back what `to_json` wrote."""
        fields = json.loads(content)
        columns = tuple(fields["columns"])
        return cls(path, str(fields["reason"]), str(fields["taken_out_at"]), columns)


@dataclass(frozen=True, slots=True)
class TakenOutRows:
    """The records of taken-out rows in a store."""

    store: Store

    def record(self, taken: TakenOut) -> TakenOut:
        """Record that a row is taken out, and return the record; if there was one before, return
        that.
        """
        create_checked(self.store, str(taken.path), taken.to_json())
        recorded = self.of(taken.path)
        assert recorded is not None  # created just now, here or by another run
        return recorded

    def of(self, path: TakenOutPath) -> TakenOut | None:
        """Return the record of a row; None if it wasn't taken out."""
        try:
            return read_checked(self.store, str(path), partial(TakenOut.from_json, path))
        except FileNotFoundError:
            return None

    def within(self, ends: Mapping[TopicPartition, int]) -> tuple[TakenOutPath, ...]:
        """Return the taken-out rows of some partitions, in order; it costs one listing for each
        topic.

        ends: by partition, the offset before which rows count.
        """
        return tuple(
            path
            for incarnation in sorted({owner.incarnation for owner in ends})
            for path in TakenOutPath.among(self.store.names(TakenOutPath.folder(incarnation)))
            if path.offset < ends.get(path.partition, 0)
        )
