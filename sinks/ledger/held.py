"""Entries that may be recorded between the intent of a close and its outcome.

`held.json`: a drop was made, with its figures and the guard rails that it breaks. `release.json`: a
person released it, and why. `deletions-<n>.json`: what was taken out of the drop after its close
was decided, while nothing had left. All are created if absent. The drop's file isn't stored: it is
made again from the intent, with the same bytes.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from schemas.errors import HeldError
from sinks.instants import stamp
from sinks.ledger.intent import Deletion
from streams.storage.layout import TakenOutPath

__all__ = ["Held", "LateRemoval", "Release"]


@dataclass(frozen=True, slots=True)
class Held:
    """A drop that was made and not sent."""

    reasons: tuple[str, ...]
    """Why it is held, a sentence for each guard rail."""
    rows: int
    """Lines of its file without the header."""
    size: int
    """Bytes of its file."""
    sha256: str
    """SHA-256 of the file's bytes."""
    balance: Mapping[str, int]
    """How many events of the window got each outcome."""
    late_rows: Mapping[str, int]
    """Rows whose events occurred on days before the window, by day."""
    held_at: str
    """When it was held."""

    def to_json(self) -> bytes:
        """Serialise."""
        return (json.dumps(asdict(self), indent=1) + "\n").encode()

    @classmethod
    def from_json(cls, content: bytes) -> Held:
        """Read back what `to_json` wrote."""
        fields = json.loads(content)
        return cls(**{**fields, "reasons": tuple(fields["reasons"])})

    def error(self, export: str, instant: dt.datetime) -> HeldError:
        """Return the error that says why it is held and how to release it."""
        return HeldError(
            what=f"held: {'; '.join(self.reasons)}",
            where=f"export '{export}', close {stamp(instant)}",
            hint=f"look at it: deltadrop release {export} --close {stamp(instant)} --show; "
            + self.to_send_it(export, instant),
        )

    @staticmethod
    def to_send_it(export: str, instant: dt.datetime) -> str:
        """Return the hint how to release it."""
        command = f"deltadrop release {export} --close {stamp(instant)} --reason '…'"
        return f"to send it all the same: {command}"


@dataclass(frozen=True, slots=True)
class Release:
    """A person's release of a held drop.

    reason: why. released_at: when. deletions: the deletions of profiles after the close's cut that
    were known then.
    """

    reason: str
    released_at: str
    deletions: tuple[Deletion, ...]

    def to_json(self) -> bytes:
        """Serialise."""
        deletions = [deletion.to_list() for deletion in self.deletions]
        fields = {"reason": self.reason, "released_at": self.released_at, "deletions": deletions}
        return (json.dumps(fields, indent=1) + "\n").encode()

    @classmethod
    def from_json(cls, content: bytes) -> Release:
        """Read back what `to_json` wrote."""
        fields = json.loads(content)
        return cls(fields["reason"], fields["released_at"], _deletions_of(fields))


@dataclass(frozen=True, slots=True)
class LateRemoval:
    """What a later run left out of a drop: all deletions of profiles and all taken-out rows known
    then.
    """

    deletions: tuple[Deletion, ...]
    rows: tuple[TakenOutPath, ...] = ()

    def to_json(self) -> bytes:
        """Serialise."""
        fields: dict[str, object] = {
            "deletions": [deletion.to_list() for deletion in self.deletions]
        }
        if self.rows:
            fields["taken_out"] = list(map(str, self.rows))
        return (json.dumps(fields, indent=1) + "\n").encode()

    @classmethod
    def from_json(cls, content: bytes) -> LateRemoval:
        """Read back what `to_json` wrote."""
        fields = json.loads(content)
        rows = tuple(map(TakenOutPath.parse, fields.get("taken_out", ())))
        return cls(_deletions_of(fields), rows)


def _deletions_of(fields: Mapping[str, Any]) -> tuple[Deletion, ...]:
    return tuple(Deletion(*deletion) for deletion in fields["deletions"])
