"""Entries of the ledger: each is created if absent, and never changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from schemas.errors import LedgerError
from streams.storage.store import Store

__all__ = ["read_entry", "record_entry"]

T = TypeVar("T")


def record_entry(store: Store, name: str, content: bytes, parse: Callable[[bytes], T]) -> T:
    """Create an entry and return it; if it existed before, return the existing one."""
    if store.create(name, content):
        return parse(content)
    recorded = read_entry(store, name, parse)
    assert recorded is not None  # entries are never removed
    return recorded


def read_entry(store: Store, name: str, parse: Callable[[bytes], T]) -> T | None:
    """Read an entry; None if it doesn't exist. Raises LedgerError if it can't be parsed."""
    try:
        content = store.read(name)
    except FileNotFoundError:
        return None
    try:
        return parse(content)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise LedgerError(
            what="this entry of the ledger isn't as it was written, and can't be read",
            where=store.address(name),
            hint="restore it from a backup",
        ) from error
