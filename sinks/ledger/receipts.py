"""Receipts: which locations have a drop. They are stored beside its other ledger entries.

A receipt is written when a location has all files of the drop, before the outcome is recorded.
Until then each delivered file has a receipt of its own.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from sinks.ledger.entry import read_entry
from sinks.ledger.names import FileReceiptPath, ReceiptPath
from sinks.locations.base import Delivered, Receipt
from streams.storage.checked import create_checked
from streams.storage.store import Store

__all__ = ["Consignment", "Receipts"]


@dataclass(frozen=True, slots=True)
class Consignment:
    """What a receipt is for: a drop of an export, by close, revision and checksum."""

    export: str
    instant: dt.datetime
    revision: int  # 0 for the drop of the close itself
    sha256: str


@dataclass(frozen=True, slots=True)
class Receipts:
    """The receipts of a store."""

    store: Store

    def record(self, drop: Consignment, location: str, receipts: Sequence[Receipt]) -> None:
        """Record that a location has all files of a drop."""
        self._create(_name(drop, location), drop, receipts)

    def any_of(self, export: str, instant: dt.datetime) -> bool:
        """Whether any location has or had the drop of a close or a file of it."""
        receipts = self._receipts(export, instant)
        return any(path.revision == 0 for path in receipts) or any(
            FileReceiptPath.among(self.store.names(FileReceiptPath.folder(export, instant)))
        )

    def locations(self, export: str, instant: dt.datetime, revision: int) -> list[str]:
        """Return the locations that have or had a close's drop, or a revision of it."""
        receipts = self._receipts(export, instant)
        return sorted(path.location for path in receipts if path.revision == revision)

    def of(self, drop: Consignment, location: str) -> tuple[Receipt, ...] | None:
        """Return a location's receipts of a drop; None if it has none of this checksum."""
        return self._read(_name(drop, location), drop)

    def record_file(self, drop: Consignment, location: str, file: str, receipt: Receipt) -> None:
        """Record that a location has one file of a drop, but not all files yet."""
        self._create(_file_name(drop, location, file), drop, [receipt])

    def of_file(self, drop: Consignment, location: str, file: str) -> Receipt | None:
        """Return the receipt of one file of a drop that a location doesn't have completely."""
        found = self._read(_file_name(drop, location, file), drop) or ()
        return next((receipt for receipt in found if receipt.location == location), None)

    def forget_files(self, drop: Consignment, location: str, files: Sequence[str]) -> None:
        """Remove the receipts of single files, as the location has the whole drop."""
        for file in files:
            self.store.remove(_file_name(drop, location, file))

    def _receipts(self, export: str, instant: dt.datetime) -> Iterator[ReceiptPath]:
        return ReceiptPath.among(self.store.names(ReceiptPath.folder(export, instant)))

    def _create(self, name: str, drop: Consignment, receipts: Sequence[Receipt]) -> None:
        fields = {"sha256": drop.sha256, "receipts": [asdict(receipt) for receipt in receipts]}
        create_checked(self.store, name, (json.dumps(fields, indent=1) + "\n").encode())

    def _read(self, name: str, drop: Consignment) -> tuple[Receipt, ...] | None:
        found = read_entry(self.store, name, _parsed)
        return found[1] if found is not None and found[0] == drop.sha256 else None


def _parsed(content: bytes) -> tuple[str, tuple[Receipt, ...]]:
    fields = json.loads(content)
    return fields["sha256"], tuple(map(_receipt, fields["receipts"]))


def _receipt(fields: dict[str, str | int]) -> Receipt:
    return Receipt(
        str(fields["location"]),
        str(fields["address"]),
        Delivered(str(fields["delivered"])),
        int(fields["bytes"]),
    )


def _name(drop: Consignment, location: str) -> str:
    return str(ReceiptPath(drop.export, drop.instant, drop.revision, location))


def _file_name(drop: Consignment, location: str, file: str) -> str:
    whose = (drop.export, drop.instant, drop.revision)
    return str(FileReceiptPath.of(*whose, location, file))
