"""Entries of the ledger: each is created if absent, and never changed.

Each has a format version and a checksum of its own, which every reading checks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from schemas.errors import LedgerError
from streams.storage.checked import create_checked, read_checked
from streams.storage.store import Store

__all__ = ["read_entry", "record_entry"]

T = TypeVar("T")

_KIND: Final = "this entry of the ledger"


def record_entry(store: Store, name: str, content: bytes, parse: Callable[[bytes], T]) -> T:
    """Create an entry and return it; if it existed before, return the existing one."""
    if create_checked(store, name, content):
        return parse(content)
    recorded = read_entry(store, name, parse)
    assert recorded is not None  # entries are never removed
    return recorded


def read_entry(store: Store, name: str, parse: Callable[[bytes], T]) -> T | None:
    """Read an entry; None if it doesn't exist. Raises LedgerError if it isn't as it was written."""
    try:
        return read_checked(store, name, parse, kind=_KIND, error=LedgerError)
    except FileNotFoundError:
        return None
