"""What every place that drops are delivered to must do (SPEC §4 Locations, §7).

One module for each kind of place. All of them pass one suite of tests,
`tests/unit/test_locations.py`, in which a new one only has to be listed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from schemas.errors import CloseError

__all__ = ["Delivered", "DeliveryError", "Folder", "Location", "OtherBytesError", "Receipt"]


class DeliveryError(CloseError):
    """A file couldn't be delivered; nothing of it is to be seen there, and trying again is safe."""


class OtherBytesError(DeliveryError):
    """A file of that name, with other bytes, is there already; it is never overwritten."""


class Delivered(StrEnum):
    """How a file came to be at its place."""

    NOW = "delivered"
    BEFORE = "already there"


@dataclass(frozen=True, slots=True)
class Folder:
    """Where an export's files go within a location: its entity, then its name."""

    entity: str
    export: str

    def __str__(self) -> str:
        return f"{self.entity}/{self.export}"


@dataclass(frozen=True, slots=True)
class Receipt:
    """A delivery, done: the location, the file's full address there, and how it got there."""

    location: str
    address: str
    delivered: Delivered
    bytes: int


class Location(Protocol):
    """A place for drops."""

    @property
    def name(self) -> str:
        """The name that definitions choose it by."""

    def deliver(self, local: Path, folder: Folder, name: str) -> Receipt:
        """Bring the file `local` to `folder` as `name`, whole.

        The file is handed over: nobody writes to it again (it may get a second name instead of a
        copy). Nobody who looks there ever sees a part of it under `name`. If a file of that name
        is there with the same bytes, nothing is done; with other bytes, OtherBytesError. Raises
        DeliveryError for anything else that stops it; calling it again is safe, also after a kill.
        """

    def find(self, folder: Folder, name: str) -> bool:
        """Tell whether `folder` has a file called `name`; raises DeliveryError if it can't be
        told.
        """
