"""Regular expressions for text fields, each with words that explain it in refusals."""

from __future__ import annotations

from typing import Final

__all__ = [
    "ADDRESS_PATTERN",
    "FOLDER_PATTERN",
    "HOST_PATTERN",
    "USER_PATTERN",
    "meaning_of_pattern",
    "worded",
]

_MEANINGS: Final[dict[str, str]] = {}


def worded(pattern: str, meaning: str) -> str:
    """Return a regular expression for a field, and register the words that explain it."""
    _MEANINGS[pattern] = meaning
    return pattern


def meaning_of_pattern(pattern: str) -> str:
    """Return the words that explain a regular expression; without any, the expression itself."""
    return _MEANINGS.get(pattern, f"it must match {pattern}")


FOLDER_PATTERN: Final = worded(
    r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
    "it has letters, digits, dots, dashes and underscores, a letter or digit first",
)
"""Names that are also used as the name of a folder."""
ADDRESS_PATTERN: Final = worded(r"^[^@\s,;<>]+@[^@\s,;<>]+$", "write it as somebody@shop.example")
"""One e-mail address."""
HOST_PATTERN: Final = worded(
    r"^([\w.-]+|\[?[0-9A-Fa-f:.%]+\]?)$", "write a name or an address only, without a login"
)
USER_PATTERN: Final = worded(
    r"^[^\s:]+$", "write the name only: a password has a setting of its own"
)
