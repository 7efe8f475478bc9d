"""What text of some fields must look like: regular expressions, and how refusals tell them."""

from __future__ import annotations

from typing import Final

__all__ = ["ADDRESS_PATTERN", "FOLDER_PATTERN", "worded", "words_of"]

_WORDS: Final[dict[str, str]] = {}


def worded(pattern: str, words: str) -> str:
    """Return a regular expression for a field, and keep the words that tell what would be right."""
    _WORDS[pattern] = words
    return pattern


def words_of(pattern: str) -> str:
    """Return the words that tell a regular expression; itself where nobody has found any."""
    return _WORDS.get(pattern, f"it must match {pattern}")


FOLDER_PATTERN: Final = worded(
    r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
    "it has letters, digits, dots, dashes and underscores, a letter or digit first",
)
"""Names that are a folder's, too."""
ADDRESS_PATTERN: Final = worded(r"^[^@\s,;<>]+@[^@\s,;<>]+$", "write it as somebody@shop.example")
"""E-mail addresses, one each."""
