"""Revisions: drops that replace an earlier drop of the same close (SPEC §7)."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass

from sinks.ledger.intent import Intent

__all__ = ["Revision"]


@dataclass(frozen=True, slots=True)
class Revision:
    """A drop that is made again with other content: its number, its reason, and its intent."""

    number: int
    reason: str
    intent: Intent

    def to_json(self) -> bytes:
        """Serialise all but the number, which is in the name."""
        fields = {"reason": self.reason, "intent": json.loads(self.intent.to_json())}
        return (json.dumps(fields, indent=1) + "\n").encode()

    @classmethod
    def from_json(cls, number: int, export: str, instant: dt.datetime, content: bytes) -> Revision:
        """Read back what `to_json` wrote."""
        fields = json.loads(content)
        intent = Intent.from_json(export, instant, json.dumps(fields["intent"]).encode())
        return cls(number, fields["reason"], intent)
