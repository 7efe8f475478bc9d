"""What text of some fields must look like: regular expressions, and how refusals tell them."""

from __future__ import annotations

from typing import Final

__all__ = ["ADDRESS_PATTERN", "FOLDER_PATTERN", "meaning_of_pattern", "worded"]

_MEANINGS: Final[dict[str, str]] = {}


def worded(pattern: str, meaning: str) -> str:
    """Return a regular expression for a field, and keep the words that tell what would be right."""
    _MEANINGS[pattern] = meaning
    return pattern


def meaning_of_pattern(pattern: str) -> str:
    """Return the words that tell a regular expression; itself where nobody has found any."""
    return _MEANINGS.get(pattern, f"it must match {pattern}")


FOLDER_PATTERN: Final = worded(
    r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
    "it has letters, digits, dots, dashes and underscores, a letter or digit first",
)
"""Names that are a folder's, too."""
ADDRESS_PATTERN: Final = worded(r"^[^@\s,;<>]+@[^@\s,;<>]+$", "write it as somebody@shop.example")
"""E-mail addresses, one each."""
