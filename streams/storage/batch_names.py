"""Identifiers of batches: they sort by the time when they were made."""

from __future__ import annotations

import re
import secrets
import time
from typing import Final

from streams.storage.layout import Batch

__all__ = ["made_at", "new_batch"]

_NEW_BATCH: Final = re.compile("([0-9a-f]{12})[0-9a-f]{12}")


def new_batch() -> Batch:
    """Make a batch identifier; identifiers sort by the time when they were made."""
    return f"{int(time.time() * 1000):012x}{secrets.token_hex(6)}"


def made_at(batch: Batch) -> int | None:
    """The moment when a batch was made, by the worker's clock, in UTC milliseconds.

    None if `new_batch` didn't make its identifier.
    """
    found = _NEW_BATCH.fullmatch(batch)
    return int(found[1], 16) if found else None
