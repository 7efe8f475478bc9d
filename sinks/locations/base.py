"""The interface of locations, to which drops are delivered (SPEC §4 Locations, §7).

Each kind of location has a folder, with its settings; `sinks/locations/kinds.py` lists them. All
kinds pass one suite of tests, `tests/location_contract.py`; a new kind only needs to be listed
there.
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
    """The steps of a delivery, in order; a kind of location without a step leaves it out."""

    CONNECT = "connect"
    TRUST = "trust"
    LOGIN = "login"
    WRITE = "write"
    RENAME = "rename"
    DELETE = "delete"


class DeliveryError(CloseError):
    """A file couldn't be delivered. Receivers see no part of it, and another attempt is safe."""

    def __init__(
        self, what: str, *, where: str = "", hint: str = "", step: DeliveryStep = DeliveryStep.WRITE
    ) -> None:
        super().__init__(what, where=where, hint=hint)
        self.step = step


class PassingError(DeliveryError):
    """A delivery failed for a passing reason, such as a broken connection; it is retried."""


class OtherBytesError(DeliveryError):
    """The location has a file of this name with other bytes; it is never overwritten."""

    @classmethod
    def at(cls, where: str, kind: str = "file") -> OtherBytesError:
        """The error for an address; kind: what the location calls a file."""
        return cls(
            "is there already, with other bytes",
            where=where,
            hint=f"it is never overwritten: ask whose it is, move the {kind} away, then run again",
        )


class Delivered(StrEnum):
    """Whether a file was delivered now, or was there before."""

    NOW = "delivered"
    BEFORE = "already there"


@dataclass(frozen=True, slots=True)
class Folder:
    """The folder of an export's files within a location: its entity, then its name."""

    entity: str
    export: str

    def __str__(self) -> str:
        return f"{self.entity}/{self.export}"


@dataclass(frozen=True, slots=True)
class Terms:
    """What a receiver gets beside the file, and how often a delivery is attempted (SPEC §7)."""

    manifests: bool = True
    ready_file: str | None = None
    """The ending of the ready file's name, after the drop's name; None: no ready file.

    The ready file is written last.
    """
    attempts: int = 1
    retry_seconds: float = 0
    """The pause after the first attempt; each further pause is twice as long."""
    total_seconds: float = math.inf
    """After this time, a run makes no further attempt to deliver a drop's files there."""
    checksum_file: bool = False
    """Whether the file's SHA-256 goes beside it, in a file for `sha256sum -c`."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof of a delivery: the location, the file's full address, its bytes, and when delivered."""

    location: str
    address: str
    delivered: Delivered
    bytes: int

    def __str__(self) -> str:
        return f"{self.location}: {self.address}"


class Location(Protocol):
    """A place to which drops are delivered."""

    @property
    def name(self) -> str:
        """The name by which definitions choose the location."""

    def deliver(self, local: Path, folder: Folder, name: str) -> Receipt:
        """Deliver the whole file `local` to `folder` as `name`.

        The caller must not write to `local` afterwards, as the location may link it instead of
        copying it. A receiver never sees a part of the file under `name`, unless the settings say
        that the server forbids renaming. If a file of that name exists with the same bytes, nothing
        is done. The call is idempotent, also after a kill.

        Raises OtherBytesError if a file of that name has other bytes, PassingError if a retry may
        help, DeliveryError for other faults.
        """

    def find(self, folder: Folder, name: str) -> bool:
        """Whether `folder` has a file called `name`.

        Raises DeliveryError if the location doesn't answer.
        """

    def check(self) -> Iterator[DeliveryStep]:
        """Try a delivery with a file of deltadrop's own, which is removed afterwards.

        Yields each step that succeeded. Raises DeliveryError, which has the step, at the first that
        failed.
        """
