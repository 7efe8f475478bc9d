"""What messages show of settings. A value that may hold a secret is never shown.

Logins in addresses, passwords and keys end up in any field: in a URL, in place of a path, of a
variable's name or of a whole section. So free text is withheld. Numbers and choices from closed
lists, names of folders and the like are shown if they are plain words; so are paths of files and
names of variables, which an operator needs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pydantic_core import ErrorDetails

from schemas.definitions.explaining import Quote, location_of, shown

__all__ = ["WITHHELD", "file_named", "quote_of_settings", "quoted", "variable_named"]

WITHHELD: Final = "what is given"
"""Stands for a value that isn't shown."""

_HARMLESS: Final = frozenset(
    {"root", "tables", "streams", "exports", "textfile", "folder", "bucket", "region"}
    | {"memory_limit", "topic_prefix", "group", "ready_file", "fingerprint", "kind"}
)
"""Fields of text that hold no secret."""
_CLOSED: Final = ("int_", "float_", "bool_", "greater_", "less_", "finite_", "literal_", "enum")
"""Beginnings of pydantic's errors about numbers, booleans and closed lists."""
_PLAIN: Final = re.compile(r"[\w .,:/~+!=\[\]'-]{0,200}")
_LONG_WORD: Final = re.compile(r"[A-Za-z0-9+=]{16,}")
"""As keys and tokens have; where letters and digits are mixed, it may be one."""


def quote_of_settings(detail: ErrorDetails) -> Quote:
    """Return how a refusal quotes the value of a setting."""
    names = [part for part in location_of(detail) if isinstance(part, str)]
    is_open = not names or names[-1] not in _HARMLESS
    if is_open and not detail["type"].startswith(_CLOSED):
        return lambda _: WITHHELD
    return quoted


def quoted(value: object) -> str:
    """Return a value in quotes if it is plain words, else `WITHHELD`."""
    is_group = isinstance(value, Mapping)
    return WITHHELD if is_group or not _is_plain(str(value)) else shown(value)


def file_named(path: Path | None) -> str:
    """Return the path of a file that a setting names; withheld if it may be the file's content."""
    return str(path) if path is not None and _is_plain(str(path)) else "the file that is named"


def variable_named(name: str) -> str:
    """Return `the environment variable NAME`; without the name if it may be the value itself."""
    is_name = name.isidentifier() and _is_plain(name)
    return f"the environment variable {name}" if is_name else "the environment variable"


def _is_plain(text: str) -> bool:
    if not _PLAIN.fullmatch(text) or ":/" in text or "-----" in text:
        return False
    words = _LONG_WORD.findall(text)
    return not any(word.strip("0123456789") and not word.isalpha() for word in words)
