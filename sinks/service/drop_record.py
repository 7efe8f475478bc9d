"""A delivered drop, as the results of commands show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from schemas.json_result import JsonResult
from sinks.ledger.outcome import CloseOutcome

__all__ = ["DropRecord"]


@dataclass(frozen=True, slots=True)
class DropRecord(JsonResult):
    """A drop that was delivered."""

    drop_id: str
    """The drop's id."""
    file: str | None
    """The file's name; null where the file of an empty window was skipped."""
    rows: int
    """Lines of the file without its header."""
    size: int | None
    """Bytes of the file; null without a file."""
    sha256: str | None
    """SHA-256 of the file's bytes; null without a file."""
    balance: Mapping[str, int]
    """How many events of the window got each outcome."""
    receipts: tuple[str, ...]
    """Where each of its files was delivered."""
    warnings: tuple[str, ...]
    """Warnings for the drop's receiver."""
    finished_at: str
    """When its delivery was finished."""
    late_rows: Mapping[str, int]
    """Rows whose events occurred on days before the window, by day."""

    @classmethod
    def of(cls, outcome: CloseOutcome) -> DropRecord:
        """Make the record of an outcome.

        The ledger's outcome has a size and a checksum even for a skipped file, as a proof; here
        they are None.
        """
        there = outcome.file is not None
        return cls(
            outcome.drop_id,
            outcome.file,
            outcome.rows,
            outcome.size if there else None,
            outcome.sha256 if there else None,
            outcome.balance,
            outcome.receipts,
            outcome.warnings,
            outcome.finished_at,
            outcome.late_rows,
        )
