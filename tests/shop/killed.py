"""Runs that are killed before one of the steps that change the disk."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from sinks.locations import TRANSFERBOX, Destination, Folder, Receipt, Terms, Transferbox
from sinks.repair.revise import Reviser
from streams.storage.folder import FolderStore

__all__ = ["CountedStore", "CountedTransferbox", "KilledError", "Steps", "counted"]


class KilledError(BaseException):
    """As a kill: nothing in the product catches it."""


class Steps:
    """Counts what changes the disk, and kills before one of them."""

    def __init__(self, kill_before: int | None) -> None:
        self.kill_before = kill_before
        self.done = 0

    def next(self) -> None:
        if self.done == self.kill_before:
            raise KilledError
        self.done += 1


class CountedStore(FolderStore):
    """A store whose writes and removals are steps."""

    def __init__(self, root: Path, steps: Steps) -> None:
        super().__init__(root)
        self.steps = steps

    def write(self, name: str, fill: Callable[[BinaryIO], object]) -> int:
        self.steps.next()
        return super().write(name, fill)

    def create(self, name: str, content: bytes) -> bool:
        self.steps.next()
        return super().create(name, content)

    def remove(self, name: str) -> None:
        self.steps.next()
        super().remove(name)


@dataclasses.dataclass(frozen=True, slots=True)
class CountedTransferbox(Transferbox):
    """A transferbox whose deliveries and removals are steps."""

    steps: Steps = dataclasses.field(default_factory=lambda: Steps(None))

    def deliver(self, local: Path, folder: Folder, name: str) -> Receipt:
        self.steps.next()
        return Transferbox.deliver(self, local, folder, name)

    def withdraw(self, folder: Folder, name: str) -> bool:
        self.steps.next()
        return Transferbox.withdraw(self, folder, name)


def counted(reviser: Reviser, root: Path, steps: Steps) -> Reviser:
    """A reviser, and its closer, whose deliveries to the transferbox of a root are steps."""
    box = CountedTransferbox(root / "transferbox", steps)
    deliveries = dataclasses.replace(
        reviser.closer.deliveries, destinations={TRANSFERBOX: Destination(box, Terms())}
    )
    closer = dataclasses.replace(reviser.closer, deliveries=deliveries)
    return dataclasses.replace(reviser, closer=closer, transferbox=box)
