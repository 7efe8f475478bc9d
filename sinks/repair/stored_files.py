"""What is strange among the stored files: files of no known kind, and records that were changed.

Neither stops anything else. Files of no known kind are left out by every listing. They are told of
by each sweep, and stay: other programs leave some (an editor, NFS), and a person may need them.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from schemas.errors import DeltadropError
from sinks.closing.bases import BasePath
from sinks.ledger.intent import Intent
from sinks.ledger.names import EntryPath
from streams.storage.checked import read_checked
from streams.storage.coverage import CoverageRecord
from streams.storage.layout import CoveragePath, TakenOutPath
from streams.storage.paths import StoredPath
from streams.storage.store import Store

__all__ = ["strange_files", "wrong_records"]

_RECORDS: Final = (CoveragePath, EntryPath, TakenOutPath, BasePath)
"""For each folder with records that decide something, a kind of file in it."""


def strange_files(store: Store) -> Iterator[str]:
    """Yield the names of files in the product's folders that aren't of a known kind."""
    kinds: dict[str, list[type[StoredPath]]] = defaultdict(list)
    for kind in StoredPath.__subclasses__():
        kinds[kind.top()].append(kind)
    for top, own in sorted(kinds.items()):
        for name in store.names(top):
            if not any(kind.match(name) for kind in own):
                yield name


def wrong_records(store: Store) -> Iterator[DeltadropError]:
    """Read every record that decides something, and yield what is wrong with it.

    It costs a request for each record, so its cost grows with the age of the installation.
    """
    for kind in _RECORDS:
        for name in store.names(kind.top()):
            if _is_record(name):
                yield from _wrong(store, name)


def _is_record(name: str) -> bool:
    is_known = any(kind.match(name) for kind in StoredPath.__subclasses__())
    return is_known and not name.endswith(".parquet")


def _wrong(store: Store, name: str) -> Iterator[DeltadropError]:
    try:
        read_checked(store, name, partial(_parsed, name))
    except FileNotFoundError:
        return  # it was removed meanwhile
    except DeltadropError as error:
        yield error


def _parsed(name: str, content: bytes) -> Any:
    """Parse a record as its own reader does, so that names in it are looked at too."""
    if coverage := CoveragePath.match(name):
        return CoverageRecord.from_json(coverage, content)
    entry = EntryPath.match(name)
    if entry and entry.entry == "intent" and not entry.revision:
        return Intent.from_json(entry.export, entry.instant, content)
    return json.loads(content) if content.startswith(b"{") else content
