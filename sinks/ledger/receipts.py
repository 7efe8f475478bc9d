"""Receipts: which locations have a drop, kept beside its other entries of the ledger.

`ledger/exports/<export>/<instant>/at.<location>.json`, of a revision `r<n>.at.<location>.json`;
written when a location has all that it gets of the drop, before the outcome says so for all.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sinks.ledger.ledger import entry_name, read_entry
from sinks.locations.base import Delivered, Receipt
from streams.store import Store

__all__ = ["Consignment", "Receipts"]


@dataclass(frozen=True, slots=True)
class Consignment:
    """What a receipt is for: a drop of an export, by its close, revision and checksum."""

    export: str
    instant: dt.datetime
    revision: int  # 0 for the drop of the close itself
    sha256: str


@dataclass(frozen=True, slots=True)
class Receipts:
    """The receipts of a store."""

    store: Store

    def record(self, drop: Consignment, location: str, receipts: Sequence[Receipt]) -> None:
        """Record that a location has a drop."""
        fields = {"sha256": drop.sha256, "receipts": [asdict(receipt) for receipt in receipts]}
        self.store.create(_name(drop, location), (json.dumps(fields, indent=1) + "\n").encode())

    def any_of(self, export: str, instant: dt.datetime) -> bool:
        """Tell whether any location has the drop of a close, or had it."""
        folder = entry_name(export, instant, "at").rpartition("/")[0]
        return any(name.startswith(f"{folder}/at.") for name in self.store.names(folder))

    def of(self, drop: Consignment, location: str) -> tuple[Receipt, ...] | None:
        """Return the receipts of a drop from a location; None if it has none of these bytes."""
        found = read_entry(self.store, _name(drop, location), _parsed)
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
    of_revision = f"r{drop.revision}." if drop.revision else ""
    return entry_name(drop.export, drop.instant, f"{of_revision}at.{location}")
