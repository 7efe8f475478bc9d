"""One entry of the ledger: created if it is absent, never changed, and read back."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from schemas.errors import LedgerError
from streams.storage.store import Store

__all__ = ["read_entry", "record_entry"]

T = TypeVar("T")


def record_entry(store: Store, name: str, content: bytes, parse: Callable[[bytes], T]) -> T:
    """Create an entry and return it as it is read back; or the one that was there before."""
    if store.create(name, content):
        return parse(content)
    recorded = read_entry(store, name, parse)
    assert recorded is not None  # entries are never removed
    return recorded


def read_entry(store: Store, name: str, parse: Callable[[bytes], T]) -> T | None:
    """Read an entry; None where it isn't there. Raises LedgerError where it isn't one."""
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
