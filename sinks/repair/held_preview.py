"""Preview a held drop: its first lines as a release would send them now, and why it is held.

Nothing is recorded and nothing is sent. The preview leaves out people whose deletion was recorded
since, and rows that were taken out since.
"""

from __future__ import annotations

from dataclasses import dataclass

from schemas.json_result import JsonResult
from schemas.one_line import joined
from sinks.instants import stamp
from sinks.ledger.held import Held
from sinks.ledger.intent import Intent
from sinks.rendering.excerpt import excerpt
from sinks.repair.revise import Reviser
from sinks.rules.outcome import Outcome
from sinks.wording import counted

__all__ = ["HeldDrop", "look_at"]


@dataclass(frozen=True, slots=True)
class HeldDrop(JsonResult):
    """A held drop, as a release would send it."""

    export: str
    """The export."""
    instant: str
    """The end of its window."""
    file: str
    """The file's name."""
    held: Held
    """Why it is held, and its figures."""
    text: str
    """The header and the first lines, as a release would send them now."""
    shown: int
    """How many lines `text` shows."""
    lines: int
    """How many lines it has now, without people deleted and rows taken out since."""
    remarks: tuple[str, ...]
    """Warnings for the drop's receiver."""
    hint: str
    """The command that releases it."""

    @property
    def notes(self) -> str:
        """The notes beside the lines, for people."""
        lines = f"{self.shown:,} of {counted(self.lines, 'line')} of {self.file}; nothing is sent"
        held = [f"held: {reason}" for reason in self.held.reasons]
        return joined([lines, *held, *self.remarks, f"→ {self.hint}"])


def look_at(reviser: Reviser, intent: Intent, held: Held) -> HeldDrop:
    """Make the first lines of a held drop from what its close decided.

    Raises DeltadropError if the drop can't be made.
    """
    export, closer = intent.decided_export, reviser.closer
    now = closer.departure.as_it_would_leave(intent)
    with closer.maker.selection.select(now, export) as selected:
        text, rendered = excerpt(selected.lines, export.layout)
        lines = selected.outcomes.get(Outcome.EXPORTED, 0)
        warnings = (*rendered.warnings, *selected.warnings)
    return HeldDrop(
        export=intent.export,
        instant=stamp(intent.instant),
        file=str(export.file_name(intent.instant)),
        held=held,
        text=text,
        shown=rendered.rows,
        lines=lines,
        remarks=warnings,
        hint=held.to_send_it(intent.export, intent.instant),
    )
