"""Why an event was refused, as it may be shown: a reason may name a field or a symbol of a writer's
schema, and those may be anything.
"""

from __future__ import annotations

from typing import Final

__all__ = ["CUT", "MOST_CHARACTERS", "reason_text"]

CUT: Final = "…"
"""Ends a reason that was too long to be shown whole."""

MOST_CHARACTERS: Final = 300
"""Of a reason, with `CUT`."""


def reason_text(reason: str, most: int = MOST_CHARACTERS) -> str:
    """A reason as one line of at most `most` characters, all of them printable."""
    if len(reason) <= most and reason.isprintable():
        return reason
    escaped = "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode()
        for char in reason[: most + 1]
    )
    return escaped if len(escaped) <= most else f"{escaped[: most - len(CUT)]}{CUT}"
