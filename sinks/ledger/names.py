"""Names of the ledger's files: the entries of closes, and what is recorded beside them.

All entries of a close are in one folder, `ledger/exports/<export>/<instant>`. The entries of a
revision of its drop begin with `r<n>.` there.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Annotated, ClassVar, TypeAlias

from sinks.instants import Instant, parse_stamp, stamp
from streams.storage.paths import NamePart, StoredPath

__all__ = [
    "ChainPath",
    "EntryPath",
    "FileReceiptPath",
    "InitialPath",
    "LostPath",
    "ReceiptPath",
    "UnreadablePath",
    "WaitingPath",
    "drop_id",
    "entry_name",
]

_FIRST = "first"


def drop_id(export: str, instant: dt.datetime) -> str:
    """Return the identifier of a drop: its export and the instant of its close."""
    return f"{export}@{stamp(instant)}"


def _number(text: str) -> int:
    return int(text[1:-1]) if text else 0


def _revision(number: int) -> str:
    return f"r{number}." if number else ""


def _previous(text: str) -> dt.datetime | None:
    return None if text == _FIRST else parse_stamp(text)


def _link(previous: dt.datetime | None) -> str:
    return _FIRST if previous is None else stamp(previous)


Revision: TypeAlias = Annotated[
    int, NamePart("(?:r[1-9][0-9]*[.])?", _number, _revision, shape="[rN.]")
]
"""The number of a revision; 0 for the drop of the close itself."""

Previous: TypeAlias = Annotated[
    dt.datetime | None,
    NamePart(f"[0-9TZ.]+|{_FIRST}", _previous, _link, shape=f"YYYYMMDDTHHMMSS.mmmZ or {_FIRST}"),
]
"""The previous close; None if there is none."""


@dataclass(frozen=True, slots=True, order=True)
class EntryPath(StoredPath):
    """Name of an entry of a close, or of a revision of its drop. entry: such as `intent`."""

    TEMPLATE: ClassVar = "ledger/exports/{export}/{instant}/{revision}{entry}.json"
    WHAT: ClassVar = "an entry of the ledger"

    export: str
    instant: Instant
    revision: Revision
    entry: Annotated[str, NamePart("[a-z]+(?:-[0-9]+)?")]


@dataclass(frozen=True, slots=True, order=True)
class ReceiptPath(StoredPath):
    """Name of the receipt of a location that has a drop, or a revision of it."""

    TEMPLATE: ClassVar = "ledger/exports/{export}/{instant}/{revision}at.{location}.json"
    WHAT: ClassVar = "a receipt"

    export: str
    instant: Instant
    revision: Revision
    location: str


@dataclass(frozen=True, slots=True, order=True)
class WaitingPath(StoredPath):
    """Name of the file with the facts that still wait for their campaign after a close."""

    TEMPLATE: ClassVar = "ledger/exports/{export}/{instant}/waiting.parquet"
    WHAT: ClassVar = "a file of facts that wait"

    export: str
    instant: Instant


@dataclass(frozen=True, slots=True, order=True)
class FileReceiptPath(StoredPath):
    """Name of the receipt of one file of a drop that a location doesn't have completely yet.

    file: the location, a dot, and the file's name. Names of locations and files may have dots, so
    that only the content says which is which.
    """

    TEMPLATE: ClassVar = "ledger/taken/{export}/{instant}/{file}.json"
    WHAT: ClassVar = "a receipt of one file"

    export: str
    instant: Instant
    file: str

    @classmethod
    def of(
        cls, export: str, instant: dt.datetime, revision: int, location: str, file: str
    ) -> FileReceiptPath:
        """Return the name of the receipt of a file from a location."""
        return cls(export, instant, f"{_revision(revision)}{location}.{file}")


@dataclass(frozen=True, slots=True, order=True)
class ChainPath(StoredPath):
    """Name of the file that says which close follows another one, or is the first. At most one
    close follows each.
    """

    TEMPLATE: ClassVar = "ledger/chain/{export}/{previous}"
    WHAT: ClassVar = "a link of an export's closes"

    export: str
    previous: Previous


@dataclass(frozen=True, slots=True, order=True)
class InitialPath(StoredPath):
    """Name of the file that says that an export's initial drop was requested at an instant."""

    TEMPLATE: ClassVar = "ledger/initial/{export}/{instant}"
    WHAT: ClassVar = "a request of an initial drop"

    export: str
    instant: Instant


@dataclass(frozen=True, slots=True, order=True)
class LostPath(StoredPath):
    """Name of the file that says that a close is held for lost offsets."""

    TEMPLATE: ClassVar = "ledger/lost/{export}/{instant}.json"
    WHAT: ClassVar = "a close that is held for lost offsets"

    export: str
    instant: Instant


@dataclass(frozen=True, slots=True, order=True)
class UnreadablePath(StoredPath):
    """Name of the file that says that a close is held for unreadable data."""

    TEMPLATE: ClassVar = "ledger/unreadable/{export}/{instant}.json"
    WHAT: ClassVar = "a close that is held for what can't be read"

    export: str
    instant: Instant


def entry_name(export: str, instant: dt.datetime, entry: str, revision: int = 0) -> str:
    """Return the name of an entry of a close, or of a revision of its drop."""
    return str(EntryPath(export, instant, revision, entry))
