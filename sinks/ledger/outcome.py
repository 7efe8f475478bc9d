"""Outcomes of closes, recorded after the delivery. A close with an outcome is done."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from sinks.drops.manifest import MANIFEST_ENDING

__all__ = ["CloseOutcome"]


@dataclass(frozen=True, slots=True)
class CloseOutcome:
    """The result of a close: the drop's file and figures, and where it was delivered."""

    drop_id: str
    file: str | None  # None if the file of an empty window was skipped
    rows: int
    size: int  # bytes
    sha256: str
    balance: Mapping[str, int]
    receipts: tuple[str, ...]
    warnings: tuple[str, ...] = field(default=())
    finished_at: str = ""
    late_rows: Mapping[str, int] = field(default_factory=dict)  # by the UTC day of the event

    @property
    def name(self) -> str | None:
        """The name of its file; None if nothing was sent.

        If the file of an empty window was skipped, the name comes from the manifest that was sent.
        """
        if self.file is not None:
            return self.file
        names = (receipt.rpartition("/")[2] for receipt in self.receipts)
        sent = (name for name in names if name.endswith(MANIFEST_ENDING))
        return next((name.removesuffix(MANIFEST_ENDING) for name in sent), None)

    def to_json(self) -> bytes:
        """Serialise."""
        return (json.dumps(asdict(self), indent=1) + "\n").encode()

    @classmethod
    def from_json(cls, content: bytes) -> CloseOutcome:
        """Read back what `to_json` wrote."""
        fields = json.loads(content)
        fields["receipts"], fields["warnings"] = (
            tuple(fields["receipts"]),
            tuple(fields["warnings"]),
        )
        return cls(**fields)
