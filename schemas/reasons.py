"""Reasons of refused events, made safe to show.

A reason may quote a field or a symbol of a writer's schema, which can contain any character.
"""

from __future__ import annotations

from typing import Final

__all__ = ["CUT", "MOST_CHARACTERS", "reason_text"]

CUT: Final = "…"
"""The end of a reason that was cut because of its length."""

MOST_CHARACTERS: Final = 300
"""The longest reason in characters, `CUT` included."""


def reason_text(reason: str, most: int = MOST_CHARACTERS) -> str:
    """A reason as one line of at most `most` characters, all of them printable."""
    if len(reason) <= most and reason.isprintable():
        return reason
    escaped = "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode()
        for char in reason[: most + 1]
    )
    return escaped if len(escaped) <= most else f"{escaped[: most - len(CUT)]}{CUT}"
