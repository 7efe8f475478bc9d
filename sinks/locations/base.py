"""What every place that drops are delivered to must do (SPEC §4 Locations, §7).

One module for each kind of place, with its settings; `sinks/locations/kinds.py` lists them. All of
them pass one suite of tests, `tests/location_contract.py`, in which a new one only has to be
listed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from schemas.errors import CloseError

__all__ = [
    "Delivered",
    "DeliveryError",
    "DeliveryStep",
    "Folder",
    "Location",
    "OtherBytesError",
    "PassingError",
    "ReadBack",
    "Receipt",
    "Terms",
]


ReadBack: TypeAlias = Literal["ends", "whole"]
"""How much of a delivered file is read back and compared before it counts as delivered."""


class DeliveryStep(StrEnum):
    """What a delivery goes through, in order; a kind of place that has no such step leaves it
    out.
    """

    CONNECT = "connect"
    TRUST = "trust"
    LOGIN = "login"
    WRITE = "write"
    RENAME = "rename"
    DELETE = "delete"


class DeliveryError(CloseError):
    """A file couldn't be delivered; nothing of it counts there, and trying again is safe."""

    def __init__(
        self, what: str, *, where: str = "", hint: str = "", step: DeliveryStep = DeliveryStep.WRITE
    ) -> None:
        super().__init__(what, where=where, hint=hint)
        self.step = step


class PassingError(DeliveryError):
    """What may be over in a moment: a line that was cut, a server that hangs. It's tried again."""


class OtherBytesError(DeliveryError):
    """A file of that name, with other bytes, is there already; it is never overwritten."""

    @classmethod
    def at(cls, where: str, kind: str = "file") -> OtherBytesError:
        """Say so of an address. kind: what such a place has there."""
        return cls(
            "is there already, with other bytes",
            where=where,
            hint=f"it is never overwritten: ask whose it is, move the {kind} away, then run again",
        )


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
class Terms:
    """What a receiver gets beside the file, and how often a delivery is tried (SPEC §7)."""

    manifests: bool = True
    ready_file: str | None = None
    """What the name of the file that is written last adds to the drop's; None: no such file."""
    attempts: int = 1
    retry_seconds: float = 0
    """The pause after the first attempt; each next one is twice as long."""
    total_seconds: float = math.inf
    """After these, what a drop needs there is not tried again by this run."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """A delivery, done: the location, the file's full address there, and how it got there."""

    location: str
    address: str
    delivered: Delivered
    bytes: int

    def __str__(self) -> str:
        return f"{self.location}: {self.address}"


class Location(Protocol):
    """A place for drops."""

    @property
    def name(self) -> str:
        """The name that definitions choose it by."""

    def deliver(self, local: Path, folder: Folder, name: str) -> Receipt:
        """Bring the file `local` to `folder` as `name`, whole.

        The file is handed over: nobody writes to it again (it may get a second name instead of a
        copy). Nobody who looks there ever sees a part of it under `name`, unless the place is told
        that its server forbids renaming. If a file of that name is there with the same bytes,
        nothing is done; with other bytes, OtherBytesError. Raises PassingError for what may be
        over in a moment, DeliveryError for anything else that stops it; calling it again is safe,
        also after a kill.
        """

    def find(self, folder: Folder, name: str) -> bool:
        """Tell whether `folder` has a file called `name`; raises DeliveryError if it can't be
        told.
        """

    def check(self) -> Iterator[DeliveryStep]:
        """Go through a delivery with a file of our own, which is removed: yield each step that
        went well; raises DeliveryError, which has the step, for the first that didn't.
        """
